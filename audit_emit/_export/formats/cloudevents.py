"""CloudEvents 1.0 in the structured JSON mode, one event a line.

The record is the last member of the event, ``data``, with the bytes that it has in the log, so that
its hash can still be computed by a receiver that keeps them. A line whose bytes are no UTF-8, or
that begins with a byte order mark, would spoil the event; it is there as ``data_base64``.

Sources: CloudEvents 1.0.2 (core, JSON format, and the extensions Auth Context, Correlation,
Distributed Tracing and Sequence).
"""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import quote

from audit_emit._export.record import Record, encode
from audit_emit._runtime.interrupts import let_through

_PREFIX = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,127}")
_TRACE = re.compile(r"[0-9a-f]{32}")
_SPAN = re.compile(r"[0-9a-f]{16}")

_AUTH_TYPES = {
    "user": "app_user",
    "admin": "app_user",
    "service": "service_account",
    "agent": "service_account",
    "cron": "system",
    "anonymous": "unauthenticated",
}
"""Kinds of actors, as the extension Auth Context names them; any other is ``unknown``."""


class Format:
    """See ``audit_emit._export.formats.Format``.

    Args:
        type_prefix: what stands before the type of each event, with a dot between them: the
            reverse domain name of whoever emits them, such as ``org.example``.

    Raises:
        ValueError: it holds other characters than letters, digits, dots and hyphens.
    """

    version = "1.0"
    head = b""

    def __init__(self, type_prefix: str = "audit_emit") -> None:
        if type_prefix != "audit_emit" and not _PREFIX.fullmatch(type_prefix):
            raise ValueError(f"{type_prefix!r} is no prefix of a type; org.example is one")
        self._prefix = type_prefix

    def event(self, record: Record) -> bytes:
        """One event."""
        is_ = record.is_
        service, chain = quote(is_.service, safe=""), quote(is_.chain, safe="")
        event = {
            "specversion": self.version,
            "id": is_.id or is_.hash or "unknown",
            "source": f"/audit_emit/{service}/{chain}",
            "type": f"{self._prefix}.{is_.event_type or 'unknown'}",
            "datacontenttype": "application/json",
            "authtype": _AUTH_TYPES.get(is_.actor_kind, "unknown"),
        }
        if record.ns:
            event["time"] = is_.ts
        if is_.workspace_id:
            event["subject"] = is_.workspace_id
        if is_.seq > 0:
            # A text that must sort; the numbers of CloudEvents end at 2**31 - 1.
            event["sequence"] = f"{is_.seq:020d}"
        if is_.correlation_id:
            event["correlationid"] = is_.correlation_id
        if is_.user_id:
            event["authid"] = is_.user_id
        if _TRACE.fullmatch(is_.trace_id) and _SPAN.fullmatch(is_.span_id):
            # Whether the trace was sampled is not in a record.
            event["traceparent"] = f"00-{is_.trace_id}-{is_.span_id}-00"
        if _is_text(record.line):
            return encode(event)[:-1] + b',"data":' + record.line + b"}\n"
        event["datacontenttype"] = "application/octet-stream"
        return encode({**event, "data_base64": b64encode(record.line).decode()}) + b"\n"


def _is_text(line: bytes) -> bool:
    """Whether a line is JSON text wherever it stands (RFC 8259, section 8.1)."""
    if b"\0" in line:  # of another encoding: JSON has no such byte
        return False
    if line.isascii():
        return True
    try:
        return not line.decode().startswith("\ufeff")
    except UnicodeDecodeError as error:
        let_through(error)
        return False
