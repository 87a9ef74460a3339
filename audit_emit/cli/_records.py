"""Records as ``tail`` shows and filters them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import click
import msgspec

from audit_emit.cli._text import shown_value, visible_bytes

SHOWN = 200
"""Bytes of a line that is no record which are shown."""

_SPAN = re.compile(r"(\d{1,9})([smhd])")
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Record(msgspec.Struct):
    """The members of a record that are shown; the other ones are accepted as they are."""

    ts: str
    event_type: str
    fields: dict[str, Any]
    workspace_id: str = ""
    user_id: str = ""
    actor_kind: str = ""
    correlation_id: str = ""
    seq: int | None = None


_DECODER = msgspec.json.Decoder(Record)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(line: bytes) -> Record | None:
    """The record on a line; ``None`` when it is not one."""
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if not _HALF.search(line):
            return None
    try:
        # Half a surrogate pair is JSON; msgspec does not take it.
        return msgspec.convert(json.loads(line), Record)
    except (ValueError, RecursionError):
        return None


class _Service(msgspec.Struct):
    service: str


_SERVICE_DECODER = msgspec.json.Decoder(_Service)


def parse_service(line: bytes) -> str | None:
    """The service that wrote a record; ``None`` when it is not one."""
    try:
        return _SERVICE_DECODER.decode(line).service
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class Filter(NamedTuple):
    """What a record must match; empty members match everything. Patterns are shell patterns."""

    types: tuple[str, ...] = ()
    actor: str = ""
    workspace: str = ""
    correlation: str = ""
    since: str = ""

    def matches(self, record: Record) -> bool:
        """Whether to show it."""
        return (
            (not self.types or any(fnmatchcase(record.event_type, t) for t in self.types))
            and _alike(record.user_id, self.actor)
            and _alike(record.workspace_id, self.workspace)
            and _alike(record.correlation_id, self.correlation)
            and record.ts >= self.since
        )


def _alike(value: str, pattern: str) -> bool:
    return not pattern or value == pattern or fnmatchcase(value, pattern)


def span(text: str) -> timedelta:
    """A length of time: ``90s``, ``10m``, ``2h``, ``7d``.

    Raises:
        ValueError: it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a span (90s, 10m, 2h, 7d)")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def time_option(_: click.Context, __: click.Parameter, value: str | None) -> str:
    """The callback of an option that takes a time (``instant``); empty when it is not given."""
    try:
        return instant(value, datetime.now(UTC)) if value else ""
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def instant(text: str, now: datetime) -> str:
    """A time as records write it, to be compared with their ``ts``.

    Args:
        text: a span back from ``now`` (``90s``, ``10m``, ``2h``, ``7d``), an ISO 8601 date or
            date and time, or a time of day, which is the last one that is not to come (``03:00Z``
            at 02:59Z is yesterday's). All in UTC unless it names another offset.
        now: an aware time.

    Raises:
        ValueError: it is neither.
    """
    try:
        if _SPAN.fullmatch(text):
            moment = now - span(text)
        elif _TIME_OF_DAY.fullmatch(text):
            moment = _last(time.fromisoformat(text), now)
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither a span (90s, 10m, 2h, 7d) nor a time") from None
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z".rjust(30, "0")


def _last(at: time, now: datetime) -> datetime:
    zone = at.tzinfo or UTC
    moment = datetime.combine(now.astimezone(zone), at.replace(tzinfo=zone))
    return moment if moment <= now else moment - timedelta(days=1)


def shown(record: Record) -> str:
    """A record on one line: number, time, type, who, where, correlation, then its fields."""
    who = shown_value(record.user_id) if record.user_id else "-"
    parts = [
        click.style(f"{record.seq if record.seq is not None else '-':>6}", dim=True),
        shown_value(record.ts),
        click.style(shown_value(record.event_type), fg="cyan", bold=True),
        click.style(f"{who}({shown_value(record.actor_kind)})", fg="yellow"),
    ]
    if record.workspace_id:
        parts.append(f"@{shown_value(record.workspace_id)}")
    if record.correlation_id:
        parts.append(click.style(f"#{shown_value(record.correlation_id)}", dim=True))
    for name, value in record.fields.items():
        parts.append(f"{click.style(shown_value(name), fg='green')}={shown_value(value)}")
    return " ".join(parts)


def shown_malformed(line: bytes) -> str:
    """A line that is no record, on one line."""
    return click.style(" ! not a record: ", fg="red") + visible_bytes(line, SHOWN)
