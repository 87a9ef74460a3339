"""``audit-emit vector``: the files that ship and watch, and rules made to order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.cli.vector import FILES, METRICS, path_of

ROOT = Path(__file__).parents[2]
Output = pytest.CaptureFixture[str]


def alerts(capsys: Output, *words: str) -> list[dict[str, Any]]:
    assert main(["vector", "alerts", *words]) == Exit.OK
    groups = yaml.safe_load(capsys.readouterr().out)["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_as_it_is(name: str, capsys: Output) -> None:
    assert main(["vector", name]) == Exit.OK
    assert capsys.readouterr().out == path_of(name).read_text(encoding="utf-8")


def test_the_help_lists_every_file(capsys: Output) -> None:
    assert main(["vector", "--help"]) == Exit.OK
    out = capsys.readouterr().out
    assert [
        name for name, (_, what) in FILES.items() if f"{name} " not in out or what not in out
    ] == []


def test_every_configuration_and_rule_can_be_had() -> None:
    there = {str(p.relative_to(ROOT / "vector")) for p in (ROOT / "vector").rglob("*.yaml")}
    assert there - {where for where, _ in FILES.values()} == {"compose.yaml"}


def test_another_address(capsys: Output) -> None:
    assert main(["vector", "file", "--endpoint", "https://logs.example.com"]) == Exit.OK
    config = yaml.safe_load(capsys.readouterr().out)
    sinks = [sink for sink in config["sinks"].values() if sink["type"] == "loki"]
    assert [sink["endpoint"] for sink in sinks] == ["https://logs.example.com"] * 2


@pytest.mark.parametrize("name", ["file", "docker", "kubernetes", "both"])
def test_metrics_outside_of_a_container(name: str, capsys: Output) -> None:
    assert METRICS in path_of(name).read_text(encoding="utf-8")
    assert main(["vector", name, "--metrics", "0.0.0.0:9598"]) == Exit.OK
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["sinks"]["metrics"]["address"] == "0.0.0.0:9598"


def test_the_alerts_of_two_tenants_differ_in_their_labels(capsys: Output) -> None:
    one, other = (alerts(capsys, "--tenant", name) for name in ("acme", "other"))
    assert {rule["labels"]["tenant"] for rule in one} == {"acme"}
    for a, b in zip(one, other, strict=True):
        assert a["labels"] != b["labels"]
        assert a["expr"] == b["expr"]
    commands = [rule["annotations"]["command"] for rule in one]
    assert all("--tenant acme" in command for command in commands if "--loki" in command)


def test_a_service_with_a_threshold_of_its_own(capsys: Output) -> None:
    found = [
        rule
        for rule in alerts(capsys, "--silent", "nightly=26h", "--silent", "web=5m")
        if rule["alert"] == "AuditServiceSilent"
    ]
    general, nightly, web = found
    assert general["expr"].count('service!~"nightly|web"') == 2
    assert nightly["expr"] == 'absent_over_time({job="audit", service="nightly"} [26h])\n'
    assert (nightly["labels"]["service"], web["labels"]["service"]) == ("nightly", "web")
    assert "nightly has recorded nothing for 26h" in nightly["annotations"]["summary"]


@pytest.mark.parametrize("name", ["123", "null", "true", "1e5", "no", "2026-05-19"])
def test_a_name_is_text_whatever_yaml_would_read_in_it(name: str, capsys: Output) -> None:
    rules = alerts(capsys, "--tenant", name, "--silent", f"{name}=26h")
    assert {rule["labels"]["tenant"] for rule in rules} == {name}
    assert name in [rule["labels"].get("service") for rule in rules]


@pytest.mark.parametrize(
    "words",
    [
        ["file", "--endpoint", "http://loki:3100 #"],
        ["file", "--endpoint", 'http://loki:3100/"'],
        ["alerts", "--endpoint", "http://loki:3100"],
        ["file", "--metrics", "999.0.0.1:9598"],
        ["alerts", "--except", "AuditDeadLetters=shop"],
    ],
)
def test_what_would_change_nothing_or_break_the_file_is_refused(
    words: list[str], capsys: Output
) -> None:
    assert main(["vector", *words]) == Exit.USAGE
    assert capsys.readouterr().out == ""


def test_a_service_that_an_alert_is_not_about(capsys: Output) -> None:
    found = {
        rule["alert"]: rule
        for rule in alerts(
            capsys,
            *("--except", "AuditServiceTwoChains=web", "--except", "AuditServiceTwoChains=api"),
        )
    }
    about = [name for name, rule in found.items() if 'service!~"web|api"' in rule["expr"]]
    assert about == ["AuditServiceTwoChains"]
    assert not any("web|api" in str(rule["annotations"]) for rule in found.values())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["alerts", "--silent", "nightly"], "must be NAME=VALUE"),
        (["alerts", "--silent", "nightly=soon"], "'soon' cannot be used here"),
        (["alerts", "--silent", '"} or x=1h'], "cannot be used here"),
        (["alerts", "--except", "NoSuchAlert=web"], "there is no such alert"),
        (["alerts", "--except", "AuditUnchained=a b"], "cannot be used here"),
        (["alerts", "--tenant", "a b"], "cannot be used here"),
        (["file", "--tenant", "acme"], "for the rules"),
        (["recording", "--silent", "a=1h"], "for the alerts"),
        (["file", "--endpoint", "loki"], "must be an address"),
        (["loki", "--metrics", "0.0.0.0:9598"], "for Vector's files"),
        (["file", "--metrics", "everywhere"], "for Vector's files"),
        (["nothing"], "is not one of"),
    ],
)
def test_what_cannot_be_written_is_told(words: list[str], why: str, capsys: Output) -> None:
    assert main(["vector", *words]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert why in err
    assert out == ""
