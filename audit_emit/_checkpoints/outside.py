"""Brings the newest checkpoint of a log outside: to witnesses, and to the places that anchor it.

That takes time, and others decide how much of it. So it has a thread of its own: neither the one
that writes nor the one that signs waits for it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from audit_emit._checkpoints.anchoring import Anchors, places
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.witnessing.kept import POLICY, Attempt, Kept
from audit_emit._format.record import ts_of
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import Background, weak_callback
from audit_emit.errors import AuditEmitError, ConfigError

SECONDS = 60.0
"""Seconds between two rounds."""


class Brought(NamedTuple):
    """The result of one round.

    Attributes:
        size: of the checkpoint; 0 where there is none.
        witnesses: the attempt with each that was asked, by key id.
        anchors: by place, what went wrong there, or nothing; those that had it are left out.
        error: why nothing could be done.
    """

    size: int
    witnesses: dict[str, Attempt]
    anchors: Mapping[str, str] = MappingProxyType({})
    error: str = ""


class Outside:
    """The newest checkpoint of one signer, outside.

    Args:
        signer: of the log.
        environ: names the places that anchor it (``AUDIT_EMIT_ANCHORS``). Where one of them is no
            address, ``error`` says so, and no place is used: events are recorded all the same.
    """

    def __init__(self, signer: Checkpointer, environ: Mapping[str, str] = os.environ) -> None:
        self._signer = signer
        self._misconfigured = ""
        where: tuple[str, ...] = ()
        try:
            where = places(environ)
        except ConfigError as error:
            self._misconfigured = str(error)
        self._anchors = Anchors(signer.layout.directory, where)
        self._directory = signer.layout.directory
        self._kept = Kept(self._directory)
        self.reset()

    def reset(self) -> None:
        """Start again in a forked child, which has no thread."""
        self._thread: Background | None = None
        self._next = 0.0
        self.error = self._misconfigured

    @property
    def is_configured(self) -> bool:
        """Whether there is a witness or a place to send checkpoints to."""
        return bool(self._anchors.places) or os.path.lexists(os.path.join(self._directory, POLICY))

    def look(self) -> None:
        """Start a round in the thread, if one is due; returns at once."""
        now = time.monotonic()
        if now < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = now + SECONDS
        if not self.is_configured:
            return
        thread = Background()
        try:
            thread.start(weak_callback(self.bring))
        except RuntimeError as error:
            let_through(error)
            return
        self._thread = thread

    def bring(self) -> Brought:
        """Do one round now. It never raises an ``Exception``: errors are in the result."""
        # HTTP is imported by those who have witnesses, in this thread.
        from audit_emit._checkpoints.witnessing.collect import collect  # noqa: PLC0415

        try:
            newest = self._signer.newest()
            if newest is None:
                return self._done(Brought(0, {}))
            with self._signer.reader() as reader:
                asked = collect(self._kept, reader, newest, self._signer.ring)
            anchored = self._anchors.bring(newest)
            why = "; ".join(f"{place}: {what}" for place, what in anchored.items() if what)
            self.error = self._misconfigured or why
            return Brought(newest.head_seq, asked, anchored)
        except (OSError, ValueError, LookupError, AuditEmitError) as error:
            return self._done(Brought(0, {}, error=str(error)))
        except Exception as error:  # noqa: BLE001 - never the application's trouble
            let_through(error)
            return self._done(Brought(0, {}, error=type(error).__name__))

    def _done(self, brought: Brought) -> Brought:
        self.error = brought.error or self._misconfigured
        return brought

    def report(self) -> dict[str, Any]:
        """For ``health``; see ``standing_of``, and ``last_error`` of this process."""
        return {**standing_of(self._directory), "last_error": self.error or None}


def standing_of(directory: str) -> dict[str, Any]:
    """Which checkpoints of a log are outside, as the files in its directory say.

    Args:
        directory: of the log, or of the state of its signer.

    Returns:
        ``witnesses``: how many are asked; ``cosigned_at`` and ``cosigned_seq`` of the last
        cosignature, ``anchored_at`` and ``anchored_seq`` of the last anchor (seconds since 1970;
        ``None`` without one); ``findings``: sentences about witnesses that know another history;
        ``unnoticed``: what ``verify`` would not notice, for people.
    """
    kept = Kept(directory)
    findings: list[str] = []
    asked: dict[str, str] = {}
    try:
        policy = kept.policy()
        if policy is not None:
            asked = {one.key.key_id: one.key.name for one in policy.witnesses.values() if one.url}
    except (OSError, ValueError) as error:
        findings.append(f"{POLICY}: {error}")
    known = kept.attempts() if asked else {}
    attempts = {each: one for each, one in known.items() if each in asked}
    cosigned = max(attempts.values(), key=lambda one: one.cosigned_size, default=None)
    anchored = max(Anchors(directory, ()).done(), key=lambda one: one.size, default=None)
    findings += [
        f"witness {asked[each]}: {finding_of(one)}"
        for each, one in attempts.items()
        if one.is_finding
    ]
    seen = max(cosigned.cosigned_size if cosigned else 0, anchored.size if anchored else 0)
    return {
        "witnesses": len(asked),
        "cosigned_at": cosigned.cosigned_at or None if cosigned else None,
        "cosigned_seq": cosigned.cosigned_size or None if cosigned else None,
        "anchored_at": anchored.at if anchored else None,
        "anchored_seq": anchored.size if anchored else None,
        "findings": findings,
        "unnoticed": unnoticed(seen),
    }


def in_words(standing: Mapping[str, Any]) -> str:
    """Which checkpoints others have, since when, and what ``verify`` would not notice.

    Args:
        standing: what ``standing_of`` gives.
    """
    parts = []
    for word in ("cosigned", "anchored"):
        seq, at = standing[f"{word}_seq"], standing[f"{word}_at"]
        if seq:
            since = f" at {ts_of(at * 10**9)}" if at is not None else ""
            parts.append(f"{word} up to record {seq:,}{since}")
    return "; ".join([*parts, standing["unnoticed"]])


def unnoticed(seen: int) -> str:
    """What somebody with the log and its key could change without ``verify`` noticing.

    Args:
        seen: records of the newest checkpoint that somebody else has; 0 for none.
    """
    if not seen:
        return "nobody else has a checkpoint: who has the key can write another past, unnoticed"
    return f"who has the key can write another past after record {seen}, unnoticed"


def finding_of(attempt: Attempt) -> str:
    """What a witness that knows another history has seen, in words."""
    if attempt.state == "ahead":
        return f"it has cosigned more than is signed here: {attempt.note}"
    return f"it has cosigned another history: {attempt.note}"
