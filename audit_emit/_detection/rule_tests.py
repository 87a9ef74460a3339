"""Tests of rules, as files: records as they might come, and the alerts that must follow.

A file is JSON, or YAML: one mapping with ``tests``, each with ``rule``, ``name``, ``records`` and
``expect``. docs/anomalies.md has the form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from audit_emit._detection.engine import Engine
from audit_emit._detection.loading import documents, text_in
from audit_emit._detection.members import Members
from audit_emit._detection.nodes import Node, Refuse
from audit_emit._detection.ruleset import RuleSet
from audit_emit._format.encode import to_json
from audit_emit._format.record import ns_of, ts_of
from audit_emit.errors import RuleError

BEGIN = ns_of("2026-06-01T00:00:00.000000000Z")
"""When the records of a test begin that say nothing else: a Monday."""

_MOST = 10_000
"""Records of a test."""

_NOTHING = {
    "workspace_id": "",
    "user_id": "",
    "actor_kind": "user",
    "correlation_id": "",
    "fields": {},
    "v": 1,
    "id": "00000000-0000-7000-8000-000000000000",
    "service": "test",
    "chain": "0000000000000000",
}


class Case(NamedTuple):
    """One test.

    Attributes:
        rule: whose alerts are looked at.
        name: what is tested.
        file, line: where it stands.
        lines: the records, without newlines.
        now: when the search ends, in nanoseconds since 1970; ``None``: with the last record.
        expect: the numbers of the records of each alert, which count from 1.
    """

    rule: str
    name: str
    file: str
    line: int
    lines: list[bytes]
    now: int | None
    expect: tuple[tuple[int, ...], ...]


class Outcome(NamedTuple):
    """What a test came to.

    Attributes:
        case: the test.
        found: the numbers of the records of each alert that there was.
    """

    case: Case
    found: tuple[tuple[int, ...], ...]

    @property
    def ok(self) -> bool:
        """Whether it is what was expected."""
        return self.found == self.case.expect


def cases_in(path: Path) -> list[Case]:
    """The tests in a file.

    Raises:
        RuleError: it is not understood.
        ModuleNotFoundError: it is YAML, and PyYAML is missing.
        OSError: it cannot be read.
    """
    refuse = Refuse(path.name)
    found: list[Case] = []
    for node in documents(text_in(path, path.name), refuse):
        members = Members(node, "a file of tests", refuse)
        tests = members.need("tests")
        if not isinstance(tests.value, list):
            raise refuse(tests.line, "'tests' must be a list")
        found.extend(_case(one, refuse) for one in tests.value)
        members.done()
    return found


def run(cases: list[Case], rules: RuleSet) -> Iterator[Outcome]:
    """Run tests, one after the other.

    Raises:
        RuleError: one is about a rule that is not there.
    """
    for case in cases:
        rule = rules.find(case.rule)
        if rule is None:
            raise RuleError(case.file, case.line, f"there is no rule {case.rule!r}")
        engine = Engine(rules)
        alerts = engine.feed(case.lines)
        if case.now is not None:
            alerts += engine.now(case.now)
        yield Outcome(case, tuple(one.seqs for one in alerts if one.rule == rule.name))


def _case(node: Node, refuse: Refuse) -> Case:
    members = Members(node, "a test", refuse)
    rule, name = members.text("rule"), members.text("name")
    records = members.need("records")
    if not isinstance(records.value, list):
        raise refuse(records.line, "'records' must be a list")
    lines: list[bytes] = []
    at = 0
    for one in records.value:
        at = _lines(one, at, lines, refuse)
    now = BEGIN + members.span("end") if "end" in members else None
    expect = _expected(members.need("expect"), refuse)
    members.done()
    return Case(rule, name, refuse.file, node.line, lines, now, expect)


def _lines(node: Node, at: int, lines: list[bytes], refuse: Refuse) -> int:
    """Add the lines of a record, or of several that are alike; when the last of them is."""
    members = Members(node, "a record", refuse)
    repeat = int(members.number("repeat", 1, least=1, most=_MOST))
    every = members.span("every", 10**9)
    at = members.span("at", at)
    given = {name: plain(one) for name, one in members.rest().items()}
    for number in range(1, repeat + 1):
        if len(lines) >= _MOST:
            raise refuse(node.line, f"more than {_MOST} records")
        filled = _filled(given, number)
        record = {"ts": ts_of(BEGIN + at), "event_type": "", **_NOTHING, **filled}
        record |= {"seq": len(lines) + 1, "prev_hash": "0" * 64, "hash": "0" * 64}
        lines.append(to_json(record).encode("utf-8", "surrogateescape"))
        at += every
    return at


def _filled(value: Any, number: int) -> Any:
    """The same with the number of the repetition for ``{n}``."""
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, Mapping):
        return {name: _filled(one, number) for name, one in value.items()}
    return [_filled(one, number) for one in value] if isinstance(value, list) else value


def plain(node: Node) -> Any:
    """What a node holds, without lines."""
    if isinstance(node.value, dict):
        return {name: plain(one) for name, one in node.value.items()}
    return [plain(one) for one in node.value] if isinstance(node.value, list) else node.value


def _expected(node: Node, refuse: Refuse) -> tuple[tuple[int, ...], ...]:
    try:
        return msgspec.convert(plain(node), tuple[tuple[int, ...], ...])
    except msgspec.ValidationError:
        raise refuse(
            node.line, "'expect' must be a list of alerts, each a list of numbers of records"
        ) from None
