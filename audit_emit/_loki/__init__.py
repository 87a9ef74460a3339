"""Comparing a log with Loki, querying Loki, and pushing what it lacks."""
