"""Alerts beside the events, and reports, in the console."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import Trail
from support.console_client import (
    EVERYBODY,
    PASSWORD,
    Recorder,
    client,
    console,
    log_in,
    token_of,
    users,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two records, an open alert about the second, and one that somebody looked at."""
    trail = Trail("shop", "00d1c0ffee00beef")
    trail.add("secret.read", 90, key="A")
    trail.add("secret.read", 80, key="B")
    alert: dict[str, Any] = {"level": "high", "title": "Mass <b>read</b>", "reason": "20 keys"}
    trail.add("audit.anomaly", 70, "", id="a-1", seqs=[2], **alert)
    trail.add("audit.anomaly", 60, "", id="a-2", seqs=[1], **alert)
    trail.add("anomaly.acknowledged", 50, "eve", anomaly="a-2")
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in trail.lines))
    return tmp_path


def test_alerts_are_shown_with_who_looked_at_them(log: Path) -> None:
    page = client(console(log)).get("/alerts").text
    assert "1 open, 1 acknowledged." in page
    assert "acknowledged by eve" in page
    assert "Mass &lt;b&gt;read&lt;/b&gt;" in page
    assert '<a href="/event/00d1c0ffee00beef%3A2">2</a>' in page


def test_an_open_alert_stands_beside_the_event_that_it_names(log: Path) -> None:
    asked = client(console(log))
    asked.get("/alerts")
    assert asked.get("/").text.count('class="alerted"') == 1


def test_programs_get_the_alerts(log: Path) -> None:
    found = client(console(log)).get("/api/audit/alerts").json()
    assert [one["acknowledged"] for one in found["alerts"]] == [True, False]
    assert found["cut"] is False


def test_that_there_are_more_alerts_than_are_shown_is_said(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit._report.recent.MOST", 1)
    asked = client(console(log))
    assert "1 acknowledged; there are more, and only the newest" in asked.get("/alerts").text
    assert asked.get("/api/audit/alerts").json()["cut"] is True


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_report_is_a_file(log: Path, form: str) -> None:
    recorder = Recorder()
    asked = client(console(log, emitter=recorder))
    token = token_of(asked.get("/report").text)
    given = {"days": "3", "format": form, "anomalies": "no", "token": token}
    answer = asked.post("/report", data=given)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="audit-report.{form}"'
    if form == "json":
        assert json.loads(answer.text)["summary"]["rows"][0]["cells"] == ["Records", 5]
    assert ("console.exported", f"report.{form}") in [
        (kind, fields.get("format")) for _, kind, fields in recorder.events
    ]


@pytest.mark.parametrize(
    "given", [{"format": "exe"}, {"days": "0"}, {"days": "-1 --out x"}, {"days": "\u0663"}]
)
def test_a_report_of_something_else_is_refused(log: Path, given: dict[str, str]) -> None:
    assert client(console(log)).post("/report", data=given).status_code == 400


def test_why_there_is_no_report_is_said(tmp_path: Path) -> None:
    log = log_in(tmp_path / "log")
    asked = client(console(log, keys=()))
    shutil.rmtree(log)
    answer = asked.post("/report", data={"days": "3"})
    assert answer.status_code == 409
    assert "There is no report" in answer.text


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [("vera", "/alerts", 200), ("wim", "/alerts", 403), ("vera", "/report", 200)],
)
def test_who_sees_a_part_of_the_log_sees_no_alerts_of_all(
    log: Path, name: str, path: str, status: int
) -> None:
    asked = client(console(log, access=users(**EVERYBODY)))
    assert asked.get(path, auth=(name, PASSWORD)).status_code == status


def test_a_report_takes_an_auditor(log: Path) -> None:
    asked = client(console(log, access=users(**EVERYBODY)))
    assert asked.post("/report", data={"days": "3"}, auth=("vera", PASSWORD)).status_code == 403
