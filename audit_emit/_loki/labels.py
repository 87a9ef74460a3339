"""What the pipeline makes of a line: its text, its time and its labels in Loki. Pure.

These are the rules of ``vector/audit.vrl``, and a test compares the two. A copy that is pushed from
here must be identical, for Loki, to one that Vector has shipped; otherwise Loki stores both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.record import SERVICE, TYPE, TYPE_LIMIT

JOB = "audit"
UNKNOWN = "unknown"
"""The label ``service`` of a record that names no service."""

OTHER = "other"
"""The label ``event_type`` of a record with a malformed type. So the number of labels stays small,
whatever is written to standard output."""

_PREFIX = b"audit: "
_TS = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:)([0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:")
_LAST_SECOND = 9_223_372_035
"""The last second whose nanoseconds since 1970 fit into a signed 64-bit integer."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_SERVICE = b'","service":"'
OWN = frozenset({"job", "service", "event_type"})
"""Labels of the pipeline."""

_KNOWN = OWN | {"service_name", "detected_level"}
"""These labels, and those that Loki adds itself."""

_NONE: Mapping[str, str] = {}


class Placement(NamedTuple):
    """The time and the labels of a record in Loki; its text is the line itself.

    Attributes:
        ts: nanoseconds since 1970.
        service, event_type: the labels besides ``job``.
    """

    ts: int
    service: str
    event_type: str

    @property
    def labels(self) -> dict[str, str]:
        """All labels of its stream, without those that a site adds."""
        return {"job": JOB, "service": self.service, "event_type": self.event_type}


class _Shape(msgspec.Struct):
    """The members of a record that the pipeline reads, of any type."""

    ts: Any = None
    event_type: Any = None
    service: Any = None


_DECODER = msgspec.json.Decoder(_Shape)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def unwrapped(line: bytes) -> bytes:
    """Remove the prefix ``audit: `` and a final CR from a line (without its newline)."""
    line = line.removeprefix(_PREFIX)
    return line[:-1] if line.endswith(b"\r") else line


def placement_of(text: bytes) -> Placement | None:
    """The time and labels that a line gets in Loki.

    Returns:
        ``None`` for a line that is not a JSON object with a time and a type. The pipeline sends
        such a line to the dead letters.
    """
    if not text.startswith(b"{"):
        return None
    try:
        record = _DECODER.decode(text.decode())
    except _ERRORS:
        second = _second_look(text)
        if second is None:
            return None
        record = second
    ts = time_of(record.ts) if isinstance(record.ts, str) else None
    if ts is None or not isinstance(record.event_type, str):
        return None
    service = _service(record.service) if isinstance(record.service, str) else UNKNOWN
    return Placement(ts, service, _type(record.event_type))


def _second_look(text: bytes) -> _Shape | None:
    """Read a record that msgspec refuses, because of its ``fields`` or of half a surrogate pair."""
    try:
        if text.decode().strip() != text.decode():
            return None
        members = _MEMBERS.decode(_SURROGATE.sub(rb"\\ufffd", text))
        plain = {
            name: msgspec.json.decode(raw)
            for name, raw in members.items()
            if bytes(raw)[:1] not in {b"{", b"["}
        }
    except _ERRORS:
        return None
    return _Shape(plain.get("ts"), plain.get("event_type"), plain.get("service"))


def time_of(ts: str) -> int | None:
    """Parse a time (RFC 3339) into nanoseconds since 1970; ``None`` if malformed or before 1970."""
    if len(ts) == 30 and ts[19] == "." and ts[29] == "Z":
        # The format of the emitter. This path is taken hundreds of thousands of times in a row.
        at, digits = _minute(ts[:17], "Z"), ts[17:19] + ts[20:29]
        if at is not None and 0 <= at < _LAST_SECOND - 60 and digits.isascii() and digits.isdigit():
            return at * 10**9 + int(digits) if digits < "61" else None
    found = _TS.fullmatch(ts)
    if found is None:
        return None
    minute, second, fraction, offset = found.groups()
    at = _minute(minute, offset)
    # A leap second (:60) counts as the second after :59.
    if at is None or second > "60" or not 0 <= at + int(second) <= _LAST_SECOND:
        return None
    return (at + int(second)) * 10**9 + int((fraction or "").ljust(9, "0"))


@lru_cache(maxsize=1024)
def _minute(text: str, offset: str) -> int | None:
    """The start of a minute, in seconds since 1970; cached, as most times share their minute."""
    if not _MINUTE.fullmatch(text):
        return None
    try:
        return int(datetime.fromisoformat(f"{text}00{offset}").timestamp())
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=1024)
def _service(text: str) -> str:
    return text if SERVICE.fullmatch(text) else UNKNOWN


@lru_cache(maxsize=1024)
def _type(text: str) -> str:
    return text if len(text) <= TYPE_LIMIT and TYPE.fullmatch(text) else OTHER


def service_of(line: bytes) -> str:
    """The label ``service`` of a record, without parsing it if the emitter has written it."""
    at = line.rfind(_SERVICE) + len(_SERVICE)
    end = line.find(b'"', at)
    if at >= len(_SERVICE) and end > 0:
        return _service(line[at:end].decode("latin-1"))
    found = placement_of(line)
    return UNKNOWN if found is None else found.service


def wrong_labels(
    found: Mapping[str, str], wanted: Placement, site: Mapping[str, str] = _NONE
) -> str:
    """Describe how the labels of a stream differ from the right ones; empty if they do not.

    Labels that Loki adds itself are ignored.

    Args:
        found: the labels in Loki.
        wanted: the right ones.
        site: labels that the site adds to every stream.
    """
    if (
        found.get("event_type") == wanted.event_type
        and found.get("service") == wanted.service
        and found.get("job") == JOB
        and (len(found) == 3 or not _others(found))
        and not site
    ):
        return ""
    expected = {**wanted.labels, **site}
    more = [name for name in _others(found) if name not in expected]
    names = sorted([*more, *(name for name in expected if found.get(name) != expected[name])])
    return ", ".join(_difference(name, found.get(name), expected.get(name)) for name in names)


def _others(found: Mapping[str, str]) -> list[str]:
    """The names of labels that are neither from the pipeline nor from Loki itself."""
    return [name for name in found if name not in _KNOWN and not name.startswith("__")]


def _difference(name: str, found: str | None, wanted: str | None) -> str:
    if found is None:
        return f"{name} is missing, not {wanted!r}"
    if wanted is None:
        return f"{name} is {found!r}, and should not be there"
    return f"{name} is {found!r}, not {wanted!r}"
