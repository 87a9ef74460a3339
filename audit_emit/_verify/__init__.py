"""Verifying a log: its chain, its checkpoints, what others have kept of it, and the findings."""
