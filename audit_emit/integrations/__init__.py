"""Adapters to import, one file per host; each needs only the library of its own host."""
