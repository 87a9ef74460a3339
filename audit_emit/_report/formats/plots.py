"""The plots of a report as SVG inside its HTML, coloured by the style sheet of the page. Pure."""

from __future__ import annotations

from audit_emit._report.formats.markup import Markup, element
from audit_emit._report.formats.shown import step_in_words
from audit_emit._report.model import Activity

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WIDTH, _HEIGHT = 960, 240
_LEFT, _TOP, _FOOT = 64, 12, 34
_LABEL = 84
"""Room for a time below the axis; one that begins later ends where the plot ends."""
_CELL, _ROW = 35, 24
_SHADES = 6
_DAY = 86_400


def over_time(activity: Activity) -> Markup:
    """Records of each bar, refusals at its foot."""
    bars = activity.bars
    most = _nice(max((bar.records for bar in bars), default=0))
    inside, tall = _WIDTH - _LEFT - 8, _HEIGHT - _TOP - _FOOT
    width = inside / max(len(bars), 1)
    drawn: list[Markup] = []
    for part in range(5):
        y = _TOP + tall - tall * part / 4
        drawn.append(element("line", x1=_LEFT, x2=_WIDTH - 8, y1=_p(y), y2=_p(y), class_="grid"))
        text = f"{most * part // 4:,}" if most * part % 4 == 0 else ""
        drawn.append(element("text", text, x=_LEFT - 8, y=_p(y + 4), class_="end"))
    every = max(1, -(-len(bars) // 8))
    for at, bar in enumerate(bars):
        x = _LEFT + at * width
        gap = min(2.0, width / 5)
        if bar.records:
            whole = max(1.5, tall * bar.records / most)
            part_of = tall * bar.refused / most
            refused = max(1.5, part_of) if bar.refused else 0.0
            told = f"{bar.since}: {bar.records:,} records, {bar.refused:,} refused or failed"
            box = {"x": _p(x + gap / 2), "width": _p(width - gap)}
            base = _TOP + tall
            drawn.append(
                element(
                    "g",
                    element("title", told),
                    element("rect", y=_p(base - whole), height=_p(whole), class_="bar", **box),
                    element("rect", y=_p(base - refused), height=_p(refused), class_="no", **box),
                )
            )
        if at % every == 0:
            text = bar.since[:10] if activity.step >= _DAY else bar.since[5:16].replace("T", " ")
            late = x > _WIDTH - _LABEL
            place = {"x": _WIDTH, "class_": "end"} if late else {"x": _p(x), "class_": "start"}
            drawn.append(element("text", text, y=_HEIGHT - 12, **place))
    said = (
        f"Records by {step_in_words(activity.step)}: {sum(bar.records for bar in bars):,} in all, "
        f"{sum(bar.refused for bar in bars):,} refused or failed"
    )
    return _svg(said, drawn, _WIDTH, _HEIGHT)


def by_hour(activity: Activity) -> Markup:
    """Records of each hour of the week, as shades."""
    most = max(map(max, activity.hours))
    left, top = 44, 20
    drawn: list[Markup] = []
    for hour in range(0, 24, 3):
        x = left + hour * _CELL
        drawn.append(element("text", f"{hour:02}", x=x, y=14, class_="start"))
    for day, counts in enumerate(activity.hours):
        y = top + day * _ROW
        drawn.append(element("text", _DAYS[day], x=left - 8, y=y + 16, class_="end"))
        for hour, count in enumerate(counts):
            shade = 0 if not count else 1 + min(_SHADES - 1, int((count / most) ** 0.5 * _SHADES))
            told = f"{_DAYS[day]} {hour:02}:00 to {hour + 1:02}:00 UTC: {count:,} records"
            drawn.append(
                element(
                    "rect",
                    element("title", told),
                    x=left + hour * _CELL,
                    y=y,
                    width=_CELL - 2,
                    height=_ROW - 2,
                    class_=f"h{shade}",
                )
            )
    width, height = left + 24 * _CELL, top + 7 * _ROW
    said = f"Records by the hour of the week, in UTC; at most {most:,} in one hour"
    return _svg(said, drawn, width, height)


def _svg(said: str, drawn: list[Markup], width: int, height: int) -> Markup:
    return element(
        "svg", element("title", said), drawn, viewBox=f"0 0 {width} {height}", role="img"
    )


def _nice(most: int) -> int:
    """The end of an axis: 1, 2, 4, 6, 8 or 10 times a power of ten, at or above a number."""
    size = 1
    while size * 10 < most:
        size *= 10
    return next(size * step for step in (1, 2, 4, 6, 8, 10) if size * step >= most) if most else 1


def _p(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
