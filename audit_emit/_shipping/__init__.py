"""Bringing the chains of files to other places."""
