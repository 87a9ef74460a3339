"""Legal holds: which records must not be removed, however old they are.

The holds of a log are what its chain says: the records ``audit.hold``, in their order. There is no
other place that has them, so nobody releases a hold without a record that stays. Where the record
that placed one is removed itself, the signed statement of that removal carries it on.

Everything that removes records asks here first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

from audit_emit._checkpoints.beginning import first_link, newest_start, start_in
from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.record import MAX_SEQ, Head, head_of, parsed
from audit_emit._format.removal import RECORD as PRUNED
from audit_emit._readers.base import LogReader
from audit_emit._readers.typed import records_of
from audit_emit._signing.trusted_keys import KeyRing

RECORD = "audit.hold"
PLACED, RELEASED = "placed", "released"


class Hold(NamedTuple):
    """Records that must stay.

    Attributes:
        name: by which the hold is released again.
        first_seq: the first record that it holds.
        last_seq: the last one; ``None`` for all that are there and all that come.
        reason: why, for people.
        at: when it was placed, as records have ``ts``.
    """

    name: str
    first_seq: int = 1
    last_seq: int | None = None
    reason: str = ""
    at: str = ""

    def differs(self, other: Hold) -> bool:
        """Whether they are on other records."""
        return (self.first_seq, self.last_seq) != (other.first_seq, other.last_seq)

    def holds(self, first: int, last: int) -> bool:
        """Whether a record from ``first`` to ``last`` is among those that it holds."""
        return first <= (MAX_SEQ if self.last_seq is None else self.last_seq) and (
            last >= self.first_seq
        )


class Holds:
    """The holds that are in force, after the records that were shown so far, in their order.

    Attributes:
        released: the names that were released, and are not in force.
    """

    def __init__(self) -> None:
        self._lines: dict[Hold, bytes] = {}
        self.released: set[str] = set()

    @property
    def all(self) -> tuple[Hold, ...]:
        """Those in force, in the order in which they were placed."""
        return tuple(self._lines)

    @property
    def lines(self) -> list[bytes]:
        """The lines of the records that placed them, without newlines."""
        return list(self._lines.values())

    @classmethod
    def of(cls, reader: LogReader, ring: KeyRing) -> Holds:
        """The holds of a log.

        Args:
            reader: of the log.
            ring: the trusted keys. Of what was removed, a removal that one of them signed says
                which holds are still in force; where none did, every removal is believed in that.

        Raises:
            OSError: the log cannot be read.
        """
        found = {*_carried(reader, ring)}
        found |= {(_seq(line), line) for _, line in records_of(reader, RECORD)}
        made = cls()
        for _, line in sorted(found):
            made.take(line)
        return made

    def take(self, line: bytes) -> None:
        """A record ``audit.hold``, without its newline. Who cannot be understood holds everything.

        A release counts only in a record that has the hash that it states.
        """
        head, record = head_of(line), parsed(line)
        if head is None or record is None or record.get("event_type") != RECORD:
            return
        given = record.get("fields")
        fields: dict[str, Any] = given if isinstance(given, dict) else {}
        if fields.get("action") != RELEASED:
            hold = _placed(fields, head)
            self._lines.setdefault(hold, line)
            self.released.discard(hold.name)
        elif leaf_hash(body_of(line)) == head.hash:
            name = fields.get("hold")
            for hold in [one for one in self._lines if one.name == name]:
                del self._lines[hold]
            if isinstance(name, str):
                self.released.add(name)

    def named(self, name: str) -> list[Hold]:
        """Those in force that have this name."""
        return [one for one in self._lines if one.name == name]

    def is_held(self, first: int, last: int) -> Hold | None:
        """The first hold on any record from ``first`` to ``last``; ``None`` if all are free."""
        return next((one for one in self._lines if one.holds(first, last)), None)


def fields_of(action: str, hold: Hold, where: str) -> dict[str, Any]:
    """The ``fields`` of ``audit.hold``.

    Args:
        action: ``placed`` or ``released``.
        where: the address of the archive whose objects are held, too; empty for none.
    """
    return {
        "action": action,
        "hold": hold.name,
        "first_seq": hold.first_seq,
        "last_seq": hold.last_seq,
        "reason": hold.reason,
        "archive": where,
    }


def _placed(fields: dict[str, Any], head: Head) -> Hold:
    """What a record places: a hold on everything, where it does not say on what."""
    name, first, last = fields.get("hold"), fields.get("first_seq"), fields.get("last_seq")
    reason = fields.get("reason")
    known = name if isinstance(name, str) and name else f"record {head.seq}"
    why = reason if isinstance(reason, str) else ""
    if _is_seq(first) and (last is None or (_is_seq(last) and first <= last)):
        return Hold(known, first, last, why, head.ts)
    return Hold(known, 1, None, why, head.ts)


def _is_seq(value: object) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= MAX_SEQ


def _carried(reader: LogReader, ring: KeyRing) -> Iterator[tuple[int, bytes]]:
    """The records that placed holds and are removed, as removals carry them on."""
    first = first_link(reader)
    if first is None or int(first[2]) == 1:
        return
    start = newest_start(reader, ring, first[1].decode())
    if start is not None and start.verdict(ring) == "ok":
        starts = [start]
    else:
        found = (start_in(line) for _, line in records_of(reader, PRUNED))
        starts = [one for one in found if one is not None]
    for one in starts:
        for line in one.removal.lines():
            fields = (parsed(line) or {}).get("fields")
            if isinstance(fields, dict) and fields.get("action") != RELEASED:
                yield _seq(line), line


def _seq(line: bytes) -> int:
    head = head_of(line)
    return head.seq if head is not None else 0
