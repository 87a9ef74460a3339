"""Alerts beside the events, and reports, in the console."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
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

from audit_emit import Emitter
from audit_emit.cli import main

CHAIN = "00d1c0ffee00beef"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two records, an open alert about the second, and one that somebody looked at."""
    trail = Trail("shop", CHAIN)
    trail.add("secret.read", 90, key="A")
    trail.add("secret.read", 80, key="B")
    alert: dict[str, Any] = {"level": "high", "title": "Mass <b>read</b>", "reason": "20 keys"}
    alert["group"] = {"user_id": "<i>eve", "fields.key": None, "odd": ["x"]}
    trail.add("audit.anomaly", 70, "", id="a-1", seqs=[2], **alert)
    trail.add("audit.anomaly", 60, "", id="a-2", seqs=[1], **alert)
    trail.add("anomaly.acknowledged", 50, "eve", anomaly="a-2")
    log = tmp_path / "log"
    log.mkdir()
    (log / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in trail.lines))
    return log


def test_alerts_are_shown_with_who_looked_at_them(log: Path) -> None:
    page = client(console(log)).get("/alerts").text
    assert "1 open, 1 acknowledged." in page
    assert "acknowledged by eve" in page
    assert "Mass &lt;b&gt;read&lt;/b&gt; <small>user_id &lt;i&gt;eve</small>" in page
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


def acknowledged(asked: Any, alert: str, user: str = "", **more: str) -> Any:
    auth = (user, PASSWORD) if user else None
    given = {"token": token_of(asked.get("/alerts", auth=auth).text), "alert": alert, **more}
    headers = {"origin": "http://localhost"}
    return asked.post("/alerts/acknowledge", data=given, headers=headers, auth=auth)


@pytest.fixture
def emitter(tmp_path: Path) -> Iterator[Emitter]:
    own = tmp_path / "own" / "audit.jsonl"
    found = Emitter(service="audit-console", jsonl=str(own), stdout=False)
    yield found
    found.close()


def test_an_operator_acknowledges_an_alert_in_the_consoles_own_log(
    log: Path,
    emitter: Emitter,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = client(console(log, emitter=emitter, access=users(**EVERYBODY)))
    before = (log / "audit.jsonl").read_bytes()
    assert acknowledged(asked, "a-1", "olga", note="a <b>planned</b> test").status_code == 303
    assert (log / "audit.jsonl").read_bytes() == before
    again = client(console(log, emitter=emitter))  # as after a restart
    page = again.get("/alerts").text
    assert "0 open, 2 acknowledged." in page
    assert "a &lt;b&gt;planned&lt;/b&gt; test" in page
    own = emitter.settings.jsonl
    for given, still in ((["--console", str(own)], 0), (["--console", str(log)], 1)):
        main(["status", str(log), "--json", *given])
        assert json.loads(capsys.readouterr().out)["alerts"]["open"] == still
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(own))  # as where the console itself is started
    main(["status", str(log), "--json"])
    assert json.loads(capsys.readouterr().out)["alerts"]["open"] == 0
    # Somebody did already: nothing is recorded a second time.
    assert "acknowledged by olga" in again.get(acknowledged(again, "a-1").headers["location"]).text
    kept = Path(str(own)).read_bytes().splitlines()
    records = [json.loads(one) for one in kept if b"anomaly.acknowledged" in one]
    assert [(one["user_id"], one["fields"]) for one in records] == [
        ("olga", {"anomaly": "a-1", "chain": CHAIN, "note": "a <b>planned</b> test"})
    ]


def test_an_alert_of_an_older_chain_and_one_of_none_are_acknowledged(
    log: Path, emitter: Emitter
) -> None:
    file = log / "audit.jsonl"
    alert = json.loads(file.read_bytes().splitlines()[2])
    loose = {
        name: alert[name] for name in alert if name not in {"chain", "seq", "prev_hash", "hash"}
    }
    loose["id"], loose["fields"] = "loose", {**alert["fields"], "id": "a-3"}
    newer = Trail("shop", "0" * 16)
    newer.add("secret.read", 40, key="C")
    with file.open("ab") as end:
        for line in (*newer.lines, json.dumps(loose).encode()):
            end.write(line + b"\n")
    asked = client(console(log, emitter=emitter))
    assert '<a href="/event/00d1c0ffee00beef%3A2">2</a>' in asked.get("/alerts").text
    for name in ("a-1", "a-3"):
        assert acknowledged(asked, name).status_code == 303
    assert "0 open, 3 acknowledged." in asked.get("/alerts").text


def test_what_an_operator_said_of_an_alert_stays_whole_whatever_the_log_says_later(
    log: Path, emitter: Emitter
) -> None:
    asked, note = client(console(log, emitter=emitter)), "n" * 500
    assert acknowledged(asked, "a-1", note=note).status_code == 303
    later = Trail("shop", "0" * 16)
    later.add("anomaly.acknowledged", 0, "eve", anomaly="a-1", note="nothing to see")
    with (log / "audit.jsonl").open("ab") as end:
        end.write(later.lines[0] + b"\n")
    newest = asked.get("/api/audit/alerts").json()["alerts"][-1]
    assert (newest["id"], newest["by"], newest["note"]) == ("a-1", "local", note)


def test_an_acknowledgement_of_an_alert_of_another_log_is_none(log: Path, emitter: Emitter) -> None:
    emitter.emit(None, "anomaly.acknowledged", {"anomaly": "a-1", "chain": "0" * 16})
    emitter.flush()
    assert "1 open" in client(console(log, emitter=emitter)).get("/alerts").text


@pytest.mark.parametrize(
    ("user", "alert", "note", "status"),
    [
        ("arno", "a-1", "", 403),  # an auditor
        ("wim", "a-1", "", 403),  # an operator of one workspace
        ("olga", "a-9", "", 404),
        ("olga", "", "", 404),
        ("olga", "a-1", "x" * 501, 400),
    ],
)
def test_an_acknowledgement_that_is_refused_is_not_recorded(
    log: Path, emitter: Emitter, user: str, alert: str, note: str, status: int
) -> None:
    asked = client(console(log, emitter=emitter, access=users(**EVERYBODY)))
    answer = asked.post(
        "/api/audit/alerts/acknowledge", data={"alert": alert, "note": note}, auth=(user, PASSWORD)
    )
    assert answer.status_code == status
    assert "1 open" in asked.get("/alerts", auth=("olga", PASSWORD)).text


def test_another_site_acknowledges_nothing(log: Path, emitter: Emitter) -> None:
    asked = client(console(log, emitter=emitter))
    for headers in ({"origin": "https://evil.example"}, {"origin": "http://localhost"}):
        answer = asked.post("/alerts/acknowledge", data={"alert": "a-1"}, headers=headers)
        assert answer.status_code == 403
    assert "1 open" in asked.get("/alerts").text


def test_without_a_log_of_its_own_nothing_is_acknowledged(log: Path) -> None:
    asked = client(console(log))
    assert "Acknowledge</button>" not in asked.get("/alerts").text
    assert acknowledged(asked, "a-1").status_code == 409


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
    log = log_in(tmp_path / "other")
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
