"""Time and identity of events: the wall clock, and UUIDv7s unique across threads and forks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count

from audit_emit._format.record import Stamp, make_id_salt, make_stamp
from audit_emit._runtime.compiled import ClockState


class Clock(ClockState):
    """Gives the opening of a record and its id; formats again only what has changed.

    The last 12 digits of an id are a counter that begins at a random number (RFC 9562, section
    6.2, method 1), written in decimal because decimal digits are hexadecimal digits and cost less;
    26 further random bits are drawn for each process.

    Args:
        now_ns: the wall clock in nanoseconds since 1970.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.now_ns = now_ns
        self.reseed()

    def reseed(self) -> None:
        """Draw new randomness: a forked child must not repeat its parent's ids."""
        random = os.urandom(12)
        self._salt = make_id_salt(random)
        self.ids: count[int] = count(10**11 + int.from_bytes(random[4:], "big") % (8 * 10**11))
        self.stamp: Stamp = make_stamp("0" * 19, self._salt)

    def renew(self, now: int) -> tuple[Stamp, str]:
        """The stamp for ``now`` and its 19 digits, when the millisecond has changed."""
        digits = f"{max(now, 0):019d}"
        stamp = make_stamp(digits, self._salt, self.stamp)
        # Swapped as one value: a signal handler that emits may come between any two lines.
        self.stamp = stamp
        return stamp, digits

    def prefix(self, part: str, end: str) -> tuple[str, int]:
        """A record up to member 11, with the time of now and a new id; and that time.

        Args:
            part: from after the digits of ``ts`` up to the opening of ``id``.
            end: from the closing of ``id`` up to member 11, without the brace.
        """
        now = self.now_ns()
        digits = str(now)
        stamp = self.stamp
        if digits[:13] != stamp.milli:
            stamp, digits = self.renew(now)
        opening = f"{stamp.head}{digits[10:]}{part}"
        return f"{opening}{stamp.id_head}{next(self.ids)}{end}", now

    def prefix_at(self, ns: int, part: str, end: str) -> str:
        """``prefix`` for an event of another time than now, which is in nanoseconds since 1970."""
        digits = f"{ns:019d}"
        stamp = make_stamp(digits, self._salt)
        return f"{stamp.head}{digits[10:]}{part}{stamp.id_head}{next(self.ids)}{end}"
