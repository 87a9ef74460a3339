"""Times in words: what is understood, in which zone, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.for_each import for_each

from audit_emit._query.times import instant, span

AT = datetime(2026, 5, 19, 2, 30, tzinfo=UTC)
"""A Tuesday."""


@for_each(
    "text, moment",
    [
        ("02:30Z", "2026-05-19T02:30:00"),
        ("02:31Z", "2026-05-18T02:31:00"),
        ("03:00", "2026-05-18T03:00:00"),
        ("3:00", "2026-05-18T03:00:00"),
        ("03:00 Z", "2026-05-18T03:00:00"),
        ("01:00:07Z", "2026-05-19T01:00:07"),
        ("03:00+02:00", "2026-05-19T01:00:00"),
        ("05:00+02:00", "2026-05-18T03:00:00"),
        ("23:00-05:00", "2026-05-18T04:00:00"),
        ("24h", "2026-05-18T02:30:00"),
        ("2w", "2026-05-05T02:30:00"),
        ("2 hours ago", "2026-05-19T00:30:00"),
        ("an hour ago", "2026-05-19T01:30:00"),
        ("15 min ago", "2026-05-19T02:15:00"),
        ("now", "2026-05-19T02:30:00"),
        ("today", "2026-05-19T00:00:00"),
        ("Yesterday", "2026-05-18T00:00:00"),
        ("yesterday 03:00", "2026-05-18T03:00:00"),
        ("03:00  yesterday", "2026-05-18T03:00:00"),
        ("yesterday 03:00+02:00", "2026-05-18T01:00:00"),
        ("monday", "2026-05-18T00:00:00"),
        ("mon 03:00", "2026-05-18T03:00:00"),
        ("tuesday", "2026-05-19T00:00:00"),
        ("last tuesday", "2026-05-12T00:00:00"),
        ("tuesday 03:00", "2026-05-12T03:00:00"),
        ("wednesday", "2026-05-13T00:00:00"),
        ("monday 03:00 Europe/Berlin", "2026-05-18T01:00:00"),
        ("2026-05-01T03:00Z", "2026-05-01T03:00:00"),
        ("2026-05-01", "2026-05-01T00:00:00"),
        ("2026-05-01 20:00", "2026-05-01T20:00:00"),
        ("2026-05-01T20:00+02:00", "2026-05-01T18:00:00"),
        ("2026-05-01T20:00 Europe/Berlin", "2026-05-01T18:00:00"),
    ],
)
def test_a_time_is_understood(text: str, moment: str) -> None:
    assert instant(text, AT) == f"{moment}.000000000Z"


@for_each("day", range(1, 32))
def test_a_weekday_is_never_to_come_and_never_a_week_old(day: int) -> None:
    now = datetime(2026, 5, day, 12, tzinfo=UTC)
    found = datetime.fromisoformat(instant("monday 13:00", now))
    assert found.isoweekday() == 1
    assert 0 <= (now - found).total_seconds() < 7 * 86400


@pytest.mark.parametrize(
    "text",
    [
        *("25:00", "03:61", "soon", "", "last", "last week", "monday tuesday", "-2h", "2 h"),
        *("3 fortnights ago", "2026-02-30", "yesterday Europe", "yesterday 03:00 ../../etc/passwd"),
        *("monday 03:00 yesterday", "99999999w", "0001-01-01T00:00+02:00", "03:00 04:00", "٣h"),
    ],
)
def test_what_is_no_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time; understood are: 90s.*yesterday.*UTC"):
        instant(text, AT)


def test_a_span_is_a_number_and_a_unit() -> None:
    assert span("90s").total_seconds() == 90
    assert span("2w").days == 14
    with pytest.raises(ValueError, match="longer than any time"):
        span("999999999w")
    with pytest.raises(ValueError, match="is not a span"):
        span("2 hours")
