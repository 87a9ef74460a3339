"""A change of the signing key, signed with the old one (docs/wire-format.md, section 9).

Pure. Whoever pinned the old key can follow the record ``audit.key_rotated`` to an Ed25519 key that
took its place; of a shared key only its id is told.
"""

from __future__ import annotations

import base64
from typing import Any

from audit_emit.signing import Ed25519Key, Key, KeyRing, Verdict

_PURPOSE = "audit_emit change of key, version 1"
_MEMBERS = ("origin", "old_alg", "old_key_id", "new_alg", "new_key_id", "new_key")


def rotation_fields(old: Key, new: Key, origin: str) -> dict[str, Any]:
    """The ``fields`` of ``audit.key_rotated``.

    Args:
        old: can sign.
        new: takes its place from the next checkpoint on.
        origin: of the log, with its chain.
    """
    fields = {
        "origin": origin,
        "old_alg": old.algorithm,
        "old_key_id": old.key_id(origin) or "",
        "new_alg": new.algorithm,
        "new_key_id": new.key_id(origin) or "",
        "new_key": new.to_vkey(origin) if isinstance(new, Ed25519Key) else "",
    }
    signature = base64.b64encode(old.sign(rotation_text(fields))).decode()
    return {**fields, "signature": signature}


def rotation_text(fields: dict[str, Any]) -> bytes:
    """What is signed: the purpose and then each member on a line of its own.

    Raises:
        ValueError: a member is missing or not one line of text.
    """
    values = [fields.get(name) for name in _MEMBERS]
    if not all(isinstance(value, str) and "\n" not in value for value in values):
        raise ValueError("not a change of key")
    return "".join(f"{line}\n" for line in (_PURPOSE, *values)).encode()


def check_rotation(fields: dict[str, Any], ring: KeyRing) -> Verdict:
    """Whether the old key that a record names is in the ring and signed it.

    Raises:
        ValueError: the fields are malformed.
    """
    text = rotation_text(fields)
    try:
        signature = base64.b64decode(fields["signature"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise ValueError("not a change of key") from None
    return ring.check(fields["old_alg"], fields["old_key_id"], fields["origin"], text, signature)
