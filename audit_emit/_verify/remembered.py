"""The file of ``verify --remember``: what was verified, to be compared the next time.

A key can sign several logs, and an older copy of a log verifies, too. Remembering which chain was
verified, and how far it was signed, shows when another log or an older copy is in its place.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import structs

from audit_emit._readers.files.regular import open_regular
from audit_emit._runtime.atomic import replace_file
from audit_emit._verify.findings import Finding, Kind, Report
from audit_emit._verify.verify import Verified
from audit_emit.errors import MemoryFileError

VERSION = 1


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log as it was verified: which one, and how far it was signed."""

    origin: str
    chain: str
    size: int
    root: str


class Memory(msgspec.Struct, forbid_unknown_fields=True):
    """The content of the file: logs by the path under which they were verified."""

    v: int
    logs: dict[str, Seen]


def read(path: Path) -> Memory:
    """The file; empty where there is none.

    Raises:
        MemoryFileError: see there.
        OSError: it cannot be read, or is no regular file.
    """
    try:
        with os.fdopen(open_regular(str(path)), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return Memory(VERSION, {})
    try:
        found = msgspec.json.decode(data, type=Memory)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise MemoryFileError(f"{path} is no file of --remember; name another one") from None
    if found.v != VERSION:
        raise MemoryFileError(f"{path} is of version {found.v}, which this one does not know")
    return found


def remembered(verified: Verified, path: Path) -> Verified:
    """Compare a verdict with what was remembered of the log, and remember it if all is well.

    Returns:
        The verdict, with what was found.

    Raises:
        MemoryFileError: see there.
        OSError: the file cannot be read or written.
    """
    memory = read(path)
    name = os.path.realpath(verified.log)
    report = verified.report
    before = memory.logs.get(name)
    finding = _differs(before, report, path) if before is not None else None
    if finding is not None:
        counts = {**report.counts, finding.kind: report.counts.get(finding.kind, 0) + 1}
        made = structs.replace(report, findings=(*report.findings, finding), counts=counts)
        return verified._replace(report=made)
    if report.anchored_seq and not report.tampered:
        memory.logs[name] = Seen(
            report.origin, report.chain, report.anchored_seq, report.anchored_root
        )
        replace_file(path, msgspec.json.format(msgspec.json.encode(memory), indent=2) + b"\n")
    return verified


def _differs(before: Seen, report: Report, path: Path) -> Finding | None:
    file = path.name
    if not report.anchored_seq:
        return None  # nothing to compare: another finding says why there is no signature
    mine, theirs = (before.origin, before.chain), (report.origin, report.chain)
    if mine != theirs:
        note = "another log was verified here before"
        return Finding(
            Kind.ORIGIN_MISMATCH, file, expected=before.origin, actual=report.origin, note=note
        )
    if report.anchored_seq < before.size:
        note = "more records than these were signed when it was verified before"
        return Finding(
            Kind.TRUNCATED,
            file,
            seq=before.size,
            expected=before.size,
            actual=report.anchored_seq,
            note=note,
        )
    if report.anchored_seq == before.size and report.anchored_root != before.root:
        note = "another tree of this size was verified before"
        return Finding(
            Kind.CHECKPOINT_ROOT_MISMATCH,
            file,
            seq=before.size,
            expected=before.root,
            actual=report.anchored_root,
            note=note,
        )
    return None
