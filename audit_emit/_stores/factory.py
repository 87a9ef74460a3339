"""The one place that knows which stores there are. A new one is a module and a row here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._settings.settings import Settings
from audit_emit._stores.base import ChainStore, Lent, Mirror
from audit_emit._stores.stdout.mirror import StdoutMirror

if TYPE_CHECKING:
    from audit_emit._stores.jsonl.store import JsonlStore

__all__ = ["open_mirror", "open_store"]


def open_store(settings: Settings, lent: Lent) -> ChainStore | None:
    """The store that the settings name; ``None`` when nothing is kept.

    Nothing is opened before the first record.
    """
    if settings.disabled:
        return None
    if settings.jsonl is not None:
        return _jsonl(settings, settings.jsonl, lent)
    return None


def _jsonl(settings: Settings, path: str, lent: Lent) -> JsonlStore:
    from audit_emit._stores.jsonl.store import JsonlStore  # noqa: PLC0415 - each store is imported by whoever uses it

    return JsonlStore(
        path, max_bytes=settings.max_bytes, durability=settings.durability, lent=lent
    )


def open_mirror(settings: Settings) -> Mirror | None:
    """The mirror that the settings name; ``None`` when nothing is shown."""
    if settings.disabled or not settings.stdout:
        return None
    return StdoutMirror(settings.stdout_max_bytes, settings.stdout)
