"""How many records there were when."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from audit_emit.console.histogram import BARS, picture

SECOND = "2026-05-19T20:00:{:02d}.000000000Z"


def bars(svg: bytes) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect"))


def test_each_bar_says_how_many_there_are() -> None:
    found = bars(picture([SECOND.format(at) for at in (0, 0, 0, 59)], cut=False))
    titles = ["".join(one.itertext()) for one in found]
    assert titles == ["3 from 2026-05-19T20:00:00Z", "1 from 2026-05-19T20:00:58Z"]


def test_there_are_no_more_bars_than_have_room() -> None:
    assert len(bars(picture([SECOND.format(at) for at in range(60)], cut=False))) <= BARS


@pytest.mark.parametrize("times", [[], ["nonsense"], [""]])
def test_without_records_it_says_so(times: list[str]) -> None:
    assert b"no records" in picture(times, cut=False)


def test_records_of_one_moment_are_one_bar() -> None:
    assert len(bars(picture([SECOND.format(1)] * 3, cut=True))) == 1
