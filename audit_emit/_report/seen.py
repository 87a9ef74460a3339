"""One record as a report counts it: the values that a query compares, read in one go. Pure.

A figure must be what the query beside it gives, so a member that is no text, a name that is not
there and half a surrogate pair are read as ``audit-emit query`` reads them. That takes a look at
each member (``value_at``); what a service writes is read by one decoder of known types.
"""

from __future__ import annotations

import re

import msgspec

from audit_emit._format.record import ts_of
from audit_emit._loki.json_stage import value_at
from audit_emit._loki.labels import placement_of, unwrapped
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
_REPLACEMENT = re.compile(rb"\xef\xbf\xbd|\\u[fF]{3}[dD]")
"""U+FFFD, which a query takes for a space."""


def is_usual(block: bytes) -> bool:
    """Whether what a query reads otherwise than a decoder of JSON is nowhere in some lines."""
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError:
            return False
    return _REPLACEMENT.search(block) is None


def decoded(line: bytes) -> Seen | None:
    """What a line says whose members are texts, as an emitter writes them; ``None`` for others.

    Args:
        line: of which ``is_usual`` is true.
    """
    if not line.startswith(b"{"):
        return None
    try:
        return _DECODE(line)
    except _ERRORS as error:
        let_through(error)
        return None


def looked_at(text: bytes) -> Seen | None:
    """What any line says, one member after the other; ``None`` where it is no record."""
    line = unwrapped(text)
    found = placement_of(line)
    if found is None:
        return None
    members = {name: value_at(line, (name,)) for name in _MEMBERS}
    fields = {name: value_at(line, ("fields", name)) for name in Fields.__struct_fields__}
    return Seen(ts_of(found.ts), found.event_type, **members, fields=Fields(**fields))
