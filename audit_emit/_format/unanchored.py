"""The records that no signature covers yet: how many there may be, and how old. Pure.

An attacker who can write to a log can extend it, so the records after the newest signature must be
few and young. How often a log is signed is recorded in its own ``audit.started``, which is trusted
if a signature covers that record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from audit_emit._format.record import ts_of

SECOND = 10**9
BURST = 3 * SECOND
"""Nanoseconds that the signer may need: it checks the log every second, and then reads and signs
the new records. Records may be that young without a signature, however many they are."""

_FOREVER = 1 << 32
_TS = slice(7, 37)
_KIND_AT = 36
_CHECKPOINT = b'Z","event_type":"audit.checkpoint",'


class Policy(NamedTuple):
    """How often a log is signed.

    Attributes:
        every: records.
        interval: seconds.
        told: whether a signed record states it; if not, it is the default for logs without one.
    """

    every: int = 10_000
    interval: float = 3600.0
    told: bool = False

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Policy | None:
        """The policy in ``fields`` of ``audit.started``; ``None`` if they have none."""
        every, interval = fields.get("checkpoint_every"), fields.get("checkpoint_interval")
        if type(every) is not int or isinstance(interval, bool):
            return None
        if not isinstance(interval, int | float) or every < 1 or not 0 < interval < _FOREVER:
            return None
        return cls(every, float(interval), told=True)


class Times(NamedTuple):
    """Records at the end of a log, by their ``ts``.

    Attributes:
        events: how many.
        settled: how many of them are so old that they should be signed by now.
        earliest, latest: the lowest and the highest ``ts``; empty when there is none.
    """

    events: int = 0
    settled: int = 0
    earliest: bytes = b""
    latest: bytes = b""

    def join(self, other: Times) -> Times:
        """Both."""
        return Times(
            self.events + other.events,
            self.settled + other.settled,
            min(filter(None, (self.earliest, other.earliest)), default=b""),
            max(self.latest, other.latest),
        )


class Tail(NamedTuple):
    """Records at the end of a log.

    Attributes:
        others: all records but those of type ``audit.checkpoint``.
        about: records of type ``audit.checkpoint``.
    """

    others: Times = Times()
    about: Times = Times()

    def join(self, other: Tail) -> Tail:
        """Both."""
        return Tail(self.others.join(other.others), self.about.join(other.about))

    def counted(self, checkpoints: int) -> Times:
        """The records that should be signed.

        Args:
            checkpoints: how many checkpoints cover its beginning or more. One record
                ``audit.checkpoint`` for each of them need not be signed; any further ones are
                counted, as an attacker may have written them.
        """
        more = self.about.events - checkpoints
        if more <= 0:
            return self.others
        settled = max(self.about.settled - checkpoints, 0)
        return self.others.join(self.about._replace(events=more, settled=settled))


class Watch(NamedTuple):
    """Which records are counted one by one.

    Attributes:
        after: only records with a higher ``seq``.
        low, high: records with a ``ts`` between these may not be signed yet.
    """

    after: int
    low: bytes
    high: bytes

    @classmethod
    def at(cls, as_of: int, after: int) -> Watch:
        """The watch for a time in nanoseconds since 1970."""
        return cls(after, moment(as_of - BURST).encode(), moment(as_of + BURST).encode())

    def tail(self, lines: Iterable[bytes]) -> Tail:
        """The counts of these lines."""
        times: tuple[list[bytes], list[bytes]] = [], []
        for line in lines:
            times[line.startswith(_CHECKPOINT, _KIND_AT)].append(line[_TS])
        return Tail(*map(self._times, times))

    def _times(self, times: Sequence[bytes]) -> Times:
        settled = sum(not self.low <= ts <= self.high for ts in times)
        return Times(len(times), settled, min(times, default=b""), max(times, default=b""))


class Demand(NamedTuple):
    """The requirements for the newest signature.

    Attributes:
        as_of: the time of the check, in nanoseconds since 1970.
        max_unanchored: how many records may come after it; ``None``: as the log's policy says.
        max_age: how many seconds old it may be; ``None``: as the policy says, if there are records
            that should have been signed since.
    """

    as_of: int
    max_unanchored: int | None = None
    max_age: float | None = None

    def unmet(self, policy: Policy, tail: Times, signed: str) -> Iterator[str]:
        """Sentences on why the signature is not enough; none if it is.

        Args:
            policy: of the log.
            tail: the counts of the records after the newest signature.
            signed: when that was made, as a ``ts``.
        """
        yield from self._many(policy, tail)
        yield from self._old(policy, tail, signed)

    def _many(self, policy: Policy, tail: Times) -> Iterator[str]:
        if self.max_unanchored is not None:
            found, allowed, why = tail.events, self.max_unanchored, "as demanded"
        elif policy.told:
            found, allowed, why = tail.settled, policy.every, "as the log's own policy says"
        else:
            found, allowed, why = tail.events, policy.every, "as the log states no policy"
        if found > allowed:
            yield f"{found} records after it are not signed, and {allowed} may be, {why}"

    def _old(self, policy: Policy, tail: Times, signed: str) -> Iterator[str]:
        limit = policy.interval if self.max_age is None else self.max_age
        spare = BURST if self.max_age is None else 0
        oldest = moment(self.as_of - int(limit * SECOND) - spare)
        if signed >= oldest:
            return
        if self.max_age is not None:
            yield f"it was signed before {oldest}, and may be {limit:g} s old"
        elif tail.events and tail.earliest.decode("latin-1") < oldest:
            yield (
                f"records after it are from before {oldest}, "
                f"and should have been signed within {limit:g} s"
            )
        elif tail.latest.decode("latin-1") > moment(self.as_of + int(limit * SECOND) + spare):
            yield (
                f"records after it have times that are still to come, so nobody knows their age, "
                f"and it was signed before {oldest}"
            )


def moment(ns: int) -> str:
    """A time as ``ts`` of a record; for one before 1970, the beginning of 1970."""
    return ts_of(min(max(ns, 0), (1 << 62)))
