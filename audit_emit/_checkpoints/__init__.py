"""Signing the tree over a log, and proving records with it."""
