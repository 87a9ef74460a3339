"""Time and identity of events: the wall clock, and UUIDv7s unique across threads and forks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import count

from audit_emit._format.record import Stamp, make_id_salt, make_stamp
from audit_emit._stores.base import Draft, Part

NS_PER_MILLI = 10**6
DIGITS = 19
"""Digits of a time in nanoseconds since 1970, from 2001 to 2286; an earlier one is zero-padded."""


class Clock:
    """Gives the opening of a record and its id; formats again only what has changed.

    The last 12 digits of an id are a counter that begins at a random number (RFC 9562, section
    6.2, method 1), written in decimal because decimal digits are hexadecimal digits and cost less;
    26 further random bits are drawn for each process.

    Args:
        now_ns: the wall clock in nanoseconds since 1970.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.now_ns = now_ns
        self.bind_again: Callable[[str, str, str], str] = _as_it_is
        """Makes of a text under an id the same under another one: what is sealed is bound to it."""
        self.reseed()

    def reseed(self) -> None:
        """Draw new randomness: a forked child must not repeat its parent's ids."""
        random = os.urandom(12)
        self.process: str = make_id_salt(random)
        self.ids: count[int] = count(10**11 + int.from_bytes(random[4:], "big") % (8 * 10**11))
        self.stamp: Stamp = make_stamp("0" * 19, self.process)

    def new_id(self) -> str:
        """An id for a record that is sealed before it is drafted."""
        now, stamp = self.now_ns(), self.stamp
        if now // NS_PER_MILLI != stamp.milli:
            self.stamp = stamp = make_stamp(f"{max(now, 0):019d}", self.process, stamp)
        return f"{stamp.id_head}{next(self.ids)}"

    def draft(self, part: Part, end: str, *, own: bool = False) -> Draft:
        """A record up to member 11, with the time of now and a new id.

        Args:
            part: see ``Part``.
            end: from the closing of ``id`` up to member 11, without the brace.
            own: see ``Draft``.
        """
        now = self.now_ns()
        digits = str(now)
        stamp = self.stamp
        if now // NS_PER_MILLI != stamp.milli or len(digits) != DIGITS:
            digits = f"{max(now, 0):019d}"
            # Swapped as one value: a signal handler that emits may come between any two lines.
            self.stamp = stamp = make_stamp(digits, self.process, stamp)
        if type(part) is tuple:
            part, new_id = part
            if new_id[14:23] != self.process:  # a signal handler has forked: the id is the parent's
                return Draft(
                    f"{stamp.head}{digits[10:]}{part}{new_id}{end}", now, new_id, new_id[14:23], own
                )
        else:
            new_id = f"{stamp.id_head}{next(self.ids)}"
        prefix = f"{stamp.head}{digits[10:]}{part}{new_id}{end}"
        return Draft(prefix, now, new_id, stamp.process, own)

    def again(self, draft: Draft) -> Draft:
        """A draft of a parent's as one of this process: with an id of its own."""
        before, _, after = draft.prefix.rpartition(draft.id)
        new_id = f"{draft.id[:14]}{self.process}-{next(self.ids)}"
        before = self.bind_again(before, draft.id, new_id)
        return Draft(f"{before}{new_id}{after}", draft.ns, new_id, self.process, draft.own)

    def draft_at(self, ns: int, part: Part, end: str) -> Draft:
        """``draft`` for an event of another time than now, which is in nanoseconds since 1970."""
        digits = f"{ns:019d}"
        stamp = make_stamp(digits, self.process)
        process = stamp.process
        if type(part) is tuple:
            part, new_id = part
            if new_id[14:23] != process:  # as in ``draft``
                process = new_id[14:23]
        else:
            new_id = f"{stamp.id_head}{next(self.ids)}"
        return Draft(f"{stamp.head}{digits[10:]}{part}{new_id}{end}", ns, new_id, process)


def _as_it_is(text: str, _old: str, _new: str) -> str:
    return text
