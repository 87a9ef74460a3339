"""Where a log begins whose oldest records were removed, and what a signed record says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from typing import NamedTuple

from audit_emit._checkpoints.new_leaves import Position
from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.key_change import RECORD as KEY_ROTATED
from audit_emit._format.key_change import Succession
from audit_emit._format.line_splitter import split_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import Head, head_of, parsed
from audit_emit._format.removal import RECORD, Removal
from audit_emit._readers.base import Block, Flaw, LogReader, TypedReader
from audit_emit._readers.typed import records_of
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._signing.trusted_keys import KeyRing, Verdict
from audit_emit.errors import CheckpointError, ForgedChangeError


class Start(NamedTuple):
    """A record ``audit.pruned``: why a log does not begin with its first record.

    Attributes:
        removal: what it says, checked only in itself.
        record: its place in the chain.
    """

    removal: Removal
    record: Head

    def verdict(self, ring: KeyRing) -> Verdict:
        """Whether a key of the ring signed it, or one that took its place among what is gone."""
        keys = Succession(ring)
        for line in self.removal.lines():
            record = parsed(line) or {}
            head = head_of(line)
            if record.get("event_type") == KEY_ROTATED and head is not None:
                with suppress(ForgedChangeError, AttributeError):
                    keys.follow(record["fields"], head.seq, head.chain)
        return self.removal.check(keys.ring)


class Removed(NamedTuple):
    """Records that are not in a log any more, as it says itself.

    Attributes:
        last_seq: the last of them; all before it are gone, too.
        at: when they were removed, as records have ``ts``.
        reason: why, in words.
        checkpoint: the size of the tree that was signed and covers them.
        declared_by: the number of the record ``audit.pruned``.
        trusted: a key that is trusted signed that. ``verify`` says whether it holds.
    """

    last_seq: int
    at: str
    reason: str
    checkpoint: int
    declared_by: int
    trusted: bool


class Beginning(NamedTuple):
    """Where a log begins.

    Attributes:
        oldest_seq: the number of the first record that is there; 0 where there is none.
        removed: why it is not 1; ``None`` where it is, and where nothing explains it.
    """

    oldest_seq: int
    removed: Removed | None


def beginning_of(reader: LogReader, ring: KeyRing) -> Beginning:
    """Where a log begins, and why; without verifying it.

    Raises:
        OSError: the log cannot be read.
    """
    first = first_link(reader)
    start = start_of(reader, ring)
    if start is None:
        return Beginning(int(first[2]) if first is not None else 0, None)
    removal, record = start.removal, start.record
    trusted = start.verdict(ring) == "ok"
    removed = Removed(
        removal.last_seq, record.ts, removal.reason, removal.size, record.seq, trusted
    )
    return Beginning(int(first[2]) if first is not None else 0, removed)


def start_of(reader: LogReader, ring: KeyRing) -> Start | None:
    """Why a log does not begin with record 1; ``None`` if it does, or nothing explains it.

    Args:
        reader: of the log.
        ring: the trusted keys.

    Returns:
        The newest one that a trusted key signed; else the newest whose key is not here. The caller
        must compare its tree with a root that was signed.

    Raises:
        OSError: the log cannot be read.
    """
    first = first_link(reader)
    if first is None or int(first[2]) == 1:
        return None
    return newest_start(reader, ring, first[1].decode())


def first_link(reader: LogReader) -> re.Match[bytes] | None:
    """The link of the first record of a log; ``None`` where there is none.

    Standard input, which can be read only once, is not looked at.
    """
    if reader.size < 0 and not isinstance(reader, TypedReader):
        return None
    for block in reader.blocks():
        if isinstance(block, Block):
            for line in split_lines(block.data):
                link = link_of(line)
                if link is not None:
                    return link
    return None


def newest_start(reader: LogReader, ring: KeyRing, chain: str) -> Start | None:
    """The same for any log, also for one whose records are all there still."""
    unknown: Start | None = None
    for _, lines in groupby(records_of(reader, RECORD), lambda found: found[0]):
        trusted: Start | None = None
        last: Start | None = None
        for _, line in lines:
            found = start_in(line)
            if found is None or found.record.chain != chain:
                continue
            verdict = found.verdict(ring)
            if verdict == "ok":
                trusted = found
            elif verdict == "key-unavailable":
                last = found
        if trusted is not None:
            return trusted
        unknown = unknown or last
    return unknown


def position_of(start: Start | None) -> Position:
    """Where to begin the tree over a log: after what was removed, or at the first record."""
    if start is None:
        return Position.genesis()
    removal = start.removal
    return Position(removal.chain, removal.tree, removal.last_hash, 0)


def after(reader: LogReader, position: Position) -> Iterator[Block | Flaw]:
    """What follows the last record of a tree.

    Raises:
        CheckpointError: neither that record is there, nor does the log begin with the next one.
    """
    size = position.frontier.size
    head = Head(position.chain, size, position.head, "") if size else None
    yield from following(reader, head)


def following(reader: LogReader, head: Head | None) -> Iterator[Block | Flaw]:
    """What follows a record, which may be gone; the whole log for ``None``.

    Raises:
        CheckpointError: see ``after``.
    """
    first = first_link(reader) if head is not None else None
    if head is None or (first is not None and int(first[2]) == head.seq + 1):
        yield from reader.blocks()
        return
    try:
        yield from reader.since(head)
    except LookupError:
        why = f"record {head.seq}, which was signed, is not there as it was"
        raise CheckpointError("not-extended", why) from None


def leaves_after(reader: LogReader, start: Start) -> Iterator[bytes]:
    """The leaf hashes of the records that are left, in order, as far as they link to each other.

    Raises:
        CheckpointError: see ``after``.
        OSError: the log cannot be read.
    """
    position = position_of(start)
    before = (position.frontier.size, position.head)
    for block in whole_lines_of(after(reader, position)):
        for line in split_lines(block):
            link = link_of(line)
            if link is None or (int(link[2]) - 1, link[3].decode()) != before:
                continue
            digest = leaf_hash(body_of(line))
            before = (before[0] + 1, digest)
            yield bytes.fromhex(digest)


def start_in(line: bytes) -> Start | None:
    """What a line says, if it is such a record, has the hash that it states, and makes sense."""
    head, record = head_of(line), parsed(line)
    if head is None or record is None or record.get("event_type") != RECORD:
        return None
    fields = record.get("fields")
    if not isinstance(fields, dict) or leaf_hash(body_of(line)) != head.hash:
        return None
    with suppress(ValueError):
        removal = Removal.of(fields)
        if removal.chain == head.chain and removal.size < head.seq:
            return Start(removal, head)
    return None


def first_position(reader: LogReader, ring: KeyRing) -> Position:
    """The position before the first record that is there.

    Raises:
        CheckpointError: records before it are not there, and no key of the ring removed them.
    """
    start = start_of(reader, ring)
    if start is not None and start.verdict(ring) != "ok":
        why = f"no key that is given signed the removal of records in record {start.record.seq}"
        raise CheckpointError("not-extended", why)
    return position_of(start)
