"""Sealed values on the pages: whether each can still be opened. The console opens none."""

from __future__ import annotations

from functools import cache
from typing import Any

from audit_emit._facade.erasure import PREFIX, Sight, opened_store
from audit_emit._facade.settings import settings
from audit_emit.errors import ConfigError, KeyStoreError

__all__ = ["told"]

_PREFIX = PREFIX.encode()


@cache
def _sight() -> Sight:
    """The access to the key store that the environment configures, if it does."""
    try:
        address = settings({}).subject_keys
    except ConfigError:
        address = None
    return Sight(opened_store(address) if address else None)


def told(fields: Any, line: bytes) -> Any:
    """Fields, in which it says ``[sealed]`` or ``[erased]`` instead of a ciphertext.

    Args:
        fields: are changed.
        line: of the record, which says at once whether there is anything.
    """
    if _PREFIX in line:
        try:
            _sight().tell(fields)
        except KeyStoreError:
            Sight(None).tell(fields)
    return fields
