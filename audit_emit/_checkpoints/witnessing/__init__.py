"""Witnesses: others who sign that a checkpoint continues those that they saw before (C2SP)."""
