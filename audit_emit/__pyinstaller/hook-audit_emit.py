"""Modules that a program names in text only, such as in the dictionary of ``dictConfig``."""

hiddenimports = ["audit_emit.integrations.stdlib"]
