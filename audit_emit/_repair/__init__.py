"""Repairing a damaged log: moving bytes aside that are not a record."""
