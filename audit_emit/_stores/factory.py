"""The one place that knows which stores there are. A new one is a module and a row here."""

from __future__ import annotations

from audit_emit._settings.settings import Settings
from audit_emit._stores.base import ChainStore, Lent, Mirror
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit._stores.stdout.mirror import StdoutMirror

__all__ = ["open_mirror", "open_store"]


def open_store(settings: Settings, lent: Lent) -> ChainStore | None:
    """The store that the settings name; ``None`` when nothing is kept.

    Nothing is opened before the first record.
    """
    if settings.disabled:
        return None
    if settings.jsonl is not None:
        return JsonlStore(
            settings.jsonl,
            max_bytes=settings.max_bytes,
            durability=settings.durability,
            lent=lent,
        )
    return None


def open_mirror(settings: Settings) -> Mirror | None:
    """The mirror that the settings name; ``None`` when nothing is shown."""
    if settings.disabled or not settings.stdout:
        return None
    return StdoutMirror(settings.stdout_max_bytes, 2 if settings.stdout == "stderr" else 1)
