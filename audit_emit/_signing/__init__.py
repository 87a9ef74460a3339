"""The keys that sign and verify checkpoints."""
