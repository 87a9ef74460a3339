"""OCSF events, one JSON object a line (Open Cybersecurity Schema Framework, 1.6.0 to 1.8.0).

Each class of OCSF demands some attributes. What fills them is the function of the class at the end
of this module; where a record does not have it, the event goes out as API Activity, which takes
anything. What a class has no place for stands in ``unmapped``. No attribute is null: OCSF has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from audit_emit._export.event_types import OTHER, Kind, kind_of
from audit_emit._export.record import Members, Record, address, encode, outcome

VERSIONS = ("1.8.0", "1.7.0", "1.6.0")
"""The default first; the output differs in nothing but the number."""

_ACTORS = {
    "user": (1, "User"),
    "admin": (2, "Admin"),
    "cron": (3, "System"),
    "service": (4, "Service"),
}
"""Kinds of actors, as ``user.type_id`` and ``user.type``; any other is 99 with its own name."""

_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH")
"""The activities 1 to 9 of HTTP Activity."""

_OTHER_ACTIVITY = 99
_LATER = ("raw_data", "raw_data_hash", "raw_data_size", "trace", "unmapped")
"""Attributes that no field takes: they say where the event comes from."""
_LONGEST_SEQUENCE = 2**31 - 1
_INFORMATIONAL, _LOW, _HIGH = (1, "Informational"), (2, "Low"), (4, "High")


class Class(NamedTuple):
    """One class of events.

    Attributes:
        name: its caption.
        category, category_name: what it belongs to.
        profiles: that its events have.
        traced: whether it may have the profile ``trace``.
        fill: adds what the class demands, takes from the fields what it has a place for, and says
            whether it could.
    """

    name: str
    category: int
    category_name: str
    fill: Callable[[dict[str, Any], Members, dict[str, Any]], bool]
    profiles: tuple[str, ...] = ()
    traced: bool = False


class Format:
    """See ``audit_emit._export.formats.Format``.

    Args:
        version: of OCSF, one of ``VERSIONS``.
        places: by event type, the attributes that fields are, as paths: what event classes and
            schemas say of them (``Field.ocsf``). A place that is taken stays as it is.

    Raises:
        ValueError: it is another version.
    """

    head = b""

    def __init__(
        self, version: str = VERSIONS[0], places: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        if version not in VERSIONS:
            raise ValueError(f"OCSF {version} is not written; {', '.join(VERSIONS)} are")
        self.version = version
        self._places = places or {}

    def event(self, record: Record) -> bytes:
        """One event."""
        return encode(self.mapped(record)) + b"\n"

    def mapped(self, record: Record) -> dict[str, Any]:
        """One event as plain values."""
        kind = kind_of(record.is_.event_type)
        return self._as(kind, record) or self._as(OTHER, record) or {}

    def _as(self, kind: Kind, record: Record) -> dict[str, Any] | None:
        """The event in the class of a kind; ``None`` where it lacks what that demands."""
        is_, of = record.is_, CLASSES[kind.ocsf]
        fields = dict(is_.fields)
        failed = outcome(fields, failed=kind.failed)
        event: dict[str, Any] = {}
        _set_activity(event, kind, is_, fields)
        _set_outcome(event, fields, failed=failed, severe=kind.severe)
        event["metadata"] = self._metadata(is_)
        event["actor"] = _actor(is_)
        if not of.fill(event, is_, fields):
            return None
        profiles = [*of.profiles, *(["trace"] if of.traced and is_.trace_id else [])]
        if profiles:
            event["metadata"]["profiles"] = profiles
        event["category_uid"], event["category_name"] = of.category, of.category_name
        event["class_uid"], event["class_name"] = kind.ocsf, of.name
        activity = event["activity_id"]
        event["type_uid"] = kind.ocsf * 100 + activity
        shown = "Other" if activity == _OTHER_ACTIVITY else event["activity_name"]
        event["type_name"] = f"{of.name}: {shown}"
        event["time"] = record.ns // 1_000_000
        for name, path in self._places.get(is_.event_type, {}).items():
            _put(event, path, fields, name)
        event["unmapped"] = _unmapped(is_, fields, traced=of.traced)
        if of.traced and is_.trace_id:
            event["trace"] = {"uid": is_.trace_id}
        event["raw_data"] = record.text
        event["raw_data_size"] = len(record.line)
        digest = sha256(record.line).hexdigest()
        event["raw_data_hash"] = {"algorithm_id": 3, "algorithm": "SHA-256", "value": digest}
        return event

    def _metadata(self, is_: Members) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "version": self.version,
            "product": {"name": is_.service or "unknown", "vendor_name": "audit_emit"},
            "event_code": is_.event_type,
            "log_provider": "audit_emit",
            "log_version": str(is_.v),
            "original_time": is_.ts,
        }
        if is_.id:
            metadata["uid"] = is_.id
        if is_.chain:
            metadata["log_name"] = is_.chain
        if 0 < is_.seq <= _LONGEST_SEQUENCE:
            metadata["sequence"] = is_.seq
        if is_.workspace_id:
            metadata["tenant_uid"] = is_.workspace_id
        if is_.correlation_id:
            metadata["correlation_uid"] = is_.correlation_id
        return metadata


def _set_activity(event: dict[str, Any], kind: Kind, is_: Members, fields: dict[str, Any]) -> None:
    activity, name = kind.activity, kind.name or is_.event_type or "unknown"
    if kind.ocsf == _HTTP:
        method = fields.get("method")
        if method in _METHODS:
            activity, name = _METHODS.index(method) + 1, method.capitalize()
        elif isinstance(method, str) and method:
            name = method
    event["activity_id"], event["activity_name"] = activity, name


def _set_outcome(
    event: dict[str, Any], fields: dict[str, Any], *, failed: bool, severe: bool
) -> None:
    severity = _INFORMATIONAL if not failed else _HIGH if severe else _LOW
    event["severity_id"], event["severity"] = severity
    event["status_id"], event["status"] = (2, "Failure") if failed else (1, "Success")
    if str(fields.get("outcome")).lower() == event["status"].lower():
        del fields["outcome"]
    if reason := _taken(fields, "reason") if failed else "":
        event["status_detail"] = reason


def _actor(is_: Members) -> dict[str, Any]:
    """Who acted; an actor needs something, so it is the service where nobody did."""
    return {"user": _user(is_)} if is_.user_id else {"app_name": is_.service or "unknown"}


def _user(is_: Members) -> dict[str, Any]:
    number, name = _ACTORS.get(is_.actor_kind, (99, is_.actor_kind or "unknown"))
    return {"uid": is_.user_id, "type_id": number, "type": name}


def _put(event: dict[str, Any], path: str, fields: dict[str, Any], name: str) -> None:
    """Move a field to its place; a list, an object, and what finds it taken stay where they are."""
    value = fields.get(name)
    if not isinstance(value, str | int | float):
        return
    *steps, last = path.split(".")
    if path.partition(".")[0] in _LATER or (last == "ip" and not address(value)):
        return
    inside = event
    for step in steps:
        inside = inside.setdefault(step, {})
        if not isinstance(inside, dict):
            return
    if last not in inside:
        inside[last] = fields.pop(name)


def _unmapped(is_: Members, fields: dict[str, Any], *, traced: bool) -> dict[str, Any]:
    unmapped: dict[str, Any] = {}
    if fields:
        unmapped["fields"] = fields
    if is_.actor_kind and (not is_.user_id or is_.actor_kind not in _ACTORS):
        unmapped["actor_kind"] = is_.actor_kind
    if is_.trace_id and not traced:
        unmapped["trace_id"] = is_.trace_id
    if is_.span_id:
        unmapped["span_id"] = is_.span_id
    if is_.chain:
        unmapped["chain"] = {
            "id": is_.chain,
            "seq": str(is_.seq),
            "prev_hash": is_.prev_hash,
            "hash": is_.hash,
        }
    return unmapped


def _taken(fields: dict[str, Any], name: str) -> str:
    """A text among the fields, which has its place now; empty where there is none."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        return ""
    del fields[name]
    return value


