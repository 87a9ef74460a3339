"""How far a log is archived: its manifests in order, from the journal or from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from audit_emit._archive.journal import Journal
from audit_emit._checkpoints.beginning import after, first_position
from audit_emit._checkpoints.new_leaves import Position
from audit_emit._format.chain import Frontier
from audit_emit._format.manifest import Manifest, is_manifest
from audit_emit._format.record import Head
from audit_emit._format.record import parsed as record_in
from audit_emit._objects.bucket import Bucket
from audit_emit._objects.first import first_version, first_versions
from audit_emit._readers.archived.manifests import cold_logs, links
from audit_emit._readers.archived.vouching import vouched
from audit_emit._readers.base import LogReader
from audit_emit._readers.typed import records_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ArchiveError, CheckpointError

DECLARED = "audit.archived"
"""The type of the records that name a manifest."""


def start_of(last: Manifest | None) -> Position:
    """The position after the last record of a manifest; that of an empty log for ``None``."""
    if last is None:
        return Position.genesis()
    return Position(last.chain, last.tree(), last.last_hash, 0)


def based(first: Manifest) -> Position:
    """The position before the first record of the first manifest."""
    if not first.base:
        return Position.genesis()
    return Position(first.chain, Frontier.from_text(first.base), first.prev_hash, 0)


class Begun(NamedTuple):
    """The position at which the rest of a log begins: the tree so far, and its last record."""

    position: Position
    record: Head | None


def begun(reader: LogReader, ring: KeyRing) -> Begun:
    """The position at which a log begins, of which nothing is archived: after removed records.

    Raises:
        CheckpointError: records are gone, and no key of the ring signed their removal.
    """
    start = first_position(reader, ring)
    size = start.frontier.size
    return Begun(start, Head(start.chain, size, start.head, "") if size else None)


def head_after(last: Manifest | None) -> Head | None:
    """The last record that is in the archive."""
    return None if last is None else Head(last.chain, last.last_seq, last.last_hash, last.high_ts)


def in_store(bucket: Bucket, chain: str) -> list[Manifest]:
    """The manifests of one chain as the store has them now, in the order of their records.

    Raises:
        ArchiveError: an object in the place of a manifest is none.
        ObjectStoreError: the store gives no answer.
    """
    found = first_versions(bucket, lambda key: is_manifest(key) and f"/{chain}/" in f"/{key}")
    made = [parsed(key, bucket.small(key, version)) for key, version in found.items()]
    return sorted(made, key=lambda one: one.place)


def parsed(key: str, data: bytes) -> Manifest:
    """A manifest from the store.

    Raises:
        ArchiveError: the data is none, or it belongs under another key.
    """
    try:
        return Manifest.from_bytes(data, key)
    except ValueError as error:
        raise ArchiveError("manifest", f"{key}: {error}") from None


def same_there(bucket: Bucket, one: Manifest) -> None:
    """Check that the store has a manifest as it was put.

    Raises:
        ArchiveError: there is another one in its place.
        ObjectStoreError: it has none, or gives no answer.
    """
    if parsed(one.key, bucket.small(one.key, first_version(bucket, one.key))) != one:
        raise ArchiveError("altered", f"{one.key}: it is another one than was put there")


def trusted(one: Manifest, ring: KeyRing) -> None:
    """Refuse a manifest that no trusted key has signed.

    Raises:
        ArchiveError: none has.
    """
    verdict = one.check(ring)
    if verdict != "ok":
        why = "is forged" if verdict == "mismatch" else "is signed by a key that is not given"
        raise ArchiveError("manifest", f"the manifest of record {one.first_seq} {why}")


def known_manifests(
    bucket: Bucket, journal: Journal, reader: LogReader, ring: KeyRing, now: Callable[[], str]
) -> list[Manifest]:
    """The manifests of a log: from its journal, or from the store where the journal cannot be used.

    Args:
        reader: of the log.
        now: the time, as ``ts`` of a record.

    Raises:
        ArchiveError: those of the store are damaged, or of another log.
        ObjectStoreError: it gives no answer.
    """
    first = reader.bounds().first
    if first is None:
        return []
    known = journal.manifests(first.chain)
    if not known or not _are_sound(known, ring):
        known = in_store(bucket, first.chain)
        for key, why in links(known):
            raise ArchiveError("manifest", f"{key}: {why}")
        if known:
            trusted(known[-1], ring)
        for one in known:
            journal.add(now(), "confirmed", one, manifest=True)
    if known:
        _refuse_another(reader, known[-1])
    return known


def _are_sound(known: list[Manifest], ring: KeyRing) -> bool:
    """Whether they follow each other from the first one on, and a trusted key signed the last.

    Each names the SHA-256 of the one before it, so the signature of the last is on all of them.
    """
    return not any(links(known)) and known[-1].check(ring) == "ok"


def trusted_in_store(bucket: Bucket, chain: str, ring: KeyRing) -> tuple[list[Manifest], list[str]]:
    """The manifests of a chain in the store that a trusted key has signed; keys of the others.

    Raises:
        ObjectStoreError: the store gives no answer.
    """
    good: list[Manifest] = []
    wrong: set[str] = set()
    for cold in cold_logs(bucket, {"chain": chain}):
        wrong.update(key for key, _ in cold.wrong)
        good = vouched(cold.manifests, ring)
        wrong.update(one.key for one in cold.manifests)
    return good, sorted(wrong - {one.key for one in good})


def _refuse_another(reader: LogReader, last: Manifest) -> None:
    """Refuse a log that neither has the last archived record nor continues after it.

    Raises:
        ArchiveError: the log was cut, or written anew.
    """
    try:
        next(after(reader, start_of(last)), None)
    except CheckpointError:
        why = f"record {last.last_seq}, which is archived, is not in the log as it was"
        raise ArchiveError("not-extended", why) from None


def undeclared(reader: LogReader, manifests: Iterable[Manifest]) -> list[Manifest]:
    """The manifests that no record of the log names, in order; the log is read from its end."""
    left = {one.digest(): one for one in manifests}
    for _, line in records_of(reader, DECLARED) if left else ():
        record = record_in(line)
        left.pop(str(_digest_in(record.get("fields"))) if record else "", None)
        if not left:
            break
    return list(left.values())


def _digest_in(fields: Any) -> object:
    return fields.get("manifest_sha256") if isinstance(fields, dict) else None
