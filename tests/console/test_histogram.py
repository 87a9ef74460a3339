"""How many records there were when."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from audit_emit.console.histogram import BARS, picture

SECOND = 10**9
BEGIN = 1_779_220_800 * SECOND


def bars(svg: bytes) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"))


def test_each_bar_says_how_many_there_are() -> None:
    found = bars(picture([BEGIN + at * SECOND for at in (0, 0, 0, 59)], cut=False))
    titles = ["".join(one.itertext()) for one in found]
    assert titles == ["3 from 2026-05-19T20:00:00Z", "1 from 2026-05-19T20:00:58Z"]


def test_there_are_no_more_bars_than_have_room() -> None:
    assert len(bars(picture([BEGIN + at * SECOND for at in range(60)], cut=False))) <= BARS


def test_without_records_it_says_so() -> None:
    assert b"no records" in picture([], cut=False)


def test_records_of_one_moment_are_one_bar() -> None:
    assert len(bars(picture([BEGIN] * 3, cut=True))) == 1
