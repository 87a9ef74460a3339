"""Redaction as data: what a secret looks like stands in ``rules``, how it is found in ``engine``."""
