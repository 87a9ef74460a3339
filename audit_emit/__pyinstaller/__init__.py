"""Tells PyInstaller of its hook for this package (entry point ``pyinstaller40``)."""

from __future__ import annotations

import os

__all__ = ["get_hook_dirs"]


def get_hook_dirs() -> list[str]:
    """Where the hook is."""
    return [os.path.dirname(__file__)]
