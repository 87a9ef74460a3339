from __future__ import annotations

import json
from typing import Any

import pytest

from audit_emit import Event
from audit_emit._declared.in_log import LogCheck, Row
from audit_emit._schemas.given import schemas


class SecretSet(Event, type="secret.set"):
    key: str


@pytest.fixture
def check() -> LogCheck:
    given = schemas("schemas", [SecretSet])
    assert given
    return LogCheck(given)


def line(event_type: Any, fields: Any, seq: Any = 1) -> bytes:
    return json.dumps({"event_type": event_type, "fields": fields, "seq": seq}).encode()


def test_what_fits_is_no_finding(check: LogCheck) -> None:
    check.add(line("secret.set", {"key": "A"}))
    check.add(line("audit.started", {"pid": 1}))
    assert (check.rows(), check.records) == ([], 1)


def test_findings_of_one_kind_are_one_with_the_first_record(check: LogCheck) -> None:
    for seq in (5, 6, 7):
        check.add(line("secret.set", {"kye": "A"}, seq))
    check.add(line("secret.sett", {}, 8))
    assert check.rows() == [
        Row("secret.set", "key: missing", 3, 5),
        Row("secret.set", "kye: unknown", 3, 5),
        Row("secret.sett", "undeclared", 1, 8),
    ]
    assert (check.records, check.unfit, check.undeclared) == (4, 3, 1)


def test_a_mark_from_then_says_nothing_now(check: LogCheck) -> None:
    check.add(line("secret.set", {"key": "A", "_schema": ["scope: missing"]}))
    assert check.rows() == []


@pytest.mark.parametrize("content", [b"", b"hello", b"[]", b"{}", b'{"event_type":7}', b"\xff"])
def test_what_is_no_record_is_counted(check: LogCheck, content: bytes) -> None:
    check.add(content)
    assert (check.foreign, check.records) == (1, 0)


@pytest.mark.parametrize("fields", [7, None, [1], "x"])
def test_fields_that_are_no_object_do_not_fit(check: LogCheck, fields: Any) -> None:
    check.add(line("secret.set", fields, seq="x"))
    assert check.rows() == [Row("secret.set", "fields: type", 1, 0)]


def test_a_log_of_invented_names_takes_little_memory(
    check: LogCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit._declared.in_log._MOST", 10)
    for n in range(50):
        check.add(line("x" * 1000 + str(n), {}))
        check.add(line(f"a.b{n}", {}))
    assert len(check.rows()) == 10
    assert check.more > 0
    assert all(len(row.event_type) <= 128 for row in check.rows())
