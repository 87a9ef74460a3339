"""How a log stands, as it says itself: its end, and how far it is signed. Nothing is proved."""

from __future__ import annotations

from typing import NamedTuple

from audit_emit._checkpoints.prove import newest_checkpoint
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.record import Head
from audit_emit._readers.base import LogReader
from audit_emit._signing.trusted_keys import KeyRing


class Standing(NamedTuple):
    """How a log stands, as it says itself; ``verify`` says whether it is so.

    Attributes:
        head: the newest record's place; ``None`` in a log without records.
        signed: the newest checkpoint that a trusted key has signed, else the newest of all;
            ``None`` where there is none.
        trusted: a trusted key has signed it.
        unsigned: records that came after it.
    """

    head: Head | None
    signed: Checkpoint | None
    trusted: bool
    unsigned: int


def standing_of(reader: LogReader, ring: KeyRing) -> Standing:
    """How a log stands.

    Raises:
        OSError: it cannot be read.
    """
    head = reader.bounds().last
    trusted = newest_checkpoint(reader, ring)
    newest = trusted or newest_checkpoint(reader, None)
    unsigned = max((head.seq if head else 0) - (newest.head_seq if newest else 0), 0)
    return Standing(head, newest, trusted is not None, unsigned)
