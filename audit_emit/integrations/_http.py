"""What an HTTP request is to the audit trail: facts in, ids and fields out.

Every adapter extracts the facts its own way and asks here what they mean, so that frameworks
cannot drift apart. No I/O, no clock, no randomness, no framework.

Everything a client sends is hostile: an id is used only when it is well-formed *and* comes from
somebody trusted; otherwise it is evidence (``client_request_id``), never a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal

from audit_emit._runtime.foreign import bare_name
from audit_emit.integrations._options import Address, Options

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.{0,256})?")

Scrub = Callable[[str], str]
"""A text without its secrets."""

MAX_ID_HEADER = 1024
MAX_FORWARDED = 4096
MAX_CLIENT_ID = 128
MAX_USER_AGENT = 256
MAX_PATH = 1024
MAX_HOPS = 32
NORMAL_CLOSES = (1000, 1001, 1005)
DENIED_CLOSES = (1008, 3000, 3003, 4401, 4403)


@dataclass(slots=True)
class Exchange:
    """One request and what became of it; an adapter fills it in on the way.

    Attributes:
        kind: ``http`` or ``websocket``.
        path: as it was asked for, with what a server or a mount has put before it.
        app_paths: the same as the application knows it, without that; for ``skip_paths``.
        route: the template of ``path``.
        headers: the values of the headers that matter, by lower-case name.
        peer: who is at the other end of the connection, before any proxy header.
        client: the same, after what the server or a middleware made of it.
        started: seconds of a monotonic clock; ``ended`` likewise.
        status: of the response, ``None`` until there is one; 101 for an accepted websocket.
        sent: bytes of the response body, ``None`` when they cannot be known.
        complete: the response is out, or the websocket was closed by the application.
        gone: the client left before the response was complete, or closed the websocket.
        error: the type of the exception that ended it; its message is never kept.
        code: of the websocket's close.
    """

    kind: Literal["http", "websocket"] = "http"
    method: str = ""
    path: str = ""
    app_paths: tuple[str, ...] = ()
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    peer: str = ""
    client: str = ""
    route: str | None = None
    started: float = 0.0
    ended: float | None = None
    status: int | None = None
    sent: int | None = 0
    complete: bool = False
    gone: bool = False
    error: type[BaseException] | None = None
    code: int | None = None
    messages_in: int = 0
    messages_out: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Inbound:
    """Whose request it is: the id it goes by, and what the client called it.

    Attributes:
        correlation_id: a client's when trusted and well-formed, else our own.
        client_request_id: what the client sent, when that is not ``correlation_id``, as it came.
        notes: ``dup_header`` when there was more than one.
    """

    correlation_id: str
    client_request_id: str | None = None
    notes: tuple[str, ...] = ()


def identify(options: Options, exchange: Exchange, own_id: str) -> Inbound:
    """Choose the correlation id of a request.

    Repeated headers and a list joined by commas (as WSGI and proxies do) mean the same.
    """
    sent = [
        item
        for name in options.request_id_headers
        for value in exchange.headers.get(name, ())
        for item in _listed(value)
    ]
    if not sent:
        return Inbound(own_id)
    notes = ("dup_header",) if len(sent) > 1 else ()
    if options.trust_request_id or options.trusts(parse_address(exchange.peer)):
        valid = next((item for item in sent if REQUEST_ID.fullmatch(item)), None)
        if valid is not None:
            return Inbound(valid, ", ".join(sent) if notes else None, notes)
    return Inbound(own_id, ", ".join(sent), notes)


def _listed(value: str) -> list[str]:
    if len(value) > MAX_ID_HEADER:
        return [value]  # no id is that long; cut, its end might pass for one
    return [item for item in (part.strip(" \t") for part in value.split(",")) if item]


def printable(text: str, limit: int, scrub: Scrub) -> str:
    """At most ``limit`` characters of printable ASCII; everything else becomes ``?``.

    Secrets are held back before the cut: half a secret might not be recognised as one any more.
    """
    if len(text) > limit:
        text = scrub(text)
    return "".join(char if " " <= char <= "~" else "?" for char in text[:limit])


def parse_traceparent(values: Sequence[str]) -> tuple[str, str] | None:
    """The trace id and span id of a ``traceparent`` header (W3C Trace Context, level 2), strictly.

    None for more than one header, upper case, version ``ff``, an id that is all zero, and a
    version 00 that is not exactly 55 characters.
    """
    if len(values) != 1:
        return None
    match = TRACEPARENT.fullmatch(values[0])
    if match is None:
        return None
    version, trace_id, span_id, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return trace_id, span_id


def parse_address(text: str) -> Address | None:
    """An address out of a peer or a hop of ``X-Forwarded-For``, without port and zone.

    None for what is none: a Unix socket, ``unknown``, a host name, SQL.
    """
    return _address(text.strip(" \t")[:64])


# The same clients and proxies come again and again; an entry is small, whatever they send.
@lru_cache(1024)
def _address(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def client_address(options: Options, exchange: Exchange) -> str | None:
    """The client's address as the record shows it.

    ``X-Forwarded-For`` is read from the right, and only as far as trusted proxies wrote it; a hop
    that is no address ends the walk.
    """
    if options.client_ip == "off":
        return None
    address = parse_address(exchange.client)
    if options.trusts(address):
        for hop in _hops(exchange.headers.get("x-forwarded-for", ())):
            address = hop
            if not options.trusts(hop):
                break
    if address is None:
        return None
    return str(address) if options.client_ip == "full" else _truncated(address)


@lru_cache(1024)
def _truncated(address: Address) -> str:
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


def _hops(values: Sequence[str]) -> list[Address]:
    """The addresses nearest to us, nearest first, up to the first thing that is none."""
    text = ",".join(values)
    parts = text[-MAX_FORWARDED:].split(",")
    if len(text) > MAX_FORWARDED:
        parts = parts[1:]  # cut, the rest of an address might pass for another one
    found = []
    for part in reversed(parts[-MAX_HOPS:]):
        address = parse_address(part)
        if address is None:
            break
        found.append(address)
    return found


def below(path: str, root: str) -> str | None:
    """A path without the root path before it, as the application knows it; None if it has none."""
    root = root.rstrip("/")
    if not root or not path.startswith(root) or path[len(root) : len(root) + 1] not in ("", "/"):
        return None
    return path[len(root) :] or "/"


def shorten_path(path: str, scrub: Scrub) -> str:
    """A path of at most 1,024 characters, cut between segments.

    Secrets are held back before the cut, as in ``printable``.
    """
    if len(path) <= MAX_PATH:
        return path
    path = scrub(path)
    if len(path) <= MAX_PATH:
        return path
    return path[:MAX_PATH].rpartition("/")[0] + "/…"


def outcome(exchange: Exchange) -> str:
    """How a request ended.

    ``cancelled``: the server cancelled its task. ``aborted``: the client left, or the application
    stopped, before the response was complete. ``denied``: 401, 403, or a websocket's close code
    for them. ``failure``: an exception, no response at all, or any other status from 400 on.
    ``success``: the rest.
    """
    if is_cancelled(exchange.error):
        return "cancelled"
    if exchange.gone and exchange.kind == "http":
        return "aborted"
    if exchange.error is not None:
        return "failure"
    if exchange.status is None:
        return "aborted" if exchange.gone else "failure"
    return _status_outcome(exchange, exchange.status)


def _status_outcome(exchange: Exchange, status: int) -> str:
    if status in (401, 403):
        return "denied"
    if status >= 400:
        return "failure"
    if exchange.kind == "websocket":
        return _close_outcome(exchange.code)
    return "success" if exchange.complete else "aborted"


def _close_outcome(code: int | None) -> str:
    """What the close code of an accepted websocket says (RFC 6455 section 7.4, IANA registry)."""
    if code is None or code in NORMAL_CLOSES:
        return "success"
    if code == 1006:
        return "aborted"
    return "denied" if code in DENIED_CLOSES else "failure"


def is_cancelled(error: type[BaseException] | None) -> bool:
    """Whether an exception is asyncio's or trio's cancellation, neither of which is imported."""
    if error is None or issubclass(error, Exception):
        return False
    kinds = type.__getattribute__(error, "__mro__")
    return any(bare_name(kind) in ("CancelledError", "Cancelled") for kind in kinds)


def result_fields(exchange: Exchange) -> dict[str, Any]:
    """``status``, ``outcome``, ``duration_ms`` and ``error`` (the exception's type only)."""
    fields: dict[str, Any] = {}
    if exchange.status is not None:
        fields["status"] = exchange.status
    fields["outcome"] = outcome(exchange)
    ended = exchange.started if exchange.ended is None else exchange.ended
    fields["duration_ms"] = round((ended - exchange.started) * 1000, 3)
    if exchange.error is not None:
        fields["error"] = bare_name(exchange.error)
    return fields


def request_fields(
    options: Options, exchange: Exchange, inbound: Inbound, scrub: Scrub
) -> dict[str, Any]:
    """The fields of the request's record.

    Args:
        options: of the adapter.
        exchange: what is known of the request.
        inbound: whose it is.
        scrub: a text without its secrets, by the rules of the record.
    """
    fields: dict[str, Any] = {"path": shorten_path(exchange.path, scrub)}
    if exchange.kind == "http":
        fields = {"method": exchange.method[:32], **fields}
    if exchange.route:
        fields["route"] = exchange.route[:MAX_PATH]
    fields |= result_fields(exchange)
    fields |= _traffic(exchange)
    address = client_address(options, exchange)
    if address is not None:
        fields["client_ip"] = address
    agents = exchange.headers.get("user-agent", ())
    if options.user_agent and agents:
        fields["user_agent"] = printable(agents[0], MAX_USER_AGENT, scrub)
    if inbound.client_request_id is not None:
        sent = inbound.client_request_id
        fields["client_request_id"] = printable(sent, MAX_CLIENT_ID, scrub)
    notes = [*inbound.notes, *exchange.notes]
    if exchange.status is None and exchange.error is None and not exchange.gone:
        notes.append("no_response")
    if notes:
        fields["notes"] = notes
    return fields


def _traffic(exchange: Exchange) -> dict[str, Any]:
    if exchange.kind == "websocket":
        code = {} if exchange.code is None else {"code": exchange.code}
        return {
            **code,
            "messages_in": exchange.messages_in,
            "messages_out": exchange.messages_out,
        }
    if exchange.sent is None or exchange.status is None:
        return {}
    return {"bytes": exchange.sent}
