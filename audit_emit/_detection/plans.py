"""What is to be done with a record of one type: how to read it, which rules to ask. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

from audit_emit._detection.expressions import fields_in, form_of, narrowed
from audit_emit._detection.looking import Look, Part, Steps, Use, looking
from audit_emit._detection.rule import Rule
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.watcher import Given, Watcher

_FORMS = 512
"""How many functions are kept; types that somebody makes up nearly all share one function."""


def NOTHING(line: bytes) -> None:  # noqa: N802 - a constant
    """No rule is about such records."""


class Plans:
    """The plans of a set of rules.

    Args:
        watchers: the correlations of the rules, by their names.
        steps: of the engine.
    """

    def __init__(self, rules: RuleSet, watchers: Mapping[str, Watcher], steps: Steps) -> None:
        self._rules = rules
        self._steps = steps
        self._made: dict[tuple[tuple[str, Hashable], ...], Look] = {}
        self._parts: dict[str, list[Part]] = {}
        about = {part.name for watcher in watchers.values() for part in rules.parts(watcher.rule)}
        for name, watcher in watchers.items():
            for place, part in enumerate(rules.parts(watcher.rule)):
                found = Part(watcher, place, name in about)
                self._parts.setdefault(part.name, []).append(found)
        self._above = {
            name: tuple((part.watcher, part.watcher.given(part.place)) for part in parts)
            for name, parts in self._parts.items()
            if name in watchers
        }

    def above(self, rule: Rule) -> tuple[tuple[Watcher, Given], ...]:
        """The correlations that are about a correlation, and what is given to them."""
        return self._above.get(rule.name, ())

    def of(self, event_type: str) -> Look:
        """The plan for records of a type."""
        uses: list[Use] = []
        about: list[str] = []
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
            about.append(rule.name)
            alerting = None if rule.name in self._rules.quiet else rule
            uses.append(Use(left, alerting, tuple(self._parts.get(rule.name, ()))))
        if not uses:
            return NOTHING
        key = tuple((rule, form_of(use.tree)) for rule, use in zip(about, uses, strict=True))
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= _FORMS:
                self._made.clear()
            found = self._made[key] = looking(uses, names, self._steps)
        return found

    def _read_above(self, rule: Rule) -> Iterator[str]:
        """Fields that the correlations above a rule read of its records."""
        for watcher, *_ in self._parts.get(rule.name, ()):
            spec = watcher.spec
            yield from spec.group_by
            for fields in spec.aliases.values():
                yield from fields.values()
            if spec.field:
                yield spec.field
            yield from self._read_above(watcher.rule)
