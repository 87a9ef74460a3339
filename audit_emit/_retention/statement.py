"""Makes the signed statement of a removal, and the checks that come before it."""

from __future__ import annotations

from typing import NamedTuple

from audit_emit._checkpoints.beginning import Start
from audit_emit._checkpoints.kept_tiles import leaves_of, rebuilt, sync_tiles
from audit_emit._checkpoints.prove import newest_checkpoint
from audit_emit._checkpoints.tiles import WIDTH, Store, TiledFrontier
from audit_emit._format.chain import Frontier
from audit_emit._format.key_change import describe_key
from audit_emit._format.merkle_ranges import HASH, nodes_of
from audit_emit._format.record import Head
from audit_emit._format.removal import VERSION, Removal, signed
from audit_emit._readers.base import LogReader
from audit_emit._retention.walk import Passed
from audit_emit._signing.trusted_keys import Key, KeyRing
from audit_emit.errors import RetentionError


class Limits(NamedTuple):
    """How much may go.

    Attributes:
        cutoff_ns: only what is older, in nanoseconds since 1970.
        reason: what the record says of it, one line.
        allowed: no record after this one; ``None``: any.
        like: a record that the log must hold as it is here, if more is to go; ``None``: none.
    """

    cutoff_ns: int
    reason: str
    allowed: int | None = None
    like: Head | None = None


def signer_of(reader: LogReader, ring: KeyRing) -> tuple[Key, str]:
    """The key that signs the removal, and the origin that it signs for.

    It is the one that signed the newest checkpoint: a key that was replaced removes nothing.

    Raises:
        RetentionError: it is not here, or nothing was signed.
    """
    key = ring.signer
    if key is None:
        raise RetentionError("no-key", "the newest key cannot sign: its private half is not here")
    newest = newest_checkpoint(reader, None)
    if newest is None:
        raise RetentionError("not-signed", "no checkpoint is there; sign the log first")
    if (newest.sig_alg, newest.key_id) != (key.algorithm, key.key_id(newest.origin)):
        name = describe_key((newest.sig_alg, newest.key_id))
        raise RetentionError("no-key", f"the newest checkpoint is by {name}; use that key")
    if newest_checkpoint(reader, ring) != newest:
        raise RetentionError("tampered", "the newest checkpoint is forged")
    return key, newest.origin


def refuse_another(reader: LogReader, like: Head) -> None:
    """Refuse a log that parts from what is kept elsewhere, whose copies it would stand for.

    Args:
        like: the last record that is kept there.

    Raises:
        RetentionError: the record is not in the log as it is there.
    """
    try:
        next(reader.since(like), None)
    except LookupError:
        why = f"record {like.seq} of chain {like.chain} is another one in the archive"
        raise RetentionError("changed", why) from None


def tree_of(store: Store, start: Start | None) -> TiledFrontier:
    """The tree to go on with, whose tiles are there.

    Raises:
        RetentionError: the tiles of what was removed before are missing or changed.
        OSError: tiles cannot be written.
    """
    frontier = start.removal.tree if start is not None else Frontier()
    found = TiledFrontier.resume(store, frontier) or rebuilt(store, frontier)
    if found is None:
        raise RetentionError("tiles", "the tiles of records that were removed before are not there")
    store.touch()
    return found


def keep_tiles(store: Store, tree: TiledFrontier, before: Frontier) -> None:
    """Make the tiles of a tree durable, and read them again.

    Args:
        store: of the tiles.
        tree: over all that was read.
        before: what was removed already: its tiles are durable.

    Raises:
        RetentionError: they are not there as they were written.
        OSError: they cannot be written.
    """
    tree.flush()
    if tree.error is not None:
        raise tree.error
    sync_tiles(store, before.size, tree.size)
    again = before.copy()
    begin = before.size // WIDTH * WIDTH
    try:
        for row in leaves_of(store, tree.size, begin):
            leaves = row[max(again.size - begin, 0) * HASH :]
            again.extend(nodes_of(again.size, leaves))
            begin += WIDTH
    except LookupError as error:
        raise RetentionError("tiles", f"{error.args[0]} was not written") from None
    if again.peaks != tree.peaks:
        raise RetentionError("tiles", "the tiles are not those of the log")


def statement(part: Passed, first_seq: int, origin: str, key: Key, reason: str) -> Removal:
    """The signed statement that all records up to the end of a part are removed.

    Args:
        part: the last one that goes.
        first_seq: of the first record that goes now.
        origin, key: see ``signer_of``.
        reason: one line.
    """
    checkpoint, last = part.boundary.checkpoint, part.boundary.last
    made = Removal(
        v=VERSION,
        origin=origin,
        first_seq=first_seq,
        last_seq=last,
        records=last - first_seq + 1,
        last_hash=part.last_hash,
        frontier=part.tree.to_text(),
        size=checkpoint.head_seq,
        root_hash=checkpoint.root_hash,
        head_hash=checkpoint.head_hash,
        reason=reason,
        carried=part.carried,
        sig_alg=key.algorithm,
        key_id=key.key_id(origin) or "",
    )
    return signed(made, key)
