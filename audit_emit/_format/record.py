"""The record's text: built from its parts, cut to a stub, read back (docs/wire-format.md, 1 to 3).

Pure: time and randomness are arguments. A record is put together from pieces that stay the same
for a second, a context or a type, so that one emit formats only what is new.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any, NamedTuple, final

import msgspec

from audit_emit._format.chain import leaf_hash
from audit_emit._format.encode import text, to_json
from audit_emit._format.link import link_of
from audit_emit._runtime.interrupts import let_through

VERSION = 1
TYPE_LIMIT = 128
"""The most characters of an event type."""

ID_LIMIT = 256
"""The most characters of an identity; a longer one is cut."""

TYPE = re.compile(r"[a-z][a-z0-9_]*([.][a-z0-9][a-z0-9_]*){0,7}")
"""An event type; at most ``TYPE_LIMIT`` characters of it."""

SERVICE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""The name of a service."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HEX = re.compile(r"[0-9a-f]+")
_NOT_KIND = re.compile(r"[^a-z0-9_]+")

INVALID_TYPE = "audit.invalid_event_type"
RESERVED = "audit."


@final
class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Identifies one record in its store: id (UUIDv7), chain, ``seq``, and hash (64 hex digits)."""

    id: str
    chain: str
    seq: int
    hash: str


class Stamp(NamedTuple):
    """The parts of time and id that stay the same for a second and a millisecond.

    ``second`` is the first 10 of the 19 digits of a time in nanoseconds since 1970, ``milli`` the
    first 13 of them as a number; ``head`` is the record up to the fraction of ``ts``; ``id_head``
    is the first 24 characters of a UUIDv7, and ``process`` the part that all ids of one process
    share.
    """

    second: str
    milli: int
    head: str
    id_head: str
    process: str


def make_stamp(digits: str, id_salt: str, last: Stamp | None = None) -> Stamp:
    """The constant parts for one time.

    Args:
        digits: nanoseconds since 1970, as 19 digits.
        id_salt: ``rand_a`` and the first 16 bits of ``rand_b`` as in ``7xxx-yxxx``.
        last: the stamp before; its ``head`` is used again within the same second.
    """
    second = digits[:10]
    if last is not None and last.second == second:
        head = last.head
    else:
        head = f'{{"ts":"{time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(second)))}.'
    milli = int(digits[:13])
    time_part = f"{milli:012x}"
    id_head = f"{time_part[:8]}-{time_part[8:]}-{id_salt}-"
    return Stamp(second, milli, head, id_head, id_salt)


def make_id_salt(random: bytes) -> str:
    """Version, variant and 26 random bits of a UUIDv7 (RFC 9562, 5.7), from 4 random bytes."""
    bits = int.from_bytes(random[:4], "big")
    return f"7{bits & 0xFFF:03x}-{0x8000 | (bits >> 12) & 0x3FFF:04x}"


def valid_type(event_type: Any) -> bool:
    """Whether a caller may use this event type."""
    return (
        type(event_type) is str
        and len(event_type) <= TYPE_LIMIT
        and TYPE.fullmatch(event_type) is not None
        and not event_type.startswith(RESERVED)
    )


def actor_kind(value: str) -> str:
    """``value`` as a well-formed actor kind; ``user`` when nothing of it is left."""
    if _KIND.fullmatch(value):
        return value
    kind = _NOT_KIND.sub("_", value[:64].lower()).strip("_")[:32]
    return kind if _KIND.fullmatch(kind) else "user"


def trace_members(trace_id: str, span_id: str) -> str:
    """``,"trace_id":…,"span_id":…`` for what is well-formed (W3C trace context), else nothing."""
    members = ""
    if not trace_id and not span_id:
        return members
    for name, value, length in (("trace_id", trace_id, 32), ("span_id", span_id, 16)):
        if len(value) == length and _HEX.fullmatch(value) and value.strip("0"):
            members += f',"{name}":"{value}"'
    return members


def event_part(event_type: str) -> str:
    """From the end of ``ts`` up to the value of ``workspace_id``."""
    return f'Z","event_type":"{event_type}","workspace_id":'


def context_part(user_id: str, kind: str, correlation_id: str) -> str:
    """From after ``workspace_id`` up to the value of ``fields``."""
    return (
        f',"user_id":{text(user_id)},"actor_kind":"{kind}"'
        f',"correlation_id":{text(correlation_id)},"fields":'
    )


def chain_line(prefix: str, chain: str, seq: int, prev_hash: str) -> tuple[str, str]:
    """A whole line and its hash, from an unchained prefix.

    Args:
        prefix: the record up to and including member 11, without the closing brace.
    """
    body = f'{prefix},"chain":"{chain}","seq":{seq},"prev_hash":"{prev_hash}"'
    digest = leaf_hash(f"{body}}}".encode())
    return f'{body},"hash":"{digest}"}}\n', digest


