"""Labels of a stream; text, time and labels of a line are in ``vector/test_labels_mirror.py``."""

from __future__ import annotations

from audit_emit._loki.labels import (
    Placement,
    placement_of,
    service_of,
    time_of,
    unwrapped,
    wrong_labels,
)

TS = "2026-05-19T20:00:00.123456789Z"
NS = 1_779_220_800_123_456_789
WANTED = Placement(NS, "api", "a.b")


def test_what_is_read_of_a_record() -> None:
    line = f'{{"ts":"{TS}","event_type":"a.b","fields":{{}},"service":"api"}}'
    assert placement_of(line.encode()) == WANTED
    assert WANTED.labels == {"job": "audit", "service": "api", "event_type": "a.b"}


def test_the_text_is_what_stdout_and_crlf_put_around_it() -> None:
    assert unwrapped(b'audit: {"a":1}\r') == b'{"a":1}'
    assert unwrapped(b'{"a":1}') == b'{"a":1}'


def test_a_time_in_another_zone() -> None:
    assert time_of("2026-05-19T22:00:00.123456789+02:00") == NS


def test_the_service_of_a_record_is_its_own_and_not_that_of_its_fields() -> None:
    record = f'{{"ts":"{TS}","event_type":"a.b","fields":{{"a":"b","service":"inner"}}'
    assert service_of(f'{record},"v":1,"id":"i","service":"outer"}}'.encode()) == "outer"
    assert service_of(f'{{"service":"first","ts":"{TS}","event_type":"a"}}'.encode()) == "first"
    assert service_of(b"{}") == "unknown"


def test_the_labels_of_the_pipeline() -> None:
    assert wrong_labels(WANTED.labels, WANTED) == ""


def test_what_loki_adds_is_not_wrong() -> None:
    added = {"service_name": "api", "detected_level": "error", "__time_shard__": "1"}
    assert wrong_labels({**WANTED.labels, **added}, WANTED) == ""


def test_labels_of_the_site_are_wanted_where_they_are_declared() -> None:
    wanted = Placement(1, "api", "secret.set")
    there = {**wanted.labels, "env": "prod"}
    assert wrong_labels(there, wanted, {"env": "prod"}) == ""
    assert wrong_labels({**there, "service_name": "api"}, wanted, {"env": "prod"}) == ""
    assert wrong_labels(there, wanted) == "env is 'prod', and should not be there"
    assert wrong_labels(wanted.labels, wanted, {"env": "prod"}) == "env is missing, not 'prod'"
    assert wrong_labels(there, wanted, {"env": "test"}) == "env is 'prod', not 'test'"


def test_wrong_labels_are_named() -> None:
    found = {"job": "audit", "service": "web", "node": "n1"}
    assert wrong_labels(found, WANTED) == (
        "event_type is missing, not 'a.b', node is 'n1', and should not be there, "
        "service is 'web', not 'api'"
    )
