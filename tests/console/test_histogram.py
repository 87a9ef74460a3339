"""How many records there were when."""

from __future__ import annotations

from audit_emit._facade.records import ns_of
from audit_emit.console.filters import Filters
from audit_emit.console.histogram import BARS, Histogram, histogram_of

SECOND = 10**9
BEGIN = 1_779_220_800 * SECOND


def found(*times: int, cut: bool = False, **given: str) -> Histogram:
    return histogram_of(times, Filters(given), cut=cut)


def test_each_bar_is_a_while_of_a_round_length_with_its_records() -> None:
    bars = found(*(BEGIN + at * SECOND for at in (0, 1, 1, 119))).bars
    assert [(one.begin, one.end, one.records) for one in bars] == [
        ("2026-05-19T20:00:00.000Z", "2026-05-19T20:00:02.000Z", 3),
        ("2026-05-19T20:01:58.000Z", "2026-05-19T20:02:00.000Z", 1),
    ]


def test_a_bar_is_a_question_with_the_filters_that_were_given() -> None:
    (bar,) = found(BEGIN, actor="u-17", since="7d").bars
    query = "actor=u-17&since=2026-05-19T20%3A00%3A00.000Z&until=2026-05-19T20%3A00%3A00.001Z"
    assert bar.query == query


def test_there_are_no_more_bars_than_have_room_whatever_the_time() -> None:
    for last in (0, 1, 59, 60, 3600, 86400, 10**9, 253_402_300_799):
        whole = found(*(at * last * SECOND // 999 for at in range(1000)))
        assert 0 < len(whole.bars) <= BARS
        assert sum(one.records for one in whole.bars) == whole.records == 1000
        assert all(0 <= one.x < 960 and one.y >= 0 for one in whole.bars)


def test_times_at_the_ends_of_the_calendar_are_times_still() -> None:
    whole = found(*map(ns_of, ("0001-01-01T00:00:00.000000000Z", "9999-12-31T23:59:59.999999999Z")))
    assert (whole.first, whole.last) == ("1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")


def test_without_records_there_is_no_bar() -> None:
    assert found().bars == []
