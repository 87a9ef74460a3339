"""One record on one line, as ``tail`` and ``verify-proof`` show it."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import msgspec

from audit_emit._facade.text import shown_value, visible_bytes

SHOWN = 200
"""Bytes of a line that is no record which are shown."""


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
    service: str = ""


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


def shown(record: Record, *, with_service: bool = False) -> str:
    """A record on one line: number, time, type, who, where, correlation, then its fields.

    Args:
        with_service: name the service, too, as where records of several logs stand together.
    """
    who = shown_value(record.user_id) if record.user_id else "-"
    parts = [
        click.style(f"{record.seq if record.seq is not None else '-':>6}", dim=True),
        shown_value(record.ts),
        click.style(shown_value(record.event_type), fg="cyan", bold=True),
        click.style(f"{who}({shown_value(record.actor_kind)})", fg="yellow"),
    ]
    if with_service:
        parts.insert(0, click.style(shown_value(record.service), fg="magenta"))
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
