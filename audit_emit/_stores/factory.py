"""The one place that knows which stores there are. A new one is a module and a row here."""

from __future__ import annotations

from audit_emit._settings.address import Address
from audit_emit._settings.settings import Settings
from audit_emit._stores.base import ChainStore, Lent, Mirror
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit._stores.stdout.mirror import StdoutMirror

__all__ = ["open_mirror", "open_store"]


def open_store(settings: Settings, lent: Lent) -> ChainStore | None:
    """The store that the settings name; ``None`` when nothing is kept.

    Nothing is opened before the first record.

    Args:
        settings: of the emitter.
        lent: what it lends the store.

    Raises:
        ConfigError: a package that the store needs is missing, or an object is in use elsewhere.
    """
    store = None if settings.disabled else _named(settings)
    if store is not None:
        store.attach(lent)
    return store


def _named(settings: Settings) -> ChainStore | None:
    if settings.jsonl is not None:
        return JsonlStore(
            settings.jsonl, max_bytes=settings.max_bytes, durability=settings.durability
        )
    if isinstance(settings.store, Address):
        from audit_emit._stores.postgres.store import PostgresStore  # noqa: PLC0415 - an extra

        return PostgresStore(
            settings.store,
            service=settings.service,
            durability=settings.durability,
            chain_by=settings.chain_by,
        )
    return settings.store


def open_mirror(settings: Settings) -> Mirror | None:
    """The mirror that the settings name; ``None`` when nothing is shown."""
    if settings.disabled or not settings.stdout:
        return None
    return StdoutMirror(settings.stdout_max_bytes, 2 if settings.stdout == "stderr" else 1)
