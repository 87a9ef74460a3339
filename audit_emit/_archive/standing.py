"""Whether archived objects were taken away, and whether the log is still being signed.

A run that finds nothing to archive must not look successful where manifests were removed from the
store, or where nobody signs the log any more, so that nothing of it can be archived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from audit_emit._archive.sources import Source, checkpoint_lines, whole_blocks
from audit_emit._archive.state import same_there
from audit_emit._format.line_splitter import may_be_chained
from audit_emit._format.manifest import Manifest
from audit_emit._format.record import head_of, parsed, ts_of
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.base import MISSING, Flaw, LogReader
from audit_emit._readers.typed import is_of_type
from audit_emit.errors import ArchiveError, ObjectStoreError

UNSIGNED_DAYS = 2
"""A record that is unsigned for longer than this does not just wait for the next checkpoint."""

_DAY_NS = 86_400 * 10**9
_CHECKPOINT = "audit.checkpoint"


def lost(bucket: Bucket, last: Manifest) -> str:
    """Whether the store still has the newest manifest; why not, or an empty text.

    Raises:
        ObjectStoreError: the store gives no answer.
    """
    try:
        same_there(bucket, last)
    except ArchiveError as error:
        return str(error)
    except ObjectStoreError as error:
        if error.reason not in {"not-found", "too-long"}:
            raise
        return f"{last.key}: the manifest, which was there, is gone"
    return ""


def unknown(lines: Iterable[bytes], known: Sequence[Manifest], last: int, where: str) -> str:
    """Whether the log names a newer manifest than those that are known; which, or an empty text.

    Args:
        lines: of the log, that name manifests.
        known: of the store.
        last: the last record that the store had when the run began.
        where: the address of the archive, as records name it.
    """
    there = {one.digest() for one in known}
    for line in lines:
        fields = (parsed(line) or {}).get("fields")
        if not isinstance(fields, dict) or fields.get("archive") != where:
            continue
        with suppress(TypeError, ValueError, LookupError, OverflowError):
            if int(fields["last_seq"]) > last and fields["manifest_sha256"] not in there:
                return f"{fields['manifest']}: the manifest, which the log names, is gone"
    return ""


def later(reader: LogReader, seq: int, event_type: str) -> Iterator[bytes]:
    """The records of a type after a record, and perhaps some from before it.

    Raises:
        ArchiveError: something of it is damaged.
        OSError: it cannot be read.
    """
    found = reader.blocks(from_seq=seq + 1)
    for data in whole_blocks(one for one in found if getattr(one, "kind", "") != MISSING):
        for _, line in may_be_chained(data):
            if is_of_type(line, event_type):
                yield line


def late(source: Source, signed: int, now_ns: int) -> str:
    """Why new records of a log cannot be archived, as they are not signed; empty if they are.

    Args:
        signed: the newest record that a checkpoint by a key of the archiver covers; 0 for none.
        now_ns: the wall clock.

    Raises:
        OSError: the log cannot be read.
    """
    if source.ended:
        return ""
    if not signed and next(checkpoint_lines(source.reader), None) is not None:
        return "no checkpoint of the log is by a key that is given (--key): nothing can be archived"
    return _unsigned(source.reader, signed, ts_of(now_ns - UNSIGNED_DAYS * _DAY_NS))


def _unsigned(reader: LogReader, signed: int, before: str) -> str:
    """Which record before a time is still not signed, in a sentence; empty for none.

    Args:
        signed: the newest record that a checkpoint covers. Those that only name a checkpoint need
            no other one.
        before: the time, as ``ts`` of a record.
    """
    newest = reader.bounds().last
    if newest is None or newest.seq <= signed:
        return ""
    found = reader.blocks(from_seq=signed + 1)
    for data in whole_blocks(one for one in found if not isinstance(one, Flaw)):
        for _, line in may_be_chained(data):
            head = head_of(line)
            if head is None or head.seq <= signed:
                continue
            if (parsed(line) or {}).get("event_type") == _CHECKPOINT:
                continue
            if head.ts >= before:
                return ""
            return (
                f"record {head.seq} of {head.ts} is not signed yet, so what came since is not "
                "archived; see whether a signer is at work (audit-emit doctor)"
            )
    return ""