class Head(NamedTuple):
    """The last record of a chain, to which the next one links. ``ts`` as in the record."""

    chain: str
    seq: int
    hash: str
    ts: str


MAX_SEQ = 2**63 - 1
"""No chain is continued after a record with this ``seq`` or a higher one: it must be forged."""

_TS = re.compile(rb'\{"ts":"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z)","')


def head_of(line: bytes) -> Head | None:
    """The chain members of one record line without its newline; ``None`` if it has none.

    The end of the line decides: ``hash`` is always the last member, so nothing in ``fields`` can
    pass for it.
    """
    start, end = _TS.match(line), link_of(line)
    if start is None or end is None or not is_time(start[1].decode()):
        return None
    return Head(end[1].decode(), int(end[2]), end[4].decode(), start[1].decode())


def is_time(ts: str) -> bool:
    """Whether ``ns_of`` accepts a text."""
    try:
        ns_of(ts)
    except (ValueError, OverflowError) as error:
        let_through(error)
        return False
    return True


_RECORD = msgspec.json.Decoder(dict[str, Any])


def parsed(line: bytes) -> dict[str, Any] | None:
    """The members of a record line without its newline; ``None`` when it is no JSON object.

    A lone surrogate, which records may hold as an escape, is a character like any other.
    """
    try:
        return _RECORD.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        let_through(error)
    if b"\\ud" not in line and b"\\uD" not in line:
        return None
    import json  # noqa: PLC0415 - an import of 3 ms, for lone surrogates only

    try:
        found = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        let_through(error)
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def unchained_prefix(line: str) -> str:
    """The record without members 12 to 15 and without the closing brace."""
    at = line.rfind(',"chain":"')
    return line[:at] if at >= 0 else line.rstrip().removesuffix("}")


def stub(line: bytes, limit: int) -> bytes:
    """The stub of a record: all members, with ``fields`` cut to fit ``limit`` bytes (section 3).

    Args:
        line: a record line with its newline.
        limit: the most bytes of the result, with its newline.
    """
    record: dict[str, Any]
    try:
        record = msgspec.json.decode(line)
    except ValueError as error:
        let_through(error)
        import json  # noqa: PLC0415 - an import of 3 ms, for lone surrogates only

        record = json.loads(line)
    fields = record["fields"]
    kept: dict[str, Any] = {}
    marker = {"_spilled": len(line)}
    record["fields"] = marker
    room = limit - len(to_json(record).encode()) - 1
    for name, value in fields.items():
        member = to_json({name: value}).encode()
        # Braces come off and a comma comes on.
        if len(member) - 1 <= room:
            room -= len(member) - 1
            kept[name] = value
    record["fields"] = kept | marker
    return to_json(record).encode() + b"\n"


def ts_of(ns: int) -> str:
    """``ts`` of a time in nanoseconds since 1970."""
    seconds, fraction = divmod(ns, 10**9)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09d}Z"


_SECOND = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2}).([0-9]{2}):([0-9]{2}):([0-9]{2})")
_FRACTION = re.compile(".([0-9]{9})")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS_TO_1970 = 719162


def ns_of(ts: str) -> int:
    """Nanoseconds since 1970 of a ``ts``.

    Computed here: at the very end of the interpreter ``datetime.fromisoformat`` may be without what
    it needs, and Python 3.13.0 crashes then.

    Raises:
        ValueError: the text is no ``ts``.
    """
    fraction = _FRACTION.match(ts, 19)
    if fraction is None:
        raise ValueError("not a time")
    return _seconds_of(ts[:19]) * 10**9 + int(fraction[1])


@lru_cache(maxsize=256)
def _seconds_of(text: str) -> int:
    """Seconds since 1970; cached, as many records in a row have the same second.

    Raises:
        ValueError: the text is no time.
    """
    found = _SECOND.fullmatch(text)
    if found is None:
        raise ValueError("not a time")
    year, month, day, hour, minute, second = map(int, found.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (
        year and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60
    ) or not 1 <= day <= _DAYS[month - 1] + (leap and month == 2):
        raise ValueError("no such time")
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - _DAYS_TO_1970
    days += sum(_DAYS[: month - 1]) + (leap and month > 2) + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def bump(prefix: str) -> str:
    """The same record one nanosecond later: two records of a chain never share a ``ts``."""
    return f"{prefix[:7]}{ts_of(ns_of(prefix[7:36]) + 1)[:-1]}{prefix[36:]}"
