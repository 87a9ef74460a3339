"""VRL in a real engine (``vrl-python``): what ``vector/audit.vrl`` makes of a line."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from vrl_python import VRLRuntime

VECTOR = Path(__file__).parents[2] / "vector"
AUDIT = (VECTOR / "audit.vrl").read_text(encoding="utf-8")

# The engine takes and gives text only; the sink gets bytes, and nanoseconds.
_WHOLE = f"""
.message = decode_base64!(.message)
{AUDIT}
.message = encode_base64(.message)
.timestamp = to_unix_timestamp(.timestamp, unit: "nanoseconds")
"""
_ERROR = re.compile(r"\s*error\[E\d+\]: (?P<reason>.*)")


class Shipped(NamedTuple):
    """What goes to Loki; ``time`` in nanoseconds since 1970."""

    body: bytes
    time: int
    labels: dict[str, str]


class Dead(NamedTuple):
    """A dead letter, and why."""

    reason: str


class AbortError(Exception):
    """A program ended with ``abort`` or an error; the text is its reason."""


@cache
def runtime(program: str) -> VRLRuntime:
    """An engine that has compiled the program."""
    made = VRLRuntime()
    made.compile(program)
    return made


def execute(program: str, event: dict[str, Any]) -> tuple[Any, Any]:
    """The value of a program, and what it made of the event.

    Raises:
        AbortError: it aborted or failed.
        ValueError: it does not compile.
    """
    try:
        result = runtime(program).execute(program, event)
    except RuntimeError as error:
        found = _ERROR.match(str(error))
        raise AbortError(found["reason"] if found else str(error)) from None
    return result.runtime_result, result.processed_event


def ship(line: bytes) -> Shipped | Dead:
    """What becomes of one line, without its newline."""
    try:
        _, event = execute(_WHOLE, {"message": base64.b64encode(line).decode()})
    except AbortError as error:
        return Dead(str(error))
    body, time, labels = event.pop("message"), event.pop("timestamp"), event.pop("audit")
    assert not event, "the event has further members"
    return Shipped(base64.b64decode(body), time, labels)


def shipped(line: bytes) -> Shipped:
    """The same for a line that is to go out."""
    found = ship(line)
    assert isinstance(found, Shipped), f"{found.reason}: {line[:200]!r}"
    return found
