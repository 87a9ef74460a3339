"""The same for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.console_client import (
    EVERYBODY,
    PASSWORD,
    Recorder,
    client,
    console,
    hostile_log,
    log_in,
    users,
)
from support.export_records import HOSTILE, LINES
from support.waiting import until

from audit_emit.console import api, app, downloads, jobs, reporting


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_in(tmp_path / "log")


def finished(asked: TestClient) -> dict[str, Any]:
    def ended() -> Any:
        found: dict[str, Any] = asked.get("/api/audit/verify").json()
        return None if found["running"] else found

    return until(ended, "the end of the verification")  # type: ignore[no-any-return]


def test_events_come_with_their_own_bytes(log: Path) -> None:
    answer = client(console(log)).get("/api/audit/events?limit=2")
    assert LINES[-1] in answer.content
    assert [one["seq"] for one in answer.json()["records"]] == [19, 18]


def test_every_page_together_is_the_log(log: Path) -> None:
    asked, query, seen = client(console(log)), "?limit=4", []
    while query:
        found = asked.get(f"/api/audit/events{query}").json()
        seen += [one["seq"] for one in found["records"]]
        query = found["next"]
    assert seen == list(range(19, 0, -1))


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "since=x", "before=-1"])
def test_what_cannot_be_understood_is_a_400_with_its_reason(log: Path, query: str) -> None:
    answer = client(console(log)).get(f"/api/audit/events?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_verification_comes_to_its_verdict(log: Path) -> None:
    recorder = Recorder()
    asked = client(console(log, emitter=recorder))
    assert asked.post("/api/audit/verify").status_code == 202
    last = finished(asked)["last"]
    # The log declares a checkpoint that is not beside it.
    assert last["counts"] == {"missing-segment": 1}
    assert last["verdict"] == "tampered"
    assert last["records"] == 19
    assert recorder.types() == ["console.verified"]


def test_a_verification_names_the_record_that_was_changed(log: Path) -> None:
    path = log / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"purpose":"deploy"', b'"purpose":"delete"'))
    asked = client(console(log))
    asked.post("/api/audit/verify")
    found = finished(asked)["last"]["findings"][0]
    assert found["fault"] == "content"
    assert (found["kind"], found["seq"]) == ("event-hash-mismatch", 7)
    assert found["expected"] != found["actual"]


def test_reading_begins_no_verification(log: Path) -> None:
    asked = client(console(log))
    asked.get("/api/audit/verify")
    assert asked.get("/api/audit/verify").json() == {
        "running": False, "read": 0, "of": 0, "last": {}, "by": "",
    }  # fmt: skip


def test_a_checkpoint_without_a_key_says_why_not(log: Path, monkeypatch: Any) -> None:
    for name in ("AUDIT_EMIT_SIGNING_KEY", "AUDIT_EMIT_SIGNING_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    answer = client(console(log)).post("/api/audit/checkpoint")
    assert answer.status_code == 409
    assert "key" in answer.json()["said"]


def test_an_export_is_everything_that_answers(log: Path) -> None:
    recorder = Recorder()
    answer = client(console(log, emitter=recorder)).get("/export?format=jsonl&type=secret.*")
    assert answer.content == b"".join(
        line + b"\n" for line in LINES if b'"event_type":"secret.' in line
    )
    assert recorder.events == [
        ("local", "console.exported", {"format": "jsonl", "query": "type=secret.%2A", "export": 1}),
        ("local", "console.export_ended", {"export": 1, "state": "complete", "records": 5}),
    ]


def test_an_export_of_hostile_records_is_whole(tmp_path: Path) -> None:
    answer = client(console(hostile_log(tmp_path / "log"))).get("/export?format=jsonl")
    assert answer.content.count(b"\n") == len(LINES) + len(HOSTILE) + 1


def test_a_format_that_is_none_is_a_400(log: Path) -> None:
    assert client(console(log)).get("/export?format=xml").status_code == 400


def test_without_a_checkpoint_there_is_no_latest_one(log: Path) -> None:
    assert client(console(log)).get("/api/audit/checkpoint/latest").status_code == 404


def test_every_route_below_api_is_described(log: Path) -> None:
    described = client(console(log)).get("/api/openapi.json").json()["paths"]
    there = {
        route.path: sorted(set(route.methods or ()) - {"HEAD"})
        for routes in (api.routes, api.routes_of_a_log, downloads.routes, reporting.routes)
        for route in routes()
        if route.path.startswith("/api/audit/")
    }
    assert {path: sorted(one.upper() for one in found) for path, found in described.items()} == (
        there
    )


def test_answers_of_events_are_as_described(log: Path) -> None:
    import jsonschema_rs

    asked = client(console(log))
    paths = asked.get("/api/openapi.json").json()["paths"]
    schema = paths["/api/audit/events"]["get"]["responses"]["200"]["content"]["application/json"]
    answer = asked.get("/api/audit/events?limit=3").json()
    jsonschema_rs.validator_for(schema["schema"]).validate(answer)
    assert json.dumps(answer)


def test_the_exact_log_has_what_is_no_record(tmp_path: Path) -> None:
    log = log_in(tmp_path / "log", b"no record", b"\xff")
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b"torn")
    assert client(console(log)).get("/log").content == (log / "audit.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["vera", "wim", "eve"])
def test_the_exact_log_is_for_auditors_of_all_of_it(log: Path, name: str) -> None:
    asked = client(console(log, access=users(**EVERYBODY)))
    assert asked.get("/log", auth=(name, PASSWORD)).status_code == 403


def test_a_user_has_so_many_live_tails(log: Path) -> None:
    application = app(str(log), access=users(**EVERYBODY))
    inner: Any = application
    inner._inner.state.console.streams["vera"] = 20
    asked = client(application)
    assert asked.get("/events/stream", auth=("vera", PASSWORD)).status_code == 429


@pytest.mark.parametrize(
    "said",
    ["no JSON", "[]", "7", '{"read": []}', '{"read": 1}', '{"verdict": "ok"', '"read"', "null"],
)
def test_whatever_a_verification_says_the_next_one_can_begin(
    said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_VERIFICATION", ("-c", f"print({said!r})"))
    job = jobs.Verification("nowhere", ())
    for _ in range(2):
        assert job.start("vera")
        until(lambda: not job.progress().running, "the end of the verification")
        assert job.progress().last["error"]


def test_an_archive_is_run_once_at_a_time() -> None:
    with jobs._ARCHIVING:
        assert jobs.archive_now("nowhere", ()) == (False, "it is being archived already")


@pytest.mark.parametrize("seq", ["0", "x", "9" * 5000])
def test_a_number_that_is_none_has_no_proof(log: Path, seq: str) -> None:
    answer = client(console(log)).get(f"/event/00d1c0ffee00beef/{seq}/proof")
    assert answer.status_code == 404


def test_a_proof_is_of_the_chain_that_is_named(log: Path) -> None:
    answer = client(console(log)).get("/event/0000000000000000/5/proof")
    assert answer.status_code == 404


def test_a_line_that_is_no_record_does_not_break_the_answer(tmp_path: Path) -> None:
    marked = (b"\xef\xbb\xbf{}", b'{"n":"\xed\xa0\x80"}', b"\xff\xfe{\x00}\x00")
    log = log_in(tmp_path / "log", b"no record", b'{"n":NaN}', b'{"n":1', b"\xff", b"[]", *marked)
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b'{"n":%s}\n{"n":%s}\n' % (b"1" * 5000, b"[" * 100_000 + b"]" * 100_000))
    found = client(console(log)).get("/api/audit/events").json()
    assert [one["seq"] for one in found["records"]] == list(range(19, 0, -1))
    assert found["left_out"] == 10
