"""``vector/examples``: of these only what can be looked at without the programs is tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from audit_lines import NO_SERVICES, OTHER_TYPES, SERVICES, TYPES
from vrl_engine import VECTOR

EXAMPLES = sorted((VECTOR / "examples").iterdir())
LONG = 128


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_says_that_it_was_not_run(path: Path) -> None:
    assert "Not run here" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.suffix == ".yaml"], ids=str)
def test_it_is_yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_its_guards_let_through_what_audit_vrl_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    (of_type,) = {found.lstrip("^").rstrip("$") for found in re.findall(r"\S*\{0,7\}\$?", text)}
    (of_service,) = set(re.findall(r"\[a-z0-9\]\[a-z0-9_-\]\{0,62\}", text))
    of_type = of_type[of_type.index("[a-z][") :]
    for event_type in TYPES:
        assert re.fullmatch(of_type, event_type)
    for event_type in OTHER_TYPES:
        assert len(event_type) > LONG or not re.fullmatch(of_type, event_type)
    assert re.search(r"\.\{129,\}|\.\{1,128\}|> 128", text)
    assert all(re.fullmatch(of_service, service) for service in SERVICES)
    wrong = [service for service in NO_SERVICES if isinstance(service, str)]
    assert not any(re.fullmatch(of_service, service) for service in wrong)


def test_there_is_none_for_promtail() -> None:
    assert {path.name for path in EXAMPLES} == {
        "audit.alloy",
        "fluent-bit.yaml",
        "otel-collector.yaml",
    }
    readme = (VECTOR / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"[^.]*Promtail[^.]*\.", readme)) == 1
