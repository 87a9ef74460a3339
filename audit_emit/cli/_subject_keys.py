"""``--subject-keys``: where the keys of persons are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from audit_emit._facade.erasure import KeyStore, opened_store
from audit_emit._facade.settings import settings

_Function = TypeVar("_Function", bound=Callable[..., Any])


def subject_keys_option(function: _Function) -> _Function:
    """``--subject-keys``, as the parameter ``subject_keys``."""
    return click.option(
        "--subject-keys",
        metavar="STORE",
        default="",
        help="The store of the keys of persons: slots:/path, or the path.  "
        "[default: AUDIT_EMIT_SUBJECT_KEYS]",
    )(function)


def named_store(address: str) -> KeyStore | None:
    """The store at an address, or the one that this environment configures; ``None`` without one.

    Raises:
        ConfigError: the address is none.
    """
    found = address or settings({}).subject_keys
    return opened_store(found) if found else None


def needed_store(address: str) -> KeyStore:
    """The same, for what cannot do without one.

    Raises:
        ConfigError: the address is none.
        UsageError: there is none.
    """
    found = named_store(address)
    if found is None:
        raise click.UsageError("name the store of keys: --subject-keys, or AUDIT_EMIT_SUBJECT_KEYS")
    return found
