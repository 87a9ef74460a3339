"""The HTTP server of commands."""

from __future__ import annotations

from audit_emit._runtime.http_server import Server

__all__ = ["Server"]
