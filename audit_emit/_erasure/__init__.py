"""Erasing a person: what is in a log of one, destroying the key, recording it (docs/erasure.md)."""
