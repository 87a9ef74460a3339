"""Finders of secrets that need more than a pattern, one family per file."""
