"""What is not understood is refused, with its file, its line and the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support.anomalous_log import found, record

from audit_emit._detection.loading import rules_of
from audit_emit._detection.ruleset import RuleSet
from audit_emit.errors import RuleError

RULE = """\
title: T
name: t
detection:
  selection:
    event_type: a.b
  condition: selection
"""

CORRELATION = """\
title: C
name: c
correlation:
  type: event_count
  rules:
    - t
  timespan: 5m
  condition:
    gte: 3
"""


def refused(text: str, name: str = "rule.yml") -> tuple[int, str]:
    with pytest.raises(RuleError) as caught:
        RuleSet(rules_of(text, name))
    assert str(caught.value) == f"{name}:{caught.value.line}: {caught.value.reason}"
    return caught.value.line, caught.value.reason


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("title: T", "title: Null", 1, "must be a text and is null"),
        ("title: T", "title: [T]", 1, "must be a text and is list"),
        ("title: T\n", "", 1, "a rule needs 'title'"),
        ("name: t", "name: t\nname: u", 3, "the key 'name' is there twice"),
        ("name: t", "name: ../t", 1, "needs a 'name' of letters"),
        ("name: t", "name: log_tampered", 1, "is the name of a finding"),
        ("name: t", "name: t\nlevel: severe", 3, "'level' is 'severe'"),
        ("name: t", "name: t\nid: 7", 3, "'id' must be a text and is int"),
        ("name: t", "name: t\nid: x-y", 1, "is no UUID"),
        ("name: t", "name: t\nfilter: {}", 3, "a rule has 'filter', which is not understood"),
        ("name: t", "name: t\nlogsource: {product: windows}", 3, "the rule is for 'windows'"),
        ("name: t", "name: &a t\n", 2, "anchors and aliases are not read"),
        ("name: t", "name: !!python/name:os.system t", 2, "tags are not read"),
        ("  condition: selection\n", "", 4, "'detection' needs 'condition'"),
        ("condition: selection", "condition: selection and", 6, "and no such selection"),
        ("condition: selection", "condition: selection | count() > 5", 6, "no longer Sigma"),
        ("condition: selection", "condition: (selection", 6, "is not closed"),
        ("condition: selection", "condition: selection selection", 6, "ends before"),
        ("condition: selection", "condition: 1 of filter*", 6, "no selection is one of"),
        ("condition: selection", "condition: [selection]", 6, "must be one text"),
        ("condition: selection", "condition: selection;drop", 6, "the condition has ';drop'"),
        ("event_type: a.b", "event_type: a.b\n  other: {a: b}", 7, "does not use other"),
        ("event_type: a.b", "event_type|sounds: a.b", 5, "modifier 'sounds' is not understood"),
        ("event_type: a.b", "event_type|base64: a.b", 5, "modifier 'base64' is not understood"),
        ("event_type: a.b", "a|contains|re: b", 5, "do not go together"),
        ("event_type: a.b", "a|lt|gt: 5", 5, "do not go together"),
        ("event_type: a.b", "a|i: b", 5, "do not go together"),
        ("event_type: a.b", "a|all|all: b", 5, "is there twice"),
        ("event_type: a.b", "a..b: c", 5, "is no name of a field"),
        ("event_type: a.b", "a: []", 5, "has no values"),
        ("event_type: a.b", "a: [[b]]", 5, "must have a value or a list of values"),
        ("event_type: a.b", "a|gte: '5'", 5, "needs a number"),
        ("event_type: a.b", "ts|hour: six", 5, "needs a number"),
        ("event_type: a.b", "a|exists: 1", 5, "needs true or false"),
        ("event_type: a.b", "a|cidr: 10.0.0.1/8", 5, "is no network"),
        ("event_type: a.b", "a|contains: null", 5, "null does not go with a modifier"),
        ("event_type: a.b", "a|re: (a+)+b", 5, "the pattern can take too long"),
        ("event_type: a.b", "a|re: '[a'", 5, "unterminated character set"),
        ("event_type: a.b", "a|re: (a)\\1", 5, "is not among what a rule may use"),
    ],
)
def test_of_a_rule(old: str, new: str, line: int, reason: str) -> None:
    found = refused(RULE.replace(old, new, 1))
    assert found[0] == line
    assert reason in found[1]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("event_count", "event_rate", 4, "'type' is 'event_rate'; it may be event_count,"),
        ("event_count", "value_median", 4, "'type' is 'value_median'"),
        ("event_count", "silence", 4, "silence is not Sigma: the rule needs"),
        ("event_count", "value_count", 9, "'condition' needs 'field'"),
        ("event_count", "temporal", 9, "temporal with 'condition' is not understood"),
        ("    - t", "    - t\n    - t", 4, "1 to 20 different names"),
        ("timespan: 5m", "timespan: 5 minutes", 7, "must be a span"),
        ("timespan: 5m", "timespan: 90y", 7, "at most 10y"),
        ("timespan: 5m", "timespan: 5m\n  window: 3", 8, "has 'window', which is not understood"),
        ("gte: 3", "lt: 3", 9, "only gte or gt is understood (for what does not happen"),
        ("gte: 3", "gte: 3\n    lte: 9", 9, "has gte and lte"),
        ("gte: 3", "gte: 3.5", 9, "is a whole one"),
        ("gte: 3", "gte: 0", 9, "is always reached"),
        ("gte: 3", "gte: 1001", 9, "from 0 to 1000"),
        ("    - t", "    - other", 1, "there is no rule 'other'"),
        ("    - t", "    - c", 1, "'c' is about itself"),
        ("name: c", "name: t", 1, "'t' is also in rule.yml:1"),
        ("name: c", "name: c\ndetection: {}", 1, "a rule with 'correlation' has no 'detection'"),
    ],
)
def test_of_a_correlation(old: str, new: str, line: int, reason: str) -> None:
    found = refused(f"{RULE}---\n{CORRELATION.replace(old, new, 1)}")
    assert found[0] == line + RULE.count("\n") + 1
    assert reason in found[1]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{\n"title": "a",\n"title": "b"}', 3, "the key 'title' is there twice"),
        ('{"title": "a"\n"name": "b"}', 2, "a comma or } is missing"),
        ('{"title": "a', 1, "a text that does not end"),
        ("{title: a}", 1, "a key is a text in quotation marks"),
        ('{"title": NaN}', 1, "this is not JSON"),
        ('{"title": "a"} x', 1, "something after the end"),
        ("[" * 40 + "]" * 40, 1, "more than 32 levels"),
        ('{"a": ' + "1" * 50 + "}", 1, "a number of more than 40 characters"),
        ("7", 1, "a rule must be a mapping"),
    ],
)
def test_of_json(text: str, line: int, reason: str) -> None:
    found = refused(text, "rule.json")
    assert reason in found[1]
    assert found[0] == line


def test_of_yaml_that_is_none() -> None:
    assert refused("title: [a")[1].startswith("this is not YAML")
    assert refused("a: &a [x]\nb: [*a, *a]")[1] == "anchors and aliases are not read; write it out"


def test_of_deep_yaml_no_more_is_read_than_to_its_last_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, parse = [0], yaml.parse

    def counted(*given: Any, **named: Any) -> Iterator[Any]:
        for event in parse(*given, **named):
            read[0] += 1
            yield event

    monkeypatch.setattr(yaml, "parse", counted)
    for deep in ("[" * 20_000, "{a: " * 20_000, "- " * 20_000 + "a", "? " * 20_000 + "a"):
        read[0] = 0
        assert refused(deep)[1] == "more than 32 levels"
        assert read[0] < 200


def test_a_rule_in_yaml_is_the_one_in_json() -> None:
    text = json.dumps(
        {
            "title": "T",
            "name": "t",
            "detection": {"selection": {"event_type": "a.b"}, "condition": "selection"},
        }
    )
    for rules in (RuleSet(rules_of(text, "t.json")), RuleSet(rules_of(RULE, "t.yml"))):
        assert [one.seqs for one in found([record("a.b"), record("c.d")], rules)] == [(1,)]


def test_numbers_and_booleans_of_yaml_are_those_of_its_core_schema() -> None:
    text = RULE.replace("event_type: a.b", "fields.v: [yes, 010, 1_0, .inf, 0x10]")
    rules = RuleSet(rules_of(text, "t.yml"))
    matching: list[Any] = ["yes", "010", "1_0", ".inf", "0x10"]
    others: list[Any] = [True, 8, 10, 16]
    alerts = found([record("a.b", v=one) for one in (*matching, *others)], rules)
    assert [one.seqs for one in alerts] == [(1,), (2,), (3,), (4,), (5,)]
