"""The rules of the package, by the tests that stand in ``cases/``: files as users write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audit_emit._detection.alert import LEVELS
from audit_emit._detection.loading import built_in
from audit_emit._detection.rule import Rule
from audit_emit._detection.rule_tests import Case, cases_in, run

CASES = [
    case for path in sorted(Path(__file__).with_name("cases").iterdir()) for case in cases_in(path)
]
ALERTING = built_in().alerting()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_a_rule_finds_what_it_should(case: Case) -> None:
    (outcome,) = run([case], built_in())
    assert outcome.found == case.expect


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: rule.name)
def test_each_rule_has_a_hit_a_near_miss_and_a_hostile_input(rule: Rule) -> None:
    kinds = {case.name.partition(":")[0] for case in CASES if case.rule == rule.name}
    assert kinds == {"hit", "near miss", "hostile"}


@pytest.mark.parametrize("rule", ALERTING, ids=lambda rule: rule.name)
def test_each_rule_says_what_who_decides_about_it_must_know(rule: Rule) -> None:
    assert all((rule.reason, rule.evasion, rule.falsepositives, rule.references))
    assert all(re.fullmatch(r"attack\.(t\d{4}(\.\d{3})?|[a-z-]+)", tag) for tag in rule.tags)
    assert any(tag.startswith("attack.t1") for tag in rule.tags)


@pytest.mark.parametrize("rule", built_in().rules.values(), ids=lambda rule: rule.name)
def test_each_rule_is_written_as_those_of_sigmahq_are(rule: Rule) -> None:
    assert rule.title == " ".join(word[0].upper() + word[1:] for word in rule.title.split())
    assert rule.description.startswith("Detects ")
    assert rule.status in {"experimental", "unsupported"}
    assert rule.level in LEVELS
    assert rule.id
