"""What is to be done with a record of one type: how to read it, which rules to ask. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from audit_emit._detection.decoding import EVERYTHING, Decode, decoding
from audit_emit._detection.expressions import Holds, fields_in, made, narrowed
from audit_emit._detection.rule import Rule
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.watchers import Take, Watcher

Consumer = tuple[int, Take, Watcher]
"""A correlation that a record is given to, and as which of its parts."""


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


class Plan(NamedTuple):
    """For records of one type; without uses they are not even decoded."""

    decode: Decode
    uses: tuple[Use, ...]


NOTHING = Plan(EVERYTHING, ())


class Plans:
    """The plans of a set of rules.

    Args:
        watchers: the correlations of the rules, by their names.
    """

    def __init__(self, rules: RuleSet, watchers: Mapping[str, Watcher]) -> None:
        self._rules = rules
        self._consumers: dict[str, list[Consumer]] = {}
        for watcher in watchers.values():
            for place, part in enumerate(rules.parts(watcher.rule)):
                self._consumers.setdefault(part.name, []).append((place, watcher.take, watcher))

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
        return Plan(EVERYTHING if names is None else decoding(frozenset(names)), tuple(uses))

    def _read_above(self, rule: Rule) -> Iterator[str]:
        """Fields that the correlations above a rule read of its records."""
        for _, _, watcher in self._consumers.get(rule.name, ()):
            spec = watcher.spec
            yield from spec.group_by
            for fields in spec.aliases.values():
                yield from fields.values()
            if spec.field:
                yield spec.field
            yield from self._read_above(watcher.rule)
