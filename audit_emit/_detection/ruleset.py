"""Rules that belong together: each name is there once, each reference leads somewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from audit_emit._detection.rule import Rule
from audit_emit.errors import RuleError

MOST = 1000
"""Rules of one set."""

DEEPEST = 5
"""Correlations of correlations."""


class RuleSet:
    """Rules, each after those that it is about.

    Args:
        rules: in any order.
        digest: of what they were read from.

    Attributes:
        rules: by their names.
        digest: equal for equal rules.
        quiet: names of those that make no alerts, as they are only parts of others.

    Raises:
        RuleError: two have one name or id; one is about a rule that is not there, or about itself;
            or there is no rule, or too many.
    """

    def __init__(self, rules: Iterable[Rule], digest: str = "") -> None:
        self.digest = digest
        given = list(rules)
        if not given:
            raise RuleError("rules", 1, "there is no rule")
        if len(given) > MOST:
            raise RuleError(given[MOST].file, given[MOST].line, f"more than {MOST} rules")
        self._known: dict[str, Rule] = {}
        for rule in given:
            for name in {rule.name, rule.id} - {""}:
                if name in self._known:
                    other = self._known[name]
                    raise RuleError(
                        rule.file, rule.line, f"{name!r} is also in {other.file}:{other.line}"
                    )
                self._known[name] = rule
        self.rules: dict[str, Rule] = {}
        self.quiet: set[str] = set()
        for rule in given:
            self._place(rule, ())

    def _place(self, rule: Rule, above: Sequence[str]) -> None:
        if rule.name in above or len(above) > DEEPEST:
            raise RuleError(
                rule.file, rule.line, f"{rule.name!r} is about itself, or about too many in a row"
            )
        for part in self.parts(rule):
            self._place(part, (*above, rule.name))
            if rule.correlation is not None and not rule.correlation.generate:
                self.quiet.add(part.name)
        self.rules.setdefault(rule.name, rule)

    def parts(self, rule: Rule) -> list[Rule]:
        """The rules that a correlation is about, in its order."""
        if rule.correlation is None:
            return []
        found = []
        for name in rule.correlation.rules:
            part = self._known.get(name)
            if part is None:
                raise RuleError(rule.file, rule.line, f"there is no rule {name!r}")
            found.append(part)
        return found

    def find(self, name: str) -> Rule | None:
        """The rule of that name or id."""
        return self._known.get(name)

    def alerting(self) -> list[Rule]:
        """Those that make alerts."""
        return [rule for rule in self.rules.values() if rule.name not in self.quiet]
