"""One record as a report counts it: the values that a query compares, read in one go. Pure.

A figure must be what the query beside it gives, so a member that is no text, a name that is not
there and half a surrogate pair are read as ``audit-emit query`` reads them. That takes a look at
each member (``value_at``); what a service writes is read by one decoder of known types.
"""

from __future__ import annotations

import re
from operator import attrgetter, itemgetter, le

import msgspec

from audit_emit._format.line_splitter import split_lines
from audit_emit._format.record import ts_of
from audit_emit._loki.json_stage import value_at
from audit_emit._loki.labels import placement_of, time_of, unwrapped
from audit_emit._runtime.interrupts import let_through


class Fields(msgspec.Struct, frozen=True, gc=False):
    """The fields of a record that a report counts."""

    outcome: str = ""
    key: str = ""
    client_ip: str = ""


class Seen(msgspec.Struct, gc=False):
    """What a report counts of one record; empty for what is not there."""

    ts: str
    event_type: str
    workspace_id: str = ""
    user_id: str = ""
    actor_kind: str = ""
    correlation_id: str = ""
    fields: Fields = Fields()


_MEMBERS = ("workspace_id", "user_id", "actor_kind", "correlation_id")
_DECODE = msgspec.json.Decoder(Seen).decode
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_START = len("2026-05-19T20:00:")
_REST = r"[0-5][0-9]\.[0-9]{9}Z"
_REST_LENGTH = len("00.123456789Z")
_REPLACEMENT = re.compile(rb"\\u[fF]{3}[dD]")
"""U+FFFD, which a query takes for a space."""

_rests = re.compile(f"(?:{_REST})*").fullmatch
_minute = itemgetter(slice(0, _START))
_rest = itemgetter(slice(_START, None))
_ts = attrgetter("ts")
_first = itemgetter(slice(0, 1))


def records_in(block: bytes) -> tuple[list[Seen], list[bytes]]:
    """The records of whole lines with their lines, in order of time; what is none is left out.

    Their ``ts`` is in the form of the emitter, so that texts compare as times do.
    """
    lines = split_lines(block)
    found = _decoded(block, lines)
    if found is None:
        pairs = [(seen, line) for line in lines if (seen := _seen(line)) is not None]
        found, lines = [seen for seen, _ in pairs], [line for _, line in pairs]
    times = list(map(_ts, found))
    if all(map(le, times, times[1:])):
        return found, lines
    order = sorted(range(len(times)), key=times.__getitem__)
    return [found[at] for at in order], [lines[at] for at in order]


def _seen(line: bytes) -> Seen | None:
    found = _decoded(line, [line])
    return looked_at(line) if found is None else found[0]


def _decoded(block: bytes, lines: list[bytes]) -> list[Seen] | None:
    """The records of lines as an emitter writes them; ``None`` where one is in another form."""
    if not _is_usual(block, lines):
        return None
    try:
        found = list(map(_DECODE, lines))
    except _ERRORS as error:
        let_through(error)
        return None
    times = list(map(_ts, found))
    rests = "".join(map(_rest, times))
    if len(rests) != _REST_LENGTH * len(times) or _rests(rests) is None:
        return None
    return found if all(map(_is_minute, set(map(_minute, times)))) else None


def _is_minute(text: str) -> bool:
    """Whether a time that begins so is one."""
    return len(text) == _START and time_of(f"{text}00.000000000Z") is not None


def _is_usual(block: bytes, lines: list[bytes]) -> bool:
    """Whether nothing is in some lines that a query reads otherwise than a decoder of JSON."""
    if set(map(_first, lines)) != {b"{"}:
        return False
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as error:
            let_through(error)
            return False
        if b"\xef\xbf\xbd" in block:
            return False
    # One character is found many times faster than two, and most blocks do not hold it.
    return b"\\" not in block or _REPLACEMENT.search(block) is None


def looked_at(text: bytes) -> Seen | None:
    """What any line says, one member after the other; ``None`` where it is no record."""
    line = unwrapped(text)
    found = placement_of(line)
    if found is None:
        return None
    members = {name: value_at(line, (name,)) for name in _MEMBERS}
    fields = {name: value_at(line, ("fields", name)) for name in Fields.__struct_fields__}
    return Seen(ts_of(found.ts), found.event_type, **members, fields=Fields(**fields))