def _taken_number(fields: dict[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        return None
    del fields[name]
    return value


def _take_source(event: dict[str, Any], fields: dict[str, Any]) -> None:
    """The client, where it is one address: OCSF's type does not take a network."""
    if found := address(fields.get("client_ip")):
        event["src_endpoint"] = {"ip": found}
        del fields["client_ip"]


def _entity(event: dict[str, Any], _: Members, fields: dict[str, Any]) -> bool:
    """Entity Management: what was acted on is a secret."""
    key = _taken(fields, "key")
    if not key:
        return False
    event["entity"] = {"name": key, "type_id": 99, "type": "Secret"}
    _take_source(event, fields)
    return True


def _authentication(event: dict[str, Any], is_: Members, fields: dict[str, Any]) -> bool:
    if is_.user_id:
        event["user"] = _user(is_)
    else:
        name = _taken(fields, "login") or "unknown"
        event["user"] = {"name": name, "type_id": 0, "type": "Unknown"}
    event["service"] = {"name": is_.service or "unknown"}
    if session := _taken(fields, "session"):
        event["session"] = {"uid": session}
    if isinstance(fields.get("mfa"), bool):
        event["is_mfa"] = fields.pop("mfa")
    _take_source(event, fields)
    return True


def _account(event: dict[str, Any], _: Members, fields: dict[str, Any]) -> bool:
    """Account Change, and what User Access Management has beside the privileges."""
    target = _taken(fields, "target_user")
    if not target:
        return False
    event["user"] = {"uid": target, "type_id": 0, "type": "Unknown"}
    _take_source(event, fields)
    return True


def _access(event: dict[str, Any], is_: Members, fields: dict[str, Any]) -> bool:
    role = _taken(fields, "role")
    if not role:
        return False
    event["privileges"] = [role]
    return _account(event, is_, fields)


def _http(event: dict[str, Any], is_: Members, fields: dict[str, Any]) -> bool:
    request: dict[str, Any] = {}
    if fields.get("method") in _METHODS:
        request["http_method"] = fields.pop("method")
    if path := _taken(fields, "path"):
        request["url"] = {"path": path}
    if agent := _taken(fields, "user_agent"):
        request["user_agent"] = agent
    response: dict[str, Any] = {}
    if (status := _taken_number(fields, "status")) is not None:
        response["code"] = status
        event["status_code"] = str(status)
        if (size := _taken_number(fields, "bytes")) is not None:
            response["body_length"] = size
    if not request and not response:
        return False
    if is_.correlation_id:
        request["uid"] = is_.correlation_id
    if request:
        event["http_request"] = request
    if response:
        event["http_response"] = response
    duration = fields.get("duration_ms")
    if isinstance(duration, int | float) and 0 <= duration < 2**53:
        event["duration"] = round(duration)
    _take_source(event, fields)
    return True


def _log(event: dict[str, Any], is_: Members, _: dict[str, Any]) -> bool:
    """Event Log Activity: what the log says of itself."""
    if is_.chain:
        event["log_name"] = is_.chain
    event["log_provider"] = "audit_emit"
    event["log_type_id"], event["log_type"] = 2, "Application"
    return True


def _api(event: dict[str, Any], is_: Members, fields: dict[str, Any]) -> bool:
    event["api"] = {
        "operation": is_.event_type or "unknown",
        "service": {"name": is_.service or "unknown"},
    }
    if is_.correlation_id:
        event["api"]["request"] = {"uid": is_.correlation_id}
    _take_source(event, fields)
    # The class demands where it came from; an event from inside a service has no such place.
    event.setdefault("src_endpoint", {"svc_name": is_.service or "unknown"})
    return True


_IDENTITY = (3, "Identity & Access Management")
_HTTP = 4002

CLASSES = {
    1008: Class("Event Log Activity", 1, "System Activity", _log),
    3001: Class("Account Change", *_IDENTITY, _account),
    3002: Class("Authentication", *_IDENTITY, _authentication),
    3004: Class("Entity Management", *_IDENTITY, _entity),
    3005: Class("User Access Management", *_IDENTITY, _access),
    _HTTP: Class("HTTP Activity", 4, "Network Activity", _http, ("host",), traced=True),
    6003: Class("API Activity", 6, "Application Activity", _api, traced=True),
}
"""The classes that are written, by number."""
