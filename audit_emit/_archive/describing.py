"""The manifest of a part of a log, with all that is known before its objects are stored."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from audit_emit._archive.covers import Covered
from audit_emit._checkpoints.new_leaves import Position
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.manifest import VERSION, Manifest
from audit_emit._signing.trusted_keys import Key


class Read(NamedTuple):
    """The result of one pass over a part."""

    service: str
    prev_hash: str
    position: Position
    span: tuple[str, str]


def described(
    key: Key, at: str, last: Manifest | None, start: Position, read: Read, covered: Covered
) -> Manifest:
    """The manifest without its objects and its signature.

    Args:
        key: signs the seal, a checkpoint at the end of the part.
        at: the time, as ``ts`` of a record.
        last: the manifest before.
        start: the position before the first record.
        read: the result of reading the part.
        covered: the checkpoint that covers the part.
    """
    position, by = read.position, covered.by
    size = position.frontier.size
    seal = sign(
        key,
        at=at,
        origin=by.origin,
        chain=position.chain,
        size=size,
        head_hash=position.head,
        root=position.frontier.root(),
        reason="rotation",
    )
    removed = last is None and start.frontier.size > 0
    return Manifest(
        v=VERSION,
        at=at,
        origin=by.origin,
        service=last.service if last else read.service,
        chain=position.chain,
        first_seq=start.frontier.size + 1,
        last_seq=size,
        prev_hash=read.prev_hash,
        last_hash=position.head,
        low_ts=read.span[0],
        high_ts=read.span[1],
        records=None,
        checkpoints=None,
        moved=(),
        base=start.frontier.to_text() if removed else "",
        frontier=position.frontier.to_text(),
        covering=_text(by),
        seal=_text(seal),
        previous=last.digest() if last else "",
        idle=_turn(last),
        sig_alg="",
        key_id="",
    )


def idle_after(last: Manifest, at: str) -> Manifest:
    """The manifest, still to be signed, that says that nothing was new at a time."""
    return msgspec.structs.replace(
        last,
        at=at,
        first_seq=last.last_seq + 1,
        prev_hash=last.last_hash,
        low_ts=last.at,
        high_ts=at,
        records=None,
        checkpoints=None,
        moved=(),
        base="",
        previous=last.digest(),
        idle=_turn(last),
    )


def _turn(last: Manifest | None) -> int:
    """The number of manifests without records just before the next one."""
    return last.idle + 1 if last is not None and last.records is None else 0


def _text(one: Checkpoint) -> str:
    return one.to_line().decode().removesuffix("\n")
