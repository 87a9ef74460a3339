"""What docs/anomalies.md shows is understood, and its tests pass."""

from __future__ import annotations

import re
from pathlib import Path

from audit_emit._detection.loading import built_in, rules_in, rules_of
from audit_emit._detection.modifiers import KNOWN
from audit_emit._detection.rule import COUNTING, DETECTORS
from audit_emit._detection.rule_tests import cases_in, run

PAGE = (Path(__file__).parents[2] / "docs" / "anomalies.md").read_text("utf-8")
RULE, DETECTOR, TESTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_rule_and_its_tests_are_a_pair_of_files_that_work(tmp_path: Path) -> None:
    rule, tests = tmp_path / "rules" / "rule.yml", tmp_path / "tests.yml"
    rule.parent.mkdir()
    rule.write_text(RULE, "utf-8")
    tests.write_text(TESTS, "utf-8")
    outcomes = list(run(cases_in(tests), rules_in(rule.parent)))
    assert [one.ok for one in outcomes] == [True, True]


def test_the_detector_is_understood() -> None:
    (rule,) = rules_of(DETECTOR, "detector.yml")
    assert rule.correlation is not None
    assert rule.correlation.type == "first_seen"


def test_every_rule_modifier_and_correlation_is_on_the_page() -> None:
    names = {one.name for one in built_in().alerting()} | {*COUNTING, *DETECTORS}
    long = {"ignorecase", "multiline", "dotall"}
    names |= set(KNOWN) - long
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
