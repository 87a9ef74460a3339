"""One record as the mappings see it: its line, and members of known types. Pure.

A line may say anything in any member, as whoever can write to the file chooses it. A mapping must
neither fail on that nor leave the record out, so members of another type become texts here, once
for all formats.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.encode import safe
from audit_emit._format.record import ns_of
from audit_emit._runtime.interrupts import let_through

_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}")
"""As ``ipaddress`` has it, which takes ten times as long."""

_LONGEST_NUMBER = 40
"""Digits of an integer that stays one."""

_FAILED = frozenset({"failure", "failed", "denied", "error", "rejected", "refused"})
_SUCCEEDED = frozenset({"success", "succeeded", "ok", "allowed"})


class Members(msgspec.Struct, gc=False):
    """The members of a record (docs/wire-format.md, section 1), with their types."""

    ts: str = ""
    event_type: str = ""
    workspace_id: str = ""
    user_id: str = ""
    actor_kind: str = ""
    correlation_id: str = ""
    fields: dict[str, Any] = {}
    v: int = 1
    id: str = ""
    service: str = ""
    trace_id: str = ""
    span_id: str = ""
    chain: str = ""
    seq: int = 0
    prev_hash: str = ""
    hash: str = ""


_MEMBERS = msgspec.json.Decoder(Members)
_ENCODER = msgspec.json.Encoder()


class Record(NamedTuple):
    """A record to be exported.

    Attributes:
        line: its bytes, without the newline.
        is_: its members.
        ns: nanoseconds since 1970 of its ``ts``; 0 where that is no time, or one that other systems
            have no number for: before 1970, or after the year 2262.
    """

    line: bytes
    is_: Members
    ns: int

    @classmethod
    def of(cls, line: bytes) -> Record | None:
        """The record of a line; ``None`` for a line that is no JSON object."""
        try:
            members = _MEMBERS.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            let_through(error)
            found = _parsed(line)
            if found is None:
                return None
            members = _of_any_types(found)
        return cls(line, members, _time(members.ts))

    @property
    def text(self) -> str:
        """The line as text."""
        return self.line.decode("utf-8", "surrogateescape")


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The members of a line that msgspec does not take, for its types or its numbers.

    Numbers that Python or JSON's readers have no room for become their text: a record with one is a
    record all the same.
    """
    try:
        found = json.loads(line, parse_constant=_refuse, parse_int=_int, parse_float=_float)
    except (ValueError, RecursionError) as error:
        let_through(error)
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else digits


def _float(text: str) -> float | str:
    found = float(text)
    return found if math.isfinite(found) else text


def _of_any_types(found: dict[str, Any]) -> Members:
    """Members of the right types, from any: what is of another type as its JSON text."""
    members = Members()
    for name, info in Members.__annotations__.items():
        value = found.get(name)
        if value is None:
            continue
        if info == "int":
            setattr(members, name, value if _is_int(value) else 0)
        elif info == "str":
            setattr(members, name, value if isinstance(value, str) else as_text(value))
        elif isinstance(value, dict):
            members.fields = value
        else:
            members.fields = {"fields": value}
    return members


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _time(ts: str) -> int:
    try:
        ns = ns_of(ts)
    except (ValueError, OverflowError) as error:
        let_through(error)
        return 0
    return ns if 0 <= ns < 2**63 else 0


def as_text(value: Any) -> str:
    """A text as it is; any other value as JSON."""
    if isinstance(value, str):
        return value
    return encode(value).decode()


def encode(event: Any) -> bytes:
    """An event as one line of JSON without its newline; what a log spells out is spelled out here.

    Lone surrogates and integers beyond 64 bits, which a record may hold, are written as the JSON
    module of Python does.
    """
    try:
        out = _ENCODER.encode(event)
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, RecursionError) as error:
        let_through(error)
        out = json.dumps(event, separators=(",", ":")).encode()
    return out if out.isascii() and b"\x7f" not in out else safe(out.decode()).encode()


def address(value: Any) -> str:
    """``value`` where it is one IPv4 or IPv6 address; empty for all else, such as a network."""
    if not isinstance(value, str):
        return ""
    if _IPV4.fullmatch(value):
        return value
    if not _ADDRESS.fullmatch(value):
        return ""
    import ipaddress  # noqa: PLC0415 - an import of 3 ms, for events with an address only

    try:
        ipaddress.ip_address(value)
    except ValueError as error:
        let_through(error)
        return ""
    return value


def outcome(fields: dict[str, Any], *, failed: bool) -> bool:
    """Whether what a record tells of failed.

    Args:
        fields: of the record; ``outcome`` decides where it is a word that is known.
        failed: what the type of the event says.
    """
    word = fields.get("outcome")
    if isinstance(word, str):
        word = word.lower()
        if word in _FAILED:
            return True
        if word in _SUCCEEDED:
            return False
    return failed
