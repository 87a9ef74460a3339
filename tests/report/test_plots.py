"""The plots of the page."""

from __future__ import annotations

import re

from audit_emit._report.formats.plots import over_time
from audit_emit._report.model import Activity, Bar

WIDE = 74
"""Of eleven characters, as Chromium draws them."""


def test_every_time_below_the_axis_has_room() -> None:
    for count in range(1, 100):
        bars = tuple(Bar(f"2026-11-{1 + at % 28:02}T15:00:00Z", 3, 1) for at in range(count))
        plot = over_time(Activity(3 * 3600, bars, ((0,) * 24,) * 7)).text
        texts = re.findall(r"<text[^>]*>11-[0-9 :-]+</text>", plot)
        assert texts
        ends = [0.0]
        for text in texts:
            (x,) = map(float, re.findall(r' x="([0-9.]+)"', text))
            begin = x - WIDE if "end" in text else x
            assert begin >= ends[-1]
            ends.append(begin + WIDE)
        assert ends[-1] <= 960
