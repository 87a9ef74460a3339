"""The pytest plugin by the name it had before; it is ``pytest_audit_emit`` beside this package."""

from __future__ import annotations

from pytest_audit_emit import audit_events, pytest_configure, pytest_unconfigure

__all__ = ["audit_events", "pytest_configure", "pytest_unconfigure"]
