"""The arguments of ``AuditLog.verify``, and their conversion to ``Options``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from audit_emit._format.record import ts_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.legacy import Boundary
from audit_emit._verify.others import Sources, others_of
from audit_emit._verify.verify import Options


class VerifyArguments(TypedDict, total=False):
    """The keyword arguments of ``AuditLog.verify``.

    Attributes:
        expect_heads: hashes that records must have (64 hex digits), by ``seq``.
        origin: the name that the log must have in its checkpoints.
        chain: the chain that it must be.
        anchor_required: with keys, the newest signature must be near the end of the log (the
            default).
        max_unanchored: how many records may follow it; by the log's own policy if not given.
        max_age: how many seconds old it may be; by the log's own policy if not given.
        as_of: the time by which its age is judged; now if not given.
        from_seq: only from this record on.
        since: only from this time on.
        until: only to the last record that is not later.
        legacy_before: records before this one (``"4711"``), or before this byte
            (``"offset:1024"``), may be older than the chain.
        witnesses: who must have cosigned the log: verifier keys, or files of them; an empty list
            is an error, as it would demand nothing.
        quorum: how many of ``witnesses`` are enough; all of them if not given.
        policy: the file of a C2SP tlog-policy, instead of ``witnesses``; the keys of logs in it
            are trusted, too.
        anchors: files with checkpoints that were kept elsewhere: ``anchors.jsonl``, or a signed
            note; an empty list is an error, too.
        tsa_certificates: a file with root certificates of a timestamp authority (PEM): then only
            what it stamped counts as an anchor.
        remember: a file that keeps what was verified, to be compared the next time.
        strict: parse the JSON of every record as well.
        jobs: how many processes may share the work; one by default.
        progress: called with the number of bytes read, and of all bytes.
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
    witnesses: Sequence[str]
    quorum: int | None
    policy: str | os.PathLike[str] | None
    anchors: Sequence[str | os.PathLike[str]]
    tsa_certificates: str | os.PathLike[str] | None
    remember: str | os.PathLike[str] | None
    strict: bool
    jobs: int
    progress: Callable[[int, int], None] | None


def options_of(how: VerifyArguments, ring: KeyRing) -> Options:
    """The same as ``Options``; files of keys, policies and anchors are read here.

    Raises:
        ValueError: a time has no zone, ``legacy_before`` is no place, or the content of a file
            cannot be used.
        ModuleNotFoundError: a timestamp cannot be checked without an extra.
        OSError: a file cannot be read.
    """
    legacy = how.get("legacy_before", "")
    whole = how.get("from_seq", 0) <= 1 and not how.get("since") and not how.get("until")
    others = others_of(_sources(how), ring, whole=whole)
    return Options(
        ring=others.ring,
        witnesses=others.policy,
        anchors=others.anchors,
        stamped=others.stamped,
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


def _sources(how: VerifyArguments) -> Sources:
    # An empty list that was meant to have something in it would demand nothing of the log.
    if "witnesses" in how and not how["witnesses"]:
        raise ValueError("no witness is named; leave witnesses out where none must have cosigned")
    if "anchors" in how and not how["anchors"]:
        raise ValueError("no file of anchors is named; leave anchors out where there is none")
    return Sources(
        how.get("witnesses", ()),
        how.get("quorum"),
        how.get("policy"),
        how.get("anchors", ()),
        how.get("tsa_certificates"),
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
