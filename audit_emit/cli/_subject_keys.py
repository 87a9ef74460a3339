"""``--subject-keys``: where the keys of persons are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from audit_emit._facade.erasure import PREFIX, KeyStore, Sight, opened_store
from audit_emit._facade.settings import settings
from audit_emit.cli._command import complain
from audit_emit.errors import KeyStoreError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def subject_keys_option(function: _Function) -> _Function:
    """``--subject-keys``, as the parameter ``subject_keys``."""
    return click.option(
        "--subject-keys",
        metavar="STORE",
        default="",
        help="The store of the keys that personal values are sealed with: slots:/path, the path, "
        "or openbao:, vault: or awskms: with slots=/path.  "
        "[default: AUDIT_EMIT_SUBJECT_KEYS]",
    )(function)


_SIGHT = "audit_emit.sight"


def see_with(address: str) -> Sight:
    """Set the key store with which the running command reads: at an address, or the configured."""
    found = Sight(named_store(address))
    click.get_current_context().meta[_SIGHT] = found
    return found


def sight() -> Sight:
    """The access to keys with which the running command reads sealed values."""
    found: Sight = click.get_current_context().meta[_SIGHT]
    return found


def told(fields: Any, line: bytes) -> Any:
    """Fields as people see them: each sealed value as ``[sealed]`` or ``[erased]``.

    Args:
        fields: are changed.
        line: of the record, which says at once whether there is anything.
    """
    context = click.get_current_context(silent=True)
    if PREFIX.encode() in line:
        known = None if context is None else context.meta.get(_SIGHT)
        try:
            (known or Sight(None)).tell(fields)
        except KeyStoreError as error:
            complain(f"{error} ({error.reason}); whether values are erased is not known")
            if context is not None:
                context.meta[_SIGHT] = Sight(None)
            Sight(None).tell(fields)
    return fields


def pseudonym_of(actor: str, known: Sight) -> str:
    """The pseudonym of an actor in ``user_id``, while the key exists; empty without a key."""
    if not actor:
        return ""
    try:
        return known.pseudonym(actor)
    except KeyStoreError as error:
        complain(f"the pseudonym of {actor} cannot be looked up: {error} ({error.reason})")
        return ""


def named_store(address: str) -> KeyStore | None:
    """The store at an address, or the one that this environment configures; ``None`` without one.

    Raises:
        ConfigError: the address is none.
    """
    found = address or settings({}).subject_keys
    return opened_store(found) if found else None


def fault_of(address: str) -> list[str]:
    """Why the store at an address gives no key now, as a problem; nothing if it gives them.

    Nothing is written, so of a store that is not there yet nothing is known.
    """
    store = opened_store(address)
    try:
        store.find("")
    except KeyStoreError as error:
        return [f"{error} ({error.reason}); until then values of persons are withheld"]
    finally:
        store.close()
    return []


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
