"""Cosignatures: what a witness signs, and when (C2SP tlog-cosignature). Pure.

The signature in a line under a note is eight bytes of time, in seconds since 1970, and then the
signature of the witness over time and checkpoint. An Ed25519 key signs the whole text; an ML-DSA-44
key signs its own name, origin, size and root.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from audit_emit._format.checkpoint import cosigned_text, parse_text
from audit_emit._format.signed_note import Signature
from audit_emit._signing.cosigners import Cosigner

_TIME = 8
_END = 253_402_300_800
"""Seconds from 1970 to the year 10000: a later time cannot be shown, and no honest witness signs
one."""

Seconds = Annotated[int, msgspec.Meta(ge=0, lt=_END)]
"""Seconds since 1970, in a file that is read: a time that can be shown."""

Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""A number of records, in a file that is read."""

_LABEL = b"subtree/v1\n\0"


def message_of(key: Cosigner, seconds: int, text: bytes) -> bytes:
    """The bytes that a witness signs.

    Args:
        seconds: since 1970.
        text: of the checkpoint, to its last newline.

    Raises:
        ValueError: the text is no checkpoint.
    """
    origin, size, root = parse_text(text)
    if key.algorithm == "ed25519":
        return cosigned_text(seconds, text)
    name, log = key.name.encode(), origin.encode()
    if len(log) > 255:
        raise ValueError("an origin has at most 255 bytes")
    return b"".join(
        [
            _LABEL,
            bytes([len(name)]),
            name,
            seconds.to_bytes(_TIME, "big"),
            bytes([len(log)]),
            log,
            (0).to_bytes(8, "big"),
            size.to_bytes(8, "big"),
            root,
        ]
    )


def cosign(key: Cosigner, seconds: int, text: bytes) -> Signature:
    """The signature line of a witness.

    Raises:
        ValueError: the private half of the key is not known, or the text is no checkpoint.
    """
    made = key.sign(message_of(key, seconds, text))
    return Signature(key.name, key.key_id, seconds.to_bytes(_TIME, "big") + made)


def cosigned_at(key: Cosigner, text: bytes, line: Signature) -> int | None:
    """When a witness signed a checkpoint.

    Returns:
        Seconds since 1970; ``None`` where the line is not this key's signature over the text, or
        its time is not before the year 10000.
    """
    if (line.name, line.key_id) != (key.name, key.key_id):
        return None
    seconds = int.from_bytes(line.signature[:_TIME], "big")
    if not 0 < seconds < _END:
        return None
    try:
        message = message_of(key, seconds, text)
    except ValueError:
        return None
    return seconds if key.verify(message, line.signature[_TIME:]) else None
