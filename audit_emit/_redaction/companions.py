"""Members of a dict that are secret because of which other members it has: a code, a state."""

from __future__ import annotations

from typing import Any

from audit_emit._redaction.finders.words_of_prose import STRONG
from audit_emit._redaction.words import APPROLE, OF_CODE

__all__ = ["held_by_company", "is_reference"]

_NONE: frozenset[str] = frozenset()
_OF_CALLBACK = frozenset(("state", "sessionstate", "iss"))
"""Beside a ``code`` that looks drawn at random, these say the same; a shop has a code, too."""
_UNSEALING = frozenset(("keys", "keysbase64", "keysb64"))
"""What Vault tells beside its first ``root_token``."""
_ENCRYPTED = frozenset(("ciphertextblob", "ciphertext", "keyid"))
"""Beside a ``Plaintext``: what a key management service answers."""
_LEAST_CODE = 10
_MOST_NAMES = 8


def held_by_company(members: list[tuple[str, Any]]) -> frozenset[str]:
    """The names of members that are secret beside others.

    Args:
        members: of a dict, with their names folded.
    """
    names = {name for name, _ in members}
    held = _NONE
    if "code" in names and (
        not OF_CODE.isdisjoint(names)
        or (not _OF_CALLBACK.isdisjoint(names) and any(map(_is_code, members)))
    ):
        held |= {"code"}
    if names >= APPROLE:
        held |= {"secretid"}
    if "roottoken" in names:
        held |= _UNSEALING
    if "plaintext" in names and not _ENCRYPTED.isdisjoint(names):
        held |= {"plaintext"}
    if "keyname" in names and "permissions" in names:  # as Azure lists the keys of a store
        held |= {"value"}
    return held


def is_reference(value: object) -> bool:
    """Whether a dict only names where a value is, as Kubernetes does: ``{"secretKeyRef": …}``."""
    return (
        type(value) is dict
        and len(value) <= _MOST_NAMES
        and all(type(name) is str and name.endswith("Ref") for name in list(value))
    )


def _is_code(member: tuple[str, Any]) -> bool:
    name, value = member
    return (
        name == "code"
        and type(value) is str
        and _LEAST_CODE <= len(value) <= 1024
        and STRONG.match(value) is not None
    )
