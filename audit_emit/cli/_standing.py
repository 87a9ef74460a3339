"""The state of a log, as its files have it: nothing is verified here, and nothing is written."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from audit_emit._facade.anchors import standing_of
from audit_emit._facade.records import time_of, ts_of
from audit_emit._facade.reports import MOST, NO_TRAIL, Trail, recent_alerts
from audit_emit._facade.settings import is_address, settings
from audit_emit._facade.verdicts import read as read_memory
from audit_emit.cli._chain_service import service_of
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import name_of
from audit_emit.errors import ConfigError, UnsupportedError
from audit_emit.log import AuditLog
from audit_emit.log import Standing as Stands

LITTLE_SPACE = 64 * 1024 * 1024
"""Bytes free on the disk below which a log may soon not be written to."""


CONSOLE = "audit-console"
"""The service of the console's own events."""


class Signed(msgspec.Struct):
    """The newest checkpoint.

    Attributes:
        trusted: a key that was given has signed it.
        unsigned: records that came after it.
    """

    head_seq: int
    at: str
    key: str
    trusted: bool
    unsigned: int


class Verified(msgspec.Struct):
    """What ``verify --remember`` has kept: how far the log was signed then, and when that was."""

    head_seq: int
    at: str


class Files(msgspec.Struct):
    """The store: what it holds, and what room there is.

    Attributes:
        active: its active segment.
        segments: how many files it has, with that one.
        bytes: of all of them, packed ones as they are stored.
        torn: the active segment ends inside a line.
        free: bytes on its disk; ``None`` where that cannot be told.
    """

    active: str
    segments: int
    bytes: int
    torn: bool
    free: int | None


class Alerts(msgspec.Struct):
    """Alerts of the last days that are records of the log (``audit.anomaly``).

    Attributes:
        open: how many nobody has acknowledged.
        acknowledged: how many somebody has.
        newest: the newest open one: ``ts``, ``level``, ``rule`` and ``title``.
        of_newest: 0 where all were looked at; else only this many were, the newest ones.
    """

    open: int
    acknowledged: int
    newest: dict[str, str] | None = None
    of_newest: int = 0


class Standing(msgspec.Struct):
    """The state of one log at one moment.

    Attributes:
        last: its newest record.
        alerts: ``None`` where they could not be looked for.
        outside: which witnesses and anchors have its checkpoints, as the files beside it say.
        problems: what should be looked at, in sentences.
        status: the exit status that this is.
    """

    log: str
    looked_at: str
    service: str = ""
    chain: str = ""
    head_seq: int = 0
    head_hash: str = ""
    last: dict[str, Any] | None = None
    signed: Signed | None = None
    verified: Verified | None = None
    files: Files | None = None
    alerts: Alerts | None = None
    outside: dict[str, Any] = {}
    problems: list[str] = []
    status: int = 0


def trail_of_console(given: str = "") -> Trail:
    """The log of the console's own events, where operators acknowledge alerts.

    Args:
        given: where it is; empty for the one that this environment configures.
    """
    if given:
        return Trail(given, CONSOLE)
    try:
        return Trail.of(settings({"service": CONSOLE}))
    except ConfigError:
        return NO_TRAIL  # what is wrong with the environment is said where something is emitted


def alerts_of(log: AuditLog, trail: Trail = NO_TRAIL) -> Alerts | None:
    """The alerts of a log; ``None`` where a part of it, or of the trail, cannot be read."""
    try:
        found, cut = recent_alerts(log.path, time.time_ns(), trail)
    except (OSError, UnsupportedError, ConfigError):
        return None
    still = [one for one in found if one.acknowledged is None]
    newest = None
    if still:
        newest = {name: str(getattr(still[-1], name)) for name in ("ts", "level", "rule", "title")}
    return Alerts(len(still), len(found) - len(still), newest, MOST if cut else 0)


def standing(log: AuditLog, memory: Path | None = None, alerts: Alerts | None = None) -> Standing:
    """Look at a log.

    Args:
        alerts: that were looked for.
        memory: the file of ``verify --remember``.

    Raises:
        OSError: a file cannot be read.
        MemoryFileError: ``memory`` is no such file.
    """
    found = Standing(name_of(log.path), ts_of(time.time_ns()), alerts=alerts)
    stands, newest = log.standing(), log.newest(1)
    head = stands.head
    if newest:
        found.last = newest[0]
        by = newest[0].get("service", "") if is_address(log.path) else service_of(log)
        found.service = str(by or "")
    if head is not None:
        found.chain, found.head_seq, found.head_hash = head.chain, head.seq, head.hash
    found.files = None if is_address(log.path) else _files(log)
    found.signed = _signed(stands)
    if found.files is not None and found.signed is not None:
        found.outside = standing_of(os.path.dirname(found.files.active))
    if memory is not None:
        seen = read_memory(memory).logs.get(os.path.realpath(log.path))
        if seen is not None:
            found.verified = Verified(seen.size, ts_of(memory.stat().st_mtime_ns))
    _judge(found)
    return found


def _files(log: AuditLog) -> Files:
    with log.follow() as growing:
        paths = [path for path in growing.paths() if os.path.lexists(path)]
        torn = bool(growing.torn(1))
        active = growing.path
    size = sum(os.lstat(path).st_size for path in paths)
    try:
        disk = os.statvfs(os.path.dirname(active) or ".")
    except (OSError, AttributeError):
        return Files(active, len(paths), size, torn, None)
    return Files(active, len(paths), size, torn, disk.f_bavail * disk.f_frsize)


def _signed(stands: Stands) -> Signed | None:
    one = stands.signed
    if one is None:
        return None
    return Signed(one.head_seq, one.at, one.key_id, stands.trusted, stands.unsigned)


def _judge(found: Standing) -> None:
    """Add the problems, and set the exit status; a later check overrides an earlier one."""
    if found.last is None:
        found.status = Exit.NOTHING
    if found.files is not None and found.files.torn:
        found.problems.append("the last line is torn, or still being written")
        found.status = Exit.INCOMPLETE
    free = None if found.files is None else found.files.free
    if free is not None and free < LITTLE_SPACE:
        found.problems.append(f"only {free:,} bytes are free on its disk")
        found.status = Exit.FINDINGS
    if found.outside.get("findings"):
        found.problems += found.outside["findings"]
        found.status = Exit.FINDINGS
    signed, verified = found.signed, found.verified
    if signed is not None and signed.head_seq > found.head_seq:
        found.problems.append(
            f"{signed.head_seq} records were signed, and the log ends at {found.head_seq}: "
            "audit-emit verify"
        )
        found.status = Exit.FINDINGS
    if verified is not None and verified.head_seq > found.head_seq:
        found.problems.append(
            f"{verified.head_seq} records were verified, and the log ends at {found.head_seq}: "
            "audit-emit verify --remember"
        )
        found.status = Exit.FINDINGS


def seconds_between(ts: str, later: str) -> float | None:
    """The time from one ``ts`` to a later one; ``None`` where one is none."""
    first, last = time_of(ts), time_of(later)
    return None if first is None or last is None else (last - first) / 1e9
