"""Stores, which keep chains of records, and the mirror on standard output."""
