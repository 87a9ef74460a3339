"""OpenTelemetry log records, one OTLP ``LogsData`` in JSON a line.

Sources: opentelemetry-proto 1.11 (``logs.proto``, and its rules for JSON: integers of 64 bits are
texts, ids are hexadecimal, enumerations are numbers), Semantic Conventions 1.44.
"""

from __future__ import annotations

import re
from typing import Any

from audit_emit._export.event_types import kind_of
from audit_emit._export.record import Record, as_text, encode, outcome

_INFO, _WARN = 9, 13
"""``SeverityNumber`` of an event, and of one that failed."""

_NESTED = 24
"""Containers in each other that are written as such; deeper ones become texts of JSON.

Protobuf refuses messages that are nested deeper than 100, and each object is three."""

_TRACE = re.compile(r"[0-9a-f]{32}")
_SPAN = re.compile(r"[0-9a-f]{16}")

_ALWAYS = {"client_ip": ("client.address", str), "session": ("session.id", str)}
_OF_A_REQUEST = _ALWAYS | {
    "method": ("http.request.method", str),
    "route": ("http.route", str),
    "path": ("url.path", str),
    "status": ("http.response.status_code", int),
    "user_agent": ("user_agent.original", str),
}
"""Fields as the conventions name them, each with its type; all but ``session.id`` are stable."""


class Format:
    """See ``audit_emit._export.formats.Format``."""

    version = "1.11"
    head = b""

    def event(self, record: Record) -> bytes:
        """One event."""
        return encode(self.mapped(record)) + b"\n"

    def mapped(self, record: Record) -> dict[str, Any]:
        """One event as plain values."""
        is_ = record.is_
        failed = outcome(is_.fields, failed=kind_of(is_.event_type).failed)
        log: dict[str, Any] = {
            "timeUnixNano": str(record.ns),
            "severityNumber": _WARN if failed else _INFO,
            "eventName": is_.event_type,
            "attributes": _attributes(record, failed=failed),
        }
        if _TRACE.fullmatch(is_.trace_id):
            log["traceId"] = is_.trace_id
            if _SPAN.fullmatch(is_.span_id):
                log["spanId"] = is_.span_id
        scope = {"scope": {"name": "audit_emit", "version": str(is_.v)}, "logRecords": [log]}
        resource = {"attributes": [_attribute("service.name", is_.service or "unknown_service")]}
        return {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}


def _attributes(record: Record, *, failed: bool) -> list[dict[str, Any]]:
    is_ = record.is_
    attributes = [_attribute("log.record.original", record.text)]
    if is_.id:
        attributes.append(_attribute("log.record.uid", is_.id))
    if is_.user_id:
        attributes.append(_attribute("user.id", is_.user_id))
    names = _OF_A_REQUEST if is_.event_type == "http.request" else _ALWAYS
    own = []
    for name, value in is_.fields.items():
        convention, kind = names.get(name, ("", None))
        if type(value) is kind:
            attributes.append(_attribute(convention, value))
        else:
            own.append(_attribute(f"audit_emit.fields.{name}", value))
    if failed:
        reason = is_.fields.get("reason")
        attributes.append(
            _attribute("error.type", reason if isinstance(reason, str) and reason else "_OTHER")
        )
    for name, member in (
        ("workspace_id", is_.workspace_id),
        ("actor_kind", is_.actor_kind),
        ("correlation_id", is_.correlation_id),
        ("chain", is_.chain),
        ("seq", is_.seq),
        ("hash", is_.hash),
    ):
        attributes.append(_attribute(f"audit_emit.{name}", member))
    return attributes + own


def _attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": _any_value(value, 0)}


def _any_value(value: Any, depth: int) -> dict[str, Any]:
    """``AnyValue``; an empty one stands for null."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        within = -(2**63) <= value < 2**63
        return {"intValue" if within else "stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if value is None:
        return {}
    if depth >= _NESTED:
        return {"stringValue": as_text(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(one, depth + 1) for one in value]}}
    members = [{"key": name, "value": _any_value(one, depth + 1)} for name, one in value.items()]
    return {"kvlistValue": {"values": members}}
