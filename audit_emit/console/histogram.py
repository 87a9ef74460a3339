"""How many records there were when, as a picture (SVG), so that a page needs no script for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from audit_emit._facade.records import ts_of

BARS = 60
_WIDTH, _HEIGHT, _FOOT = 960, 90, 16


def picture(times: Sequence[int], *, cut: bool) -> bytes:
    """The picture of some records.

    Args:
        times: theirs, in nanoseconds since 1970.
        cut: there are more than these, older ones.
    """
    moments = sorted(times)
    if not moments:
        return _svg('<text x="8" y="40">no records</text>', "no records")
    first, last = moments[0], moments[-1]
    step = max((last - first) // BARS + 1, 1)
    counts = Counter((one - first) // step for one in moments)
    most = max(counts.values())
    width = _WIDTH / BARS
    bars = []
    for at, count in sorted(counts.items()):
        height = max(2.0, (_HEIGHT - _FOOT - 4) * count / most)
        begin = ts_of(first + at * step)[:19]
        bars.append(
            f'<rect x="{at * width:.1f}" y="{_HEIGHT - _FOOT - height:.1f}" '
            f'width="{width - 1.5:.1f}" height="{height:.1f}">'
            f"<title>{count} from {begin}Z</title></rect>"
        )
    ends = (
        f'<text x="2" y="{_HEIGHT - 3}">{ts_of(first)[:19]}Z</text>'
        f'<text x="{_WIDTH - 2}" y="{_HEIGHT - 3}" text-anchor="end">{ts_of(last)[:19]}Z</text>'
    )
    told = f"{'the newest ' if cut else ''}{len(moments)} records, at most {most} in one bar"
    return _svg("".join(bars) + ends, told)


def _svg(inside: str, told: str) -> bytes:
    style = (
        "rect{fill:#2f6fde}text{font:11px system-ui,sans-serif;fill:#57606a}"
        "@media(max-width:560px){text{display:none}}"
        "@media(prefers-color-scheme:dark){rect{fill:#6ea8fe}text{fill:#9da7b3}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f"<title>{escape(told)}</title><style>{style}</style>{inside}</svg>"
    ).encode()
