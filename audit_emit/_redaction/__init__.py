"""Redaction as data: ``rules`` say what a secret looks like, ``engine`` finds it."""
