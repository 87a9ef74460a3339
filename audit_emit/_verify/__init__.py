"""Verifying a log: a chain as it is followed, what vouches for it, findings."""
