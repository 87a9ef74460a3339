"""One erasure: mark, destroy, read back, record; each step may be the last one and is gone on with.

The store of keys remembers how far it came, so whoever runs it again finishes it: a key that is
marked is given out no more, one that is destroyed and not yet recorded has left its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from audit_emit._format.line_splitter import split_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import head_of, parsed
from audit_emit._loki.records import hash_holds
from audit_emit._readers.base import LogReader
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._subjects.sealed import PREFIX
from audit_emit._subjects.store import DESTROYED, ERASED, LIVE, MARKED, KeyStore, Tombstone

__all__ = ["ALLOWED_TYPE", "ERASED_TYPE", "Erasable", "Erased", "Request", "erase", "revived"]

ERASED_TYPE = "audit.erased"
ALLOWED_TYPE = "audit.subject_allowed"
_TYPE = f'"event_type":"{ERASED_TYPE}"'.encode()

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes that there are."""


class Request(NamedTuple):
    """What the operator says of an erasure; empty where nothing is known.

    Attributes:
        requested_at: when it was asked for, as records have ``ts``.
        reference: of the operator's own files, such as ``DSR-2026-0042``.
        backups_until: the day by which backups of the store of keys are gone.
    """

    requested_at: str = ""
    reference: str = ""
    backups_until: str = ""


class Erasable(NamedTuple):
    """One log in which a person is.

    Attributes:
        name: for people.
        open: gives a reader of it.
        record: appends a record about the log itself, durably.
    """

    name: str
    open: Callable[[], LogReader]
    record: Callable[[str, dict[str, Any]], None]


class Traces(NamedTuple):
    """What a log has of a key.

    Attributes:
        records, first, last: how many records have something sealed under it or its pseudonym,
            and their numbers.
        told: whether the log says already that it was erased.
    """

    records: int = 0
    first: int = 0
    last: int = 0
    told: bool = False


class Erased(NamedTuple):
    """What was done.

    Attributes:
        found: what is left of the key: nothing where the person was erased before.
        destroyed: whether it was there until now.
        logs: of each log its name, what it has of the key, and whether a record was appended.
    """

    found: Tombstone
    destroyed: bool
    logs: list[tuple[str, Traces, bool]]


def erase(
    store: KeyStore,
    found: Tombstone,
    logs: Sequence[Erasable],
    request: Request,
    progress: Progress | None = None,
) -> Erased:
    """Destroy a key and have every log say so, from wherever an earlier run came to.

    Args:
        store: keeps erasures apart (``apart``); the caller holds that.
        found: the key, or what is left of it.
        logs: those that are to say so.

    Raises:
        KeyStoreError: the store did not do it; run again.
        SinkError: a log could not be written to. The key is destroyed by then; run again.
        OSError: a log cannot be read; the same.
    """
    if found.state == ERASED:
        return Erased(found, False, [])
    was_there = found.state in {LIVE, MARKED}
    if found.state == LIVE:
        found = store.mark(found)
    if found.state == MARKED:
        found = store.destroy(found)
    done = []
    for log in logs:
        with log.open() as reader:
            seen = traces(reader, found, progress)
        # A key that was there although the log calls it erased came back with a restored store.
        tells = was_there or not seen.told
        if tells:
            log.record(ERASED_TYPE, _fields(store, found, seen, request))
        done.append((log.name, seen, tells))
    store.settle(found)
    return Erased(found, was_there, done)


def _fields(store: KeyStore, found: Tombstone, seen: Traces, request: Request) -> dict[str, Any]:
    """See docs/wire-format.md, section 12."""
    return {
        "subject": found.pseudonym,
        "key_id": found.sha256[:16],
        "key_sha256": found.sha256,
        "store": store.kind,
        "method": store.method,
        "requested_at": request.requested_at,
        "reference": request.reference,
        "sealed_records": seen.records,
        "first_seq": seen.first,
        "last_seq": seen.last,
        "backups_until": request.backups_until,
    }


def traces(reader: LogReader, found: Tombstone, progress: Progress | None = None) -> Traces:
    """What a log has of a key; one pass, in constant memory."""
    sealed = f"{PREFIX}{found.sha256[:16]}:".encode()
    actor = f'"user_id":"{found.pseudonym}"'.encode()
    count = first = last = 0
    told = False
    for line in _lines_with(reader, (sealed, actor, _TYPE), progress):
        head = head_of(line)
        if head is None:
            continue
        if _TYPE in line and _erased_hash(line) == found.sha256:
            told = True
        elif sealed in line or actor in line:
            count, first, last = count + 1, first or head.seq, head.seq
    return Traces(count, first, last, told)


def revived(
    store: KeyStore, reader: LogReader, progress: Progress | None = None
) -> list[Tombstone]:
    """Keys that a log calls erased and that the store has all the same, as a restored one does.

    Also those of erasures that did not come to their end. A key is known by its whole hash, which
    nobody can state who has not had the key.
    """
    here = {one.sha256: one for one in store.all() if one.state in {LIVE, MARKED, DESTROYED}}
    found = {one.sha256: one for one in here.values() if one.state in {MARKED, DESTROYED}}
    for line in _lines_with(reader, (_TYPE,), progress):
        digest = _erased_hash(line)
        if digest in here:
            found[digest] = here[digest]
    return list(found.values())


def _erased_hash(line: bytes) -> str:
    """The hash of the key that a record calls erased; empty for a line that is no such record."""
    record = parsed(line) if link_of(line) is not None and hash_holds(line) else None
    if record is None or record.get("event_type") != ERASED_TYPE:
        return ""
    fields = record.get("fields")
    digest = fields.get("key_sha256") if isinstance(fields, dict) else None
    return digest if isinstance(digest, str) else ""


def _lines_with(
    reader: LogReader, needles: Sequence[bytes], progress: Progress | None
) -> Iterator[bytes]:
    """The lines of a log that hold one of some texts, oldest first, without newlines."""
    done = 0
    for block in whole_lines_of(reader.blocks()):
        done += len(block)
        if any(needle in block for needle in needles):
            for line in split_lines(block):
                if any(needle in line for needle in needles):
                    yield line
        if progress is not None:
            progress(done, max(reader.size, done))
