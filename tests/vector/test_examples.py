"""``vector/examples``: of these only what can be looked at without the programs is tested."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support import requirements
from support.vector_lines import NO_SERVICES, OTHER_TYPES, SERVICES, TYPES
from support.vrl_engine import VECTOR
from support.waiting import PATIENCE

from audit_emit._format.record import ns_of

EXAMPLES = sorted((VECTOR / "examples").iterdir())
LONG = 128


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_it_says_how_it_was_run_and_with_which_version(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert re.search(r"(Run with|Not run; written from the documentation of) [0-9]+\.[0-9]+", head)


def test_the_collector_is_asked_by_its_new_names() -> None:
    config = yaml.safe_load((VECTOR / "examples" / "otel-collector.yaml").read_text("utf-8"))
    (pipeline,) = config["service"]["pipelines"].values()
    assert (*config["receivers"], *config["exporters"]) == ("file_log", "otlp_http")
    assert pipeline == {"receivers": ["file_log"], "exporters": ["otlp_http"]}


TIMES = (
    "2026-05-19T20:00:00.123456789Z",
    "1970-01-01T00:00:00.000000000Z",
    "2000-02-28T23:59:59.999999999Z",
    "2000-03-01T00:00:00.000000001Z",
    "2100-02-28T23:59:59.999999998Z",
)


def test_fluent_bit_gets_the_time_of_a_record_to_the_nanosecond(tmp_path: Path) -> None:
    lua = requirements.program("luajit", "lua")
    config = yaml.safe_load((VECTOR / "examples" / "fluent-bit.yaml").read_text("utf-8"))
    (exact,) = [one for one in config["pipeline"]["filters"] if one["name"] == "lua"]
    assert exact["time_as_table"] is True
    asked = "".join(
        f'local c, t = {exact["call"]}("audit", {{sec=7, nsec=8}}, {{ts="{ts}"}})\n'
        'print(string.format("%d %d %d", c, t.sec, t.nsec))\n'
        for ts in (*TIMES, "2026-05-19T22:00:00.5+02:00", "yesterday")
    )
    program = tmp_path / "exact.lua"
    program.write_text(exact["code"] + asked, encoding="utf-8")
    done = subprocess.run(
        [lua, program], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    *exactly, other, none = [list(map(int, line.split())) for line in done.stdout.splitlines()]
    assert exactly == [[1, *divmod(ns_of(ts), 10**9)] for ts in TIMES]
    assert other == none == [0, 7, 8]


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
