from __future__ import annotations

from pathlib import Path

import pytest
from support.anomalous_log import DAY, found, record, rule_set
from support.plain_log_reader import records

from audit_emit import configure, emit, open_log

SET = rule_set(
    {
        "title": "Set",
        "name": "set",
        "level": "low",
        "detection": {"selection": {"event_type": "secret.set"}, "condition": "selection"},
    }
)


def test_an_alert_names_the_record_that_a_rule_is_about() -> None:
    (alert,) = found([record("a.b"), record("secret.set", 1), record("a.b", 2)], SET)
    assert (alert.rule, alert.title, alert.level, alert.seqs) == ("set", "Set", "low", (2,))
    assert alert.first_ts == alert.last_ts == "2026-06-01T00:00:01.000000000Z"
    assert alert.chain == "00112233445566ff"


def test_equal_alerts_have_equal_ids_and_others_have_others() -> None:
    once, twice = (found([record("secret.set", at) for at in (0, 1)], SET) for _ in range(2))
    assert [one.id for one in once] == [one.id for one in twice]
    assert once[0].id != once[1].id


def test_only_alerts_from_a_time_on_are_told_and_what_was_before_counts() -> None:
    reads = [record("secret.read", at, key=f"K{at}") for at in range(20)]
    (alert,) = found(reads, since="2026-06-01T00:00:19.000000000Z")
    assert alert.seqs == tuple(range(1, 21))
    assert found(reads, since="2026-06-01T00:00:20.000000000Z") == []


def test_lines_that_are_no_records_are_passed_over() -> None:
    from audit_emit._detection.detect import detect
    from audit_emit._readers.memory import MemoryReader

    lines = [b"", b"{", b"null", b'{"event_type":7}', b'{"event_type":"secret.set"}', b"\xff" * 99]
    assert [one.seqs for one in detect(MemoryReader(lines), SET)] == [(0,)]


def test_what_an_application_writes_is_found_by_its_log(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    for number in range(20):
        emit({"user_id": "u"}, "secret.read", {"key": f"K{number}"})
    alerts = list(open_log(log).anomalies())
    assert [one.rule for one in alerts] == ["secret_mass_read"]
    assert alerts[0].seqs == tuple(one["seq"] for one in records(log))[1:]


def test_what_verify_finds_is_an_alert(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    for number in range(3):
        emit(None, "a.b", {"n": number})
    log.write_bytes(log.read_bytes().replace(b'"n":1', b'"n":7'))
    (alert,) = open_log(log).anomalies()
    assert (alert.rule, alert.level, alert.seqs) == ("log_tampered", "critical", (3,))
    assert list(open_log(log).anomalies(verified=False)) == []


def test_silence_at_the_end_is_told_by_the_time_that_it_is() -> None:
    quiet = rule_set(
        {
            "title": "Any",
            "name": "any",
            "detection": {"s": {"event_type|exists": True}, "condition": "s"},
        },
        {
            "title": "Quiet",
            "name": "quiet",
            "status": "unsupported",
            "correlation": {"type": "silence", "rules": ["any"], "timespan": "1d"},
            "audit_emit": {},
        },
    )
    from support.anomalous_log import BEGIN

    assert found([record("a.b")], quiet) == []
    assert found([record("a.b")], quiet, now=BEGIN + DAY) == []
    (alert,) = found([record("a.b")], quiet, now=BEGIN + 2 * DAY)
    assert alert.reason == "nothing came after record 1 for 2d"


@pytest.mark.parametrize("member", ["user_id", "fields", "ts", "chain", "seq"])
@pytest.mark.parametrize("value", [None, 7, [1], {"a": [None]}, "x" * 10_000, True])
def test_no_member_of_any_type_ends_the_search(member: str, value: object) -> None:
    found([{**record("secret.read", key="K"), member: value} for _ in range(3)])
