"""What is to be done with a record of one type: how to read it, which rules to ask. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from audit_emit._detection.decoding import EVERYTHING, Decode, decoding
from audit_emit._detection.expressions import Holds, fields_in, made, narrowed
from audit_emit._detection.rule import Rule
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.unrolled import function
from audit_emit._detection.values import Record
from audit_emit._detection.watcher import Found, Take, Watcher
from audit_emit._detection.windows import Event

Consumer = tuple[Take, Watcher]
"""A correlation that a record is given to, and what takes it as the one of its parts that it is."""


class Use(NamedTuple):
    """One rule.

    Attributes:
        holds: whether a record fits; ``None`` where the type says it already.
        rule: that makes an alert of it; ``None`` where it is only a part of others.
        consumers: correlations that it is a part of.
    """

    holds: Holds | None
    rule: Rule | None
    consumers: tuple[Consumer, ...]


class Steps(NamedTuple):
    """What an engine does with a record.

    Attributes:
        event: its place and time.
        alert: a rule without a correlation holds.
        found: a correlation does.
    """

    event: Callable[[Record], Event]
    alert: Callable[[Rule, Event], None]
    found: Callable[[Watcher, Found, Record], None]


Look = Callable[[Record], None]
"""Asks all rules that a record of one type may be about."""


class Plan(NamedTuple):
    """For records of one type; those that no rule is about are not even decoded."""

    decode: Decode
    look: Look


NOTHING = Plan(EVERYTHING, lambda _: None)


class Plans:
    """The plans of a set of rules.

    Args:
        watchers: the correlations of the rules, by their names.
        steps: of the engine.
    """

    def __init__(self, rules: RuleSet, watchers: Mapping[str, Watcher], steps: Steps) -> None:
        self._rules = rules
        self._steps = steps
        self._consumers: dict[str, list[Consumer]] = {}
        for watcher in watchers.values():
            for place, part in enumerate(rules.parts(watcher.rule)):
                self._consumers.setdefault(part.name, []).append((watcher.taker(place), watcher))

    def above(self, rule: Rule) -> tuple[Consumer, ...]:
        """The correlations that are about a rule."""
        return tuple(self._consumers.get(rule.name, ()))

    def of(self, event_type: str) -> Plan:
        """The plan for records of a type."""
        uses: list[Use] = []
        names: set[str] | None = set()
        for rule in self._rules.rules.values():
            if rule.tree is None:
                continue
            left = narrowed(rule.tree, event_type)
            if left is False:
                continue
            asked = fields_in(left)
            names = None if names is None or asked is None else names | asked
            if names is not None:
                names.update(self._read_above(rule))
            holds = None if left is True else made(left)
            alerting = None if rule.name in self._rules.quiet else rule
            uses.append(Use(holds, alerting, self.above(rule)))
        if not uses:
            return NOTHING
        decode = EVERYTHING if names is None else decoding(frozenset(names))
        return Plan(decode, _look(uses, self._steps))

    def _read_above(self, rule: Rule) -> Iterator[str]:
        """Fields that the correlations above a rule read of its records."""
        for _, watcher in self._consumers.get(rule.name, ()):
            spec = watcher.spec
            yield from spec.group_by
            for fields in spec.aliases.values():
                yield from fields.values()
            if spec.field:
                yield spec.field
            yield from self._read_above(watcher.rule)


def _look(uses: Sequence[Use], steps: Steps) -> Look:
    """All uses one after the other."""
    lines: list[str] = []
    values: dict[str, Any] = steps._asdict()
    at_once = any(one.holds is None for one in uses)
    lines.append("  at = event(record)" if at_once else "  at = None")
    for n, (holds, rule, consumers) in enumerate(uses):
        values |= {f"holds{n}": holds, f"rule{n}": rule}
        lines.append("  if True:" if holds is None else f"  if holds{n}(record):")
        lines.append("    pass" if at_once else "    at = at or event(record)")
        if rule is not None:
            lines.append(f"    alert(rule{n}, at)")
        for m, (take, watcher) in enumerate(consumers):
            values |= {f"take{n}_{m}": take, f"watcher{n}_{m}": watcher}
            lines.append(f"    hit = take{n}_{m}(record, at)")
            lines.append(f"    if hit is not None: found(watcher{n}_{m}, hit, record)")
    return function("def made(record):", lines, values)
