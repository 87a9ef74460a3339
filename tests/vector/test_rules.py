"""The alerts and recording rules: well-formed, explained, and they fire on what they are for."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import requirements
from support.chain_builder import Trail
from support.loki_program import RealLoki
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "vector" / "rules"
FILES = sorted(DIRECTORY.glob("*/*.yaml"))
PROMETHEUS = sorted((ROOT / "vector" / "prometheus").glob("*.yaml"))
PIPELINE = ROOT / "docs" / "pipeline.md"
HOUR = 3600.0

Plant = Callable[[RealLoki, str], None]


def rules(kind: str) -> list[dict[str, Any]]:
    """All alerts, or all recording rules (``record``)."""
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in FILES]
    found = [rule for text in documents for group in text["groups"] for rule in group["rules"]]
    return [rule for rule in found if kind in rule]


ALERTS = {rule["alert"]: rule for rule in rules("alert")}


def test_the_files_lie_where_a_loki_without_tenants_looks_for_them() -> None:
    assert [path.parent.name for path in FILES] == ["fake"] * len(FILES)
    assert FILES


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_is_about(name: str) -> None:
    alert = ALERTS[name]
    said = {"query", "summary", "description", "command", "runbook_url"}
    assert said <= set(alert["annotations"])
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_whose_it_is(name: str) -> None:
    """A label of the answer, or one that is written beside it."""
    alert = ALERTS[name]
    asked = re.search(r"\bby \(([^)]*)\)", alert["expr"])
    found = {*alert["labels"], *alert["annotations"], *(asked[1].split(", ") if asked else ())}
    assert {"service", "host", "tenant", "chain"} <= found


@pytest.mark.parametrize("name", ALERTS)
def test_a_value_from_a_record_cannot_leave_the_words_of_a_command_or_a_query(name: str) -> None:
    alert = ALERTS[name]
    quoted = r"""'\{\{ reReplaceAll "'" "'\\\\''" \$labels\.\w+ \}\}'"""
    assert "$labels" not in re.sub(quoted, "", alert["annotations"]["command"])
    for text in (*alert["labels"].values(), *alert["annotations"].values()):
        assert not re.search(r"query \(printf .*%s", text)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_leads_to_its_part_of_the_runbook(name: str) -> None:
    page, _, part = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert part in {heading.lower() for heading in headings}


def test_the_runbook_has_no_part_for_what_is_no_alert() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    documents = [yaml.safe_load(path.read_text("utf-8")) for path in PROMETHEUS]
    theirs = {r["alert"] for d in documents for g in d["groups"] for r in g["rules"]}
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == {*ALERTS, *theirs}


def test_promtool_accepts_the_rules_of_prometheus() -> None:
    program = requirements.program("promtool")
    command = [program, "check", "rules", *map(str, PROMETHEUS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    tests = [program, "test", "rules", str(Path(__file__).with_name("prometheus_rules.yaml"))]
    done = subprocess.run(tests, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("path", PROMETHEUS, ids=lambda path: path.stem)
def test_a_rule_of_prometheus_says_what_it_is_about(path: Path) -> None:
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            assert {"summary", "description", "command", "runbook_url"} <= set(rule["annotations"])
            assert rule["labels"]["severity"] in {"critical", "warning", "info"}
            part = rule["annotations"]["runbook_url"].partition("#")[2]
            assert part == rule["alert"].lower()


def test_the_page_explains_every_alert_and_no_other() -> None:
    rows = re.findall(r"^\| `(Audit\w+)` \|", PIPELINE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(ALERTS)


def test_lokitool_accepts_the_rules() -> None:
    program = requirements.program("lokitool")
    command = [program, "rules", "lint", "--dry-run", *map(str, FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(rules('expr'))} rules found" in done.stderr


def a_busy_day(trail: Trail) -> None:
    """A service that works, signs and loses nothing, and people who were there before."""
    for day in range(6, -1, -1):
        trail.add("audit.started", day * 24 * HOUR + 8000, user="")
        for user in ("u-17", "bob"):
            trail.add("secret.set", day * 24 * HOUR + 7200, user=user, key="A")
        trail.add("audit.checkpoint", day * 24 * HOUR + 7000, user="", head_seq=3)
    for ago in (3000, 1700, 1300, 600, 20):
        trail.add("http.request", ago, outcome="success")
        trail.add("audit.checkpoint", ago - 5, user="", head_seq=3)


def silent(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    trail.add("audit.started", 24 * HOUR, user="", host="web-9")
    trail.add("secret.set", 2 * HOUR)
    loki.push(trail.lines)


def missing(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    trail.add("secret.set", 600)
    trail.skip("secret.set", 500)
    trail.add("secret.set", 400)
    loki.push(trail.lines)


def declared(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    trail.add("audit.started", 90, user="", host="web-7")
    trail.add("audit.gap", 60, user="", sink="jsonl", reason="ENOSPC", lost=3)
    loki.push(trail.lines)


def unparsable(loki: RealLoki, service: str) -> None:
    loki.push(["{not json"], service=service, event_type="other", at=str(time.time_ns()))


def unchained(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    record = json.loads(trail.add("secret.rotate", 60))
    for name in ("chain", "seq", "prev_hash", "hash"):
        del record[name]
    loki.push([json.dumps(record, separators=(",", ":"))])


def two_chains(loki: RealLoki, service: str) -> None:
    for _ in range(2):
        trail = Trail(service)
        trail.add("secret.set", 60)
        loki.push(trail.lines)


def ahead(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    trail.add("secret.set", -300)
    loki.push(trail.lines)


def lines_missing(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    for number in (1, 2, 4):
        record = json.loads(trail.add("secret.set", 90 - number))
        bare = {name: record[name] for name in list(record)[:10]}
        line = {**bare, "process": "00d1c0ffee00beef", "number": number}
        loki.push([json.dumps(line, separators=(",", ":"))])


def dead_letter(loki: RealLoki, service: str) -> None:
    loki.push(["{}"], job="audit-dlq", at=str(time.time_ns()))


def overdue(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    trail.add("audit.checkpoint", HOUR, user="")
    for ago in (1750, 1000, 50):
        trail.add("http.request", ago)
    loki.push(trail.lines)


def burst(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    for ago in range(6):
        trail.add("auth.login_failed", 60 + ago, user="", login="root")
    loki.push(trail.lines)


def newcomer(loki: RealLoki, service: str) -> None:
    trail = Trail(service)
    trail.add("secret.set", 60, user=f"new-{service}")
    loki.push(trail.lines)


PLANTED: dict[str, Plant] = {
    "AuditServiceSilent": silent,
    "AuditRecordsMissing": missing,
    "AuditLinesMissing": lines_missing,
    "AuditGapDeclared": declared,
    "AuditUnparsable": unparsable,
    "AuditUnchained": unchained,
    "AuditServiceTwoChains": two_chains,
    "AuditClockAhead": ahead,
    "AuditDeadLetters": dead_letter,
    "AuditCheckpointOverdue": overdue,
    "AuditLoginFailureBurst": burst,
    "AuditFirstSeenActor": newcomer,
}


def hurried(text: str) -> str:
    """The rules as they are, but every second and without a wait before they fire."""
    return re.sub(r"^ +(interval|for): .*\n", "", text, flags=re.MULTILINE)


def evaluated(loki: RealLoki) -> dict[str, dict[str, Any]]:
    """Every rule by name, once each of them has been evaluated after this call."""
    deadline = time.monotonic() + PATIENCE
    begun = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    while time.monotonic() < deadline:
        found = {rule["name"]: rule for rule in loki.rules()}
        if found and all(rule["lastEvaluation"][:19] > begun for rule in found.values()):
            return found
        time.sleep(0.2)
    raise AssertionError(f"not evaluated in time: {loki.rules()}")


def load(loki: RealLoki) -> None:
    for path in FILES:
        loki.load_rules(path.name, hurried(path.read_text(encoding="utf-8")))


@pytest.mark.loki
def test_nothing_fires_on_a_quiet_day_and_everything_when_it_has_reason(loki: RealLoki) -> None:
    everyday = Trail("everyday")
    a_busy_day(everyday)
    loki.push(everyday.lines)
    load(loki)
    before = evaluated(loki)
    assert {name: rule["health"] for name, rule in before.items()} == dict.fromkeys(before, "ok")
    assert [name for name in ALERTS if before[name]["state"] != "inactive"] == []

    for number, plant in enumerate(PLANTED.values()):
        plant(loki, f"service-{number}")
    after = evaluated(loki)
    assert {name: rule["health"] for name, rule in after.items()} == dict.fromkeys(after, "ok")
    fired = [name for name in ALERTS if after[name]["state"] == "firing"]
    assert fired == list(PLANTED)
    for number, name in enumerate(PLANTED):
        labels = [alert["labels"] for alert in after[name]["alerts"]]
        about = {label.get("service", label.get("user_id", "")) for label in labels}
        assert any(f"service-{number}" in one or name == "AuditDeadLetters" for one in about), name
        assert {label["tenant"] for label in labels} == {"fake"}
    (gap,) = after["AuditGapDeclared"]["alerts"]
    assert gap["labels"]["host"] == "web-7"
    assert gap["annotations"]["command"] == (
        f"audit-emit query --type audit.gap --where chain='{gap['labels']['chain']}' "
        "--since 1h --loki URL"
    )
    (silence,) = after["AuditServiceSilent"]["alerts"]
    assert silence["annotations"]["host"] == "web-9"
    assert re.fullmatch("[0-9a-f]{16}", silence["annotations"]["chain"])


@pytest.mark.loki
def test_when_nothing_has_ever_arrived_that_is_an_alert(loki: RealLoki) -> None:
    load(loki)
    found = evaluated(loki)
    fired = [name for name in ALERTS if found[name]["state"] == "firing"]
    assert fired == ["AuditNothingArrives"]


def test_each_alert_is_made_to_fire() -> None:
    assert {*PLANTED, "AuditNothingArrives"} == set(ALERTS)
