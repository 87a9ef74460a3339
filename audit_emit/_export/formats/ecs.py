"""ECS events, one JSON document a line (Elastic Common Schema 9.4.0).

Fields of a record that ECS has no place for stand in ``audit_emit.fields``, which the index
template beside this module maps as ``flattened``: one entry of the mapping whatever their names
are, and no conflict between two types of one name.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from audit_emit._export.event_types import kind_of
from audit_emit._export.record import Record, address, encode, outcome

INDEX_TEMPLATE = files("audit_emit._export").joinpath("elasticsearch", "index_template.json")
"""The index template of Elasticsearch that belongs to this format: a file of the package."""

_LONG = 2**63


class Format:
    """See ``audit_emit._export.formats.Format``."""

    version = "9.4.0"
    head = b""

    def event(self, record: Record) -> bytes:
        """One event."""
        return encode(self.mapped(record)) + b"\n"

    def mapped(self, record: Record) -> dict[str, Any]:
        """One event as plain values."""
        is_, kind = record.is_, kind_of(record.is_.event_type)
        fields = dict(is_.fields)
        failed = outcome(fields, failed=kind.failed)
        related: dict[str, list[str]] = {}
        document: dict[str, Any] = {
            "@timestamp": is_.ts if record.ns else "1970-01-01T00:00:00.000000000Z",
            "ecs": {"version": self.version},
            "message": f"{is_.event_type} by {is_.user_id or is_.actor_kind or 'nobody'}",
            "event": {
                "kind": kind.kind,
                "action": is_.event_type,
                "outcome": "failure" if failed else "success",
                "dataset": "audit_emit.log",
                "module": "audit_emit",
                "original": record.text,
                "type": list(kind.type),
            },
            # Without it pipelines of Elastic's integrations drop event.original.
            "tags": ["preserve_original_event"],
        }
        _set_members(document, record, related)
        _set_event(document["event"], record, fields, list(kind.category))
        _set_client(document, fields, related)
        _set_target(document, fields, related)
        if is_.event_type == "http.request":
            _set_http(document, is_.correlation_id, fields)
        if related:
            document["related"] = related
        own: dict[str, Any] = {"v": is_.v}
        if is_.chain:
            own["chain"], own["prev_hash"] = is_.chain, is_.prev_hash
        if fields:
            own["fields"] = fields
        document["audit_emit"] = own
        return document


def _set_members(document: dict[str, Any], record: Record, related: dict[str, list[str]]) -> None:
    """What the members of the record have a place for, but for the field set ``event``."""
    is_ = record.is_
    labels = {}
    if is_.actor_kind:
        labels["actor_kind"] = is_.actor_kind
    if is_.correlation_id:
        labels["correlation_id"] = is_.correlation_id
    if labels:
        document["labels"] = labels
    if is_.service:
        document["service"] = {"name": is_.service}
        document["event"]["provider"] = is_.service
    if is_.user_id:
        document["user"] = {"id": is_.user_id}
        related["user"] = [is_.user_id]
    if is_.workspace_id:
        document["organization"] = {"id": is_.workspace_id}
    if is_.trace_id:
        document["trace"] = {"id": is_.trace_id}
    if is_.span_id:
        document["span"] = {"id": is_.span_id}


def _set_event(
    event: dict[str, Any], record: Record, fields: dict[str, Any], category: list[str]
) -> None:
    is_ = record.is_
    if category:
        event["category"] = category
    if is_.id:
        event["id"] = is_.id
    if is_.seq > 0:
        event["sequence"] = is_.seq
    if is_.hash:
        event["hash"] = is_.hash
    if reason := _taken(fields, "reason"):
        event["reason"] = reason
    if str(fields.get("outcome")).lower() == event["outcome"]:
        del fields["outcome"]


def _set_client(
    document: dict[str, Any], fields: dict[str, Any], related: dict[str, list[str]]
) -> None:
    """The client; only one address is an ``ip``: a network there rejects the document."""
    if found := _taken(fields, "client_ip"):
        client = {"address": found}
        if address(found):
            client["ip"] = found
            related["ip"] = [found]
        document["client"] = client


def _set_target(
    document: dict[str, Any], fields: dict[str, Any], related: dict[str, list[str]]
) -> None:
    """The user whom something was done to, and the role that it was about."""
    target: dict[str, Any] = {}
    if user := _taken(fields, "target_user"):
        target["id"] = user
        if user not in related.setdefault("user", []):
            related["user"].append(user)
    if role := _taken(fields, "role"):
        target["roles"] = [role]
    if target:
        document.setdefault("user", {})["target"] = target


def _set_http(document: dict[str, Any], correlation_id: str, fields: dict[str, Any]) -> None:
    request: dict[str, Any] = {}
    if method := _taken(fields, "method"):
        request["method"] = method
    if correlation_id:
        request["id"] = correlation_id
    response: dict[str, Any] = {}
    if (status := _taken_long(fields, "status")) is not None:
        response["status_code"] = status
    if (size := _taken_long(fields, "bytes")) is not None:
        response["body"] = {"bytes": size}
    http = {name: part for name, part in (("request", request), ("response", response)) if part}
    if http:
        document["http"] = http
    if path := _taken(fields, "path"):
        document["url"] = {"path": path}
    if agent := _taken(fields, "user_agent"):
        document["user_agent"] = {"original": agent}
    duration = fields.get("duration_ms")
    if isinstance(duration, int | float) and 0 <= duration < 2**43:
        document["event"]["duration"] = round(duration * 1_000_000)
        del fields["duration_ms"]


def _taken(fields: dict[str, Any], name: str) -> str:
    """A text among the fields, which has its place now; empty where there is none."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        return ""
    del fields[name]
    return value


def _taken_long(fields: dict[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not -_LONG <= value < _LONG:
        return None
    del fields[name]
    return value
