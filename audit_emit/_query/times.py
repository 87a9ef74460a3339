"""Times as people write them: ``yesterday``, ``monday 03:00``, ``2 hours ago``, ``15m``, ISO 8601.

All are UTC, as records are, unless they name another zone.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

UNDERSTOOD = (
    "90s, 15m, 2h, 7d or 2w back from now; '2 hours ago'; now, today, yesterday, or a weekday; "
    "03:00, the last one; 'yesterday 03:00', 'monday 03:00'; 2026-05-19, 2026-05-19T20:00. All in "
    "UTC, or with a zone at the end: Z, +02:00, Europe/Berlin, local"
)
EXAMPLES = "15m, '2 hours ago', yesterday, 'monday 03:00', 2026-05-19T20:00"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NAMED = {
    **dict.fromkeys("s sec secs second seconds".split(), "s"),
    **dict.fromkeys("m min mins minute minutes".split(), "m"),
    **dict.fromkeys("h hr hrs hour hours".split(), "h"),
    **dict.fromkeys("d day days".split(), "d"),
    **dict.fromkeys("w week weeks".split(), "w"),
}
_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_WEEKDAYS = {name: at for at, day in enumerate(_DAYS) for name in (day, day[:3])}
_SPAN = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_AGO = re.compile(r"(an?|\d{1,9}) ?([a-z]+) ago", re.ASCII)
_CLOCK = re.compile(r"\d?\d:\d\d(:\d\d)?", re.ASCII)
_OFFSET = re.compile(r"(.*\d)([+-]\d\d:\d\d)", re.ASCII)


def span(text: str) -> timedelta:
    """A length of time: ``90s``, ``10m``, ``2h``, ``7d``, ``2w``.

    Raises:
        ValueError: it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a span (90s, 10m, 2h, 7d, 2w)")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any time") from None


def instant(text: str, now: datetime) -> str:
    """A time as records write it, to be compared with their ``ts``.

    Args:
        text: what ``UNDERSTOOD`` lists. A weekday or a time of day is the last one that is not to
            come: ``03:00Z`` at 02:59Z is yesterday's. A day without a time begins at 00:00.
        now: an aware time.

    Raises:
        ValueError: it cannot be read, or is no time of this calendar.
    """
    try:
        moment = _moment(text, now).astimezone(UTC)
    except (ValueError, OverflowError, LookupError, OSError):
        raise ValueError(f"{text!r} is no time; understood are: {UNDERSTOOD}") from None
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z".rjust(30, "0")


def _moment(text: str, now: datetime) -> datetime:
    words = " ".join(text.lower().split())
    back = _back(words)
    if back is not None:
        return now - back
    if words == "now":
        return now
    rest, zone = _zoned(" ".join(text.split()))
    here = now.astimezone(zone)
    named = _named(rest.lower().split(), here, zone)
    if named is not None:
        return named
    moment = datetime.fromisoformat(rest)
    return moment if moment.tzinfo is not None else _in(zone, moment)


def _in(zone: tzinfo | None, moment: datetime) -> datetime:
    """A time of a wall clock; ``None`` is the zone of this machine."""
    return moment.astimezone() if zone is None else moment.replace(tzinfo=zone)


def _back(words: str) -> timedelta | None:
    """How long ago it was, where that is what it says."""
    if _SPAN.fullmatch(words):
        return span(words)
    found = _AGO.fullmatch(words)
    if found is None or found[2] not in _NAMED:
        return None
    number = "1" if found[1].startswith("a") else found[1]
    return span(f"{number}{_NAMED[found[2]]}")


def _zoned(text: str) -> tuple[str, tzinfo | None]:
    """The text without the zone at its end, and that zone; UTC where there is none."""
    offset = _OFFSET.fullmatch(text)
    # In a date with a time Python reads the offset itself; after a time of day it is cut off here.
    if offset is not None and ":" in offset[1]:
        return offset[1], datetime.fromisoformat(f"2000-01-01T00:00{offset[2]}").tzinfo
    if text[-1:] in {"Z", "z"} and text[-2:-1].isdigit():
        return text[:-1], UTC
    rest, _, last = text.rpartition(" ")
    if not rest or last.lower() in _WEEKDAYS or last[:1].isdigit():
        return text, UTC
    if last.lower() in {"utc", "z", "gmt"}:
        return rest, UTC
    if last.lower() == "local":
        return rest, None
    if re.fullmatch(r"[+-]\d\d:\d\d", last, re.ASCII):
        return rest, datetime.fromisoformat(f"2000-01-01T00:00{last}").tzinfo
    if last.lower() in {"today", "yesterday"}:
        return text, UTC
    return rest, ZoneInfo(last)


def _named(words: list[str], here: datetime, zone: tzinfo | None) -> datetime | None:
    """A day by its name, a time of day, or both in either order; ``None`` for anything else."""
    clocks = [word for word in words if _CLOCK.fullmatch(word)]
    days = [word for word in words if word not in clocks]
    if not words or len(clocks) > 1 or len(days) > 1 + (days[:1] == ["last"]):
        return None
    at = _time_of_day(clocks[0]) if clocks else time()
    today, name = here.date(), days[-1] if days else ""
    if days in (["today"], ["yesterday"]):
        return _in(zone, datetime.combine(today - timedelta(days=name == "yesterday"), at))
    if days and name not in _WEEKDAYS:
        return None
    # Without a day it is the last such time, with a weekday the last such day: once every n days.
    every = timedelta(days=7 if days else 1)
    first = today - timedelta(days=(here.weekday() - _WEEKDAYS[name]) % 7 if days else 0)
    moment = _in(zone, datetime.combine(first, at))
    again = moment > here or (len(days) > 1 and first == today)
    return _in(zone, datetime.combine(first - every, at)) if again else moment


def _time_of_day(text: str) -> time:
    return time.fromisoformat(text if text[2] == ":" else f"0{text}")
