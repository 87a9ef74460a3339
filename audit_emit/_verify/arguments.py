"""What ``AuditLog.verify`` takes, as its callers have it, and as a verifier needs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypedDict

from audit_emit._format.record import ts_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.legacy import Boundary
from audit_emit._verify.verify import Options


class VerifyArguments(TypedDict, total=False):
    """What ``AuditLog.verify`` takes by name.

    Attributes:
        expect_heads: hashes that somebody has seen, by the number of their record.
        origin: the name that the log must have in its checkpoints.
        chain: the chain that it must be.
        anchor_required: with keys, the newest signature must be near the end of the log (the
            default).
        max_unanchored: how many records may come after it; by the log's own policy if not given.
        max_age: how many seconds old it may be; by the log's own policy if not given.
        as_of: the time by which its age is judged; now if not given.
        from_seq: only from this record on.
        since: only from this time on.
        until: only to the last record that is not later.
        legacy_before: records before this one (``"4711"``), or before this byte
            (``"offset:1024"``), may be older than the chain.
        remember: a file of the verifier's own that keeps what was verified, to be compared the
            next time.
        strict: parse the JSON of every record as well.
        jobs: how many processes may share the work; one by default.
        progress: called with the bytes that were read and the bytes that there are.
    """

    expect_heads: Mapping[int, str] | None
    origin: str
    chain: str
    anchor_required: bool
    max_unanchored: int | None
    max_age: float | None
    as_of: datetime | None
    from_seq: int
    since: datetime | None
    until: datetime | None
    legacy_before: str
    remember: str | os.PathLike[str] | None
    strict: bool
    jobs: int
    progress: Callable[[int, int], None] | None


def options_of(how: VerifyArguments, ring: KeyRing) -> Options:
    """What to verify with, and how.

    Raises:
        ValueError: a time has no zone, or ``legacy_before`` says no place.
    """
    legacy = how.get("legacy_before", "")
    return Options(
        ring=ring,
        heads=how.get("expect_heads") or {},
        origin=how.get("origin", ""),
        chain=how.get("chain", ""),
        anchor_required=how.get("anchor_required", True),
        max_unanchored=how.get("max_unanchored"),
        max_age=how.get("max_age"),
        as_of=ns_of_time(how.get("as_of")),
        from_seq=how.get("from_seq", 0),
        since=ts_of_time(how.get("since")),
        until=ts_of_time(how.get("until")),
        legacy=Boundary.parse(legacy) if legacy else Boundary(),
        strict=how.get("strict", False),
        jobs=how.get("jobs", 1),
        progress=how.get("progress"),
    )


def ts_of_time(time: datetime | None) -> str:
    """A time as records have it; empty for none.

    Raises:
        ValueError: it has no zone.
    """
    ns = ns_of_time(time)
    return "" if ns is None else ts_of(ns)


def ns_of_time(time: datetime | None) -> int | None:
    """A time in nanoseconds since 1970.

    Raises:
        ValueError: it has no zone.
    """
    if time is None:
        return None
    if time.tzinfo is None:
        raise ValueError("a time needs a zone, such as datetime.now(timezone.utc) has")
    seconds = time.replace(microsecond=0).timestamp()
    return int(seconds) * 10**9 + time.microsecond * 1000
