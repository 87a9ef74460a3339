"""A verifier of a log directory from the wire format alone (sections 2 and 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

MEMBER = b',"hash":"'
TAIL = len(MEMBER) + 64 + len('"}')
ZEROS = "0" * 64


class Linked(msgspec.Struct):
    """The members of a record that a check needs."""

    event_type: str
    chain: str
    seq: int
    prev_hash: str
    hash: str


@dataclass
class Findings:
    """What a log holds: how many of the caller's records, and what is wrong with it."""

    records: int = 0
    own: int = 0
    damage: list[str] = field(default_factory=list)


def body_hash(line: bytes) -> str:
    """The hash of a record line without its newline."""
    return hashlib.sha256(b"\0" + line[:-TAIL] + b"}").hexdigest()


def lines(directory: Path) -> Iterator[bytes]:
    """The record lines, oldest segment first."""
    for path in sorted(directory.glob("audit*.jsonl")):
        with path.open("rb") as segment:
            yield from segment


def check(directory: Path) -> Findings:
    """Recompute the chain of a whole log."""
    found = Findings()
    decode = msgspec.json.Decoder(Linked).decode
    chain, seq, head = "", 0, ZEROS
    for line in lines(directory):
        try:
            record = decode(line)
        except msgspec.MsgspecError as error:
            found.damage.append(f"after seq {seq}: not a record ({error})")
            continue
        linked = (record.chain == (chain or record.chain), record.seq == seq + 1)
        if not all(linked) or record.prev_hash != head or not line.endswith(b"\n"):
            found.damage.append(f"seq {record.seq} does not follow {seq}")
        if body_hash(line[:-1]) != record.hash:
            found.damage.append(f"seq {record.seq}: hash")
        chain, seq, head = record.chain, record.seq, record.hash
        if record.event_type.startswith("audit."):
            found.own += 1
        else:
            found.records += 1
    return found
