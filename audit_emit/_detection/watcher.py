"""One correlation at work: which group a record belongs to, what its rule remembers of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from audit_emit._detection.groups import Groups, Key, Pool, part_of_key
from audit_emit._detection.rule import Correlation, Rule
from audit_emit._detection.unrolled import Text, function
from audit_emit._detection.values import Record, number_of
from audit_emit._detection.windows import MOST, Event, Hit

ALWAYS = 1 << 62
KEPT = 1024
"""Records that a sum names; more than these are one item together."""


class Found(NamedTuple):
    """What one correlation found."""

    key: Key
    hit: Hit


Given = Callable[[Record, Event], Found | None]
"""What is given what another correlation found, with the last record of it."""

Take = Callable[[Key, Any, Event], Hit | None]
"""What is given the records that fit one of the rules of a correlation: group, value, record."""

WAITING = Hit(Event(0, (), 0), 0, fresh=False)
"""What ``Silence`` gives when a group is to be waited for."""


class Usual(NamedTuple):
    """What is done with most records, as text: no more than to note that there was one.

    The text has the group's ``state``, and of the record its ``number`` and its time ``ns``.

    Attributes:
        when: an expression: whether nothing else is to be done with this record.
        then: a statement: what is noted.
    """

    when: str
    then: str


class Watcher:
    """One correlation; the kinds are below.

    Args:
        rule: a correlation.
        pool: what the groups of all rules take.

    Attributes:
        groups: what is remembered.
        fields: what the parts of a group's name are.
        names: the fields that name the group of a record, for each rule that this is about.
        reads: whether values of ``spec.field`` are counted; else records are.
        next_due: when something may be found without a record, in nanoseconds since 1970.
    """

    state: Any
    reads = False
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
        self.names = [
            tuple(aliases.get(name, {}).get(part, name) for name in self.spec.group_by)
            for part in self.spec.rules
        ]

    def written(self, field: str, text: Text) -> str:
        """The text for what a field of a record gives to the name of its group."""
        return part_of_key(field, text)

    def usual(self, text: Text) -> Usual | None:
        """What is done with most records; ``None`` where ``taker`` looks at all of them."""
        del text
        return None

    def value(self, text: Text) -> str:
        """The text for what is counted of a record."""
        return text.field(self.spec.field) if self.reads and self.spec.field else "1"

    def read(self, value: Any) -> Any:
        """What counts of such a value; a record of which that is ``None`` is passed over."""
        return value

    def given(self, part: int) -> Given:
        """What is given what another correlation found.

        Args:
            part: which of the rules that other one is.
        """
        take, text = self.taker(part), Text({})
        key = "".join(f"{self.written(each, text)}, " for each in self.names[part])
        returned = f"  return ({key}), {self.value(text)}"
        values = function("def made(record):", [*text.reading(), returned], text.values)

        def taken(record: Record, event: Event) -> Found | None:
            key, value = values(record)
            hit = take(key, value, event)
            return None if hit is None else Found(key, hit)

        return taken

    def taker(self, part: int) -> Take:
        """What is given the records that fit one of the rules.

        Args:
            part: which one.
        """
        read, add, made, groups = self.read, self.add, self.state, self.groups
        find = groups.get

        def take(key: Key, value: Any, event: Event) -> Hit | None:
            value = read(value)
            if value is None:
                return None
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
            return hit

        return take

    def add(self, state: Any, part: int, value: Any, event: Event) -> Hit | None:
        """Add a record, with what ``read`` made of it, to what is remembered of its group."""
        raise NotImplementedError

    def said(self, hit: Hit) -> str:
        """What was found, in words."""
        raise NotImplementedError


def amount(value: Any) -> float | None:
    """A number that adds up; less than nothing would take away what others had."""
    number = number_of(value)
    return min(number, MOST) if number is not None and number > 0 else None
