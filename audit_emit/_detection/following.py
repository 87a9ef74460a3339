"""A search that follows a log as it grows, and continues after a restart where it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import msgspec

from audit_emit._detection.alert import TAMPERED, Alert
from audit_emit._detection.delivery import Complain, Deliveries, Sink
from audit_emit._detection.detect import lines_of
from audit_emit._detection.engine import RECORD, Engine
from audit_emit._detection.integrity import integrity_alerts
from audit_emit._detection.memory import memory_of, restore
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.state import Progress, StateFile
from audit_emit._format.record import Head, head_of, parsed, ts_of
from audit_emit._readers.base import LogReader
from audit_emit._verify.verify import Options, verify_log
from audit_emit.errors import DetectionError

KEEP_SECONDS = 5.0
"""Seconds between two writes of the state while there is no alert."""

_TOLD = 10_000
_CARRIED = 8 << 20
"""Bytes of lines that no chained record has followed yet; what is more, verify tells of."""

_ANOMALY = b'"event_type":"' + RECORD.encode() + b'"'


class How(NamedTuple):
    """How a log is followed.

    Attributes:
        since: only alerts whose last record is not earlier, as ``ts``, where there is no state yet.
        verify: with which keys the log is verified; ``None``: it is not.
        verify_seconds: between two times.
        complain: says what went wrong.
        wanted: which alerts go to the sinks.
    """

    since: str
    verify: Options | None
    verify_seconds: float
    complain: Complain
    wanted: Callable[[Alert], bool] = lambda _: True


class Follower:
    """Follows one log.

    Args:
        opened: opens the log as it is by then.
        rules: what to look for.
        file: the state.
        sinks: makes those who take alerts, given the ids of alerts that are records already.
        how: see there.

    Raises:
        DetectionError: the state cannot be used: it is of another chain, or no state.
        OSError: the log or the state cannot be read.
    """

    def __init__(
        self,
        opened: Callable[[], LogReader],
        rules: RuleSet,
        file: StateFile,
        sinks: Callable[[set[str]], Iterable[Sink]],
        how: How,
    ) -> None:
        self._opened = opened
        self._rules = rules
        self._file = file
        self._how = how
        self._engine = Engine(rules)
        self._head: Head | None = None
        self._since = how.since
        self._after: Head | None = None
        self._told: dict[str, None] = {}
        self._kept = 0.0
        self._verified = -how.verify_seconds
        pending: dict[str, list[Alert]] = {}
        known: set[str] = set()
        progress = file.load()
        if progress is not None:
            pending = progress.pending
            self._told = dict.fromkeys(progress.told)
            self._resume(progress)
            known = self._recorded()
        self._deliveries = Deliveries(sinks(known), pending, how.complain)

    def _resume(self, progress: Progress) -> None:
        """Go on where the state says, or, with other rules, look at everything before anew."""
        self._since = ""
        head = progress.head
        if head is None:
            return
        with self._opened() as reader:
            first = reader.bounds().first
        if first is not None and first.chain != head.chain:
            raise self._file.unusable(
                f"is of the chain {head.chain}, and the log is of {first.chain}"
            )
        self._engine.chain = head.chain
        if progress.rules == self._rules.digest and progress.memory is not None:
            try:
                restore(self._engine, progress.memory)
            except msgspec.MsgspecError:
                raise self._file.unusable("is no state of these rules") from None
            self._head = head
        else:
            self._how.complain("the rules have changed: the log is looked at from its beginning")
            self._after = head

    def _recorded(self) -> set[str]:
        """Alerts that are records already, though the state does not know it."""
        found: set[str] = set()
        try:
            with self._opened() as reader:
                for lines in lines_of(reader.since(self._head), reader):
                    for line in lines:
                        if _ANOMALY in line:
                            record = parsed(line) or {}
                            fields = record.get("fields")
                            if record.get("event_type") != RECORD:
                                continue  # an event that only quotes it
                            if isinstance(fields, dict) and isinstance(fields.get("id"), str):
                                found.add(fields["id"])
        except LookupError:
            pass  # the first round tells it
        return found

    def round(self) -> list[Alert]:
        """Look at what is new, and deliver; the alerts that are new.

        Raises:
            LookupError: the log no longer has the record that was looked at last; the alert that
                says so is delivered, or kept.
            DetectionError, OSError: the log or the state cannot be read or written.
        """
        found: list[Alert] = []
        lost = False
        if not self._deliveries.is_full:
            try:
                # What was found before a failure stays in the list.
                found.extend(filter(self._how.wanted, chain(self._verdict(), self._new())))
            except LookupError:
                found.append(self._gone())
                lost = True
            finally:
                self._deliveries.add(found)
        now = time.monotonic()
        if found or now - self._kept >= KEEP_SECONDS:
            self.keep()  # before anything is delivered: what is known now is told once
        if self._deliveries.deliver(now):
            self.keep()
        if lost:
            raise LookupError("the log no longer has the last record that was looked at")
        return found

    def keep(self) -> None:
        """Keep the state."""
        self._kept = time.monotonic()
        self._file.keep(
            Progress(
                self._rules.digest,
                self._head,
                memory_of(self._engine),
                self._deliveries.pending(),
                list(self._told),
            )
        )

    def _new(self) -> Iterator[Alert]:
        with self._opened() as reader:
            for lines in self._chained(reader):
                yield from filter(self._is_new, self._engine.feed(lines))
        yield from filter(self._is_new, self._engine.now(time.time_ns()))
        self._since, self._after = "", None

    def _is_new(self, alert: Alert) -> bool:
        """Whether an alert was not reported before the rules changed, or is not too old."""
        if self._after is None:
            return alert.at >= self._since
        if not alert.seqs or alert.seqs[-1] > self._after.seq:
            return True  # what is about no record is about this search
        return alert.at > self._after.ts  # a silence

    def _chained(self, reader: LogReader) -> Iterator[list[bytes]]:
        """Lines up to a record of the chain, behind which the next round can go on."""
        carried: list[bytes] = []
        for lines in lines_of(reader.since(self._head), reader):
            cut, head = _last_chained(lines)
            if head is not None:
                if self._head is not None and head.chain != self._head.chain:
                    raise DetectionError(
                        f"the log is of the chain {self._head.chain} and goes on with records of "
                        f"{head.chain}"
                    )
                self._head = head
                yield carried + lines[:cut]
                carried = lines[cut:]
            else:
                carried += lines
            if sum(map(len, carried)) > _CARRIED:
                carried = []

    def _verdict(self) -> Iterator[Alert]:
        """The findings of ``verify`` that were not reported yet."""
        how, now = self._how, time.monotonic()
        if how.verify is None or now - self._verified < how.verify_seconds:
            return
        self._verified = now
        with self._opened() as reader:
            report = verify_log(reader, how.verify).report
        for alert in integrity_alerts(report):
            if alert.id not in self._told:
                self._told[alert.id] = None
                yield alert
        while len(self._told) > _TOLD:
            del self._told[next(iter(self._told))]

    def _gone(self) -> Alert:
        head = self._head or Head("", 0, "", "")
        return Alert(
            rule=TAMPERED,
            title="Log Was Cut Or Replaced",
            level="critical",
            chain=head.chain,
            seqs=(head.seq,),
            group={},
            first_ts=head.ts,
            last_ts=ts_of(time.time_ns()),
            reason=f"record {head.seq}, the last one that was looked at, is no longer in the log",
            tags=("attack.impact", "attack.t1565.001"),
        )


def _last_chained(lines: list[bytes]) -> tuple[int, Head | None]:
    """Where the last record of a chain ends among these lines, and its place."""
    for number in range(len(lines), 0, -1):
        head = head_of(lines[number - 1])
        if head is not None:
            return number, head
    return 0, None
