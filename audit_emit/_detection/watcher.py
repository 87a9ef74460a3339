"""One correlation at work: which group a record belongs to, what its rule remembers of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from audit_emit._detection.groups import Groups, Key, Pool, keyed
from audit_emit._detection.rule import Correlation, Rule
from audit_emit._detection.values import Get, Record, getter, number_of
from audit_emit._detection.windows import MOST, Event, Hit

ALWAYS = 1 << 62
KEPT = 1024
"""Records that a sum names; more than these are one item together."""


class Found(NamedTuple):
    """What one correlation found."""

    key: Key
    hit: Hit


Take = Callable[[Record, Event], Found | None]
"""What is given the records that fit one of the rules of a correlation."""

WAITING = Found((), Hit(Event(0, (), 0), 0, fresh=False))
"""What ``Silence`` gives when a group is to be waited for."""


class Watcher:
    """One correlation; the kinds are below.

    Args:
        rule: a correlation.
        pool: what the groups of all rules take.

    Attributes:
        groups: what is remembered.
        next_due: when something may be found without a record, in nanoseconds since 1970.
    """

    state: Any
    next_due = ALWAYS

    def __init__(self, rule: Rule, pool: Pool) -> None:
        assert rule.correlation is not None  # noqa: S101 - for the type checker
        self.rule = rule
        self.spec: Correlation = rule.correlation
        self.groups: Groups[Any] = Groups(
            pool, self.spec.timespan or int(self.spec.options.get("history", ALWAYS))
        )
        self.fields = self.spec.group_by
        aliases = self.spec.aliases
        names = [
            [aliases.get(name, {}).get(part, name) for name in self.spec.group_by]
            for part in self.spec.rules
        ]
        self.keys = [self.keyed(each) for each in names]

    def keyed(self, fields: Sequence[str]) -> Callable[[Record], Key]:
        """What names the group of a record, by these fields of it."""
        return keyed(fields)

    def reader(self) -> Get:
        """What reads what is counted; a record without one (``None``) is passed over."""
        return lambda _: 1

    def taker(self, part: int) -> Take:
        """What is given the records that fit one of the rules.

        Args:
            part: which one.
        """
        key_of, read, add = self.keys[part], self.reader(), self.add
        made, groups, find = self.state, self.groups, self.groups.get

        def take(record: Record, event: Event) -> Found | None:
            value = read(record)
            if value is None:
                return None
            key = key_of(record)
            state = find(key)
            new = state is None
            if state is None:
                state = made()
                groups.add(key, state)
            before = state.size
            hit = add(state, part, value, event)
            after = state.size
            if new or after != before:
                groups.grown(after - before, event.ns)
            return None if hit is None else Found(key, hit)

        return take

    def add(self, state: Any, part: int, value: Any, event: Event) -> Hit | None:
        """Add a record, with what ``reader`` read of it, to what is remembered of its group."""
        raise NotImplementedError

    def said(self, hit: Hit) -> str:
        """What was found, in words."""
        raise NotImplementedError


def amount(field: str) -> Get:
    """What reads a number that adds up; less than nothing would take away what others had."""
    get = getter(field)

    def amount(record: Record) -> float | None:
        value = number_of(get(record))
        return min(value, MOST) if value is not None and value > 0 else None

    return amount
