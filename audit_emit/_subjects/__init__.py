"""The keys of persons, and what is sealed under them (docs/erasure.md)."""
