"""The mirror of the chain on standard output."""
