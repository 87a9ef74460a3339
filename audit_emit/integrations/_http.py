"""Turns the facts of an HTTP request into the ids and fields of its record. Pure functions.

Every adapter collects the facts in its own way and uses these functions to interpret them, so that
all frameworks give the same record. No I/O, no clock, no randomness, no framework.

Whatever a client sends may be an attack. An id from a client becomes the correlation id only when
it is well-formed *and* the sender is trusted; otherwise it is recorded as ``client_request_id``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from os import urandom
from typing import Any, NamedTuple

from audit_emit._facade.adapters import SAME, bare_name, on_fork, renew
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._options import Address, Options

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.{0,256})?")

Scrub = Callable[[str], str]
"""Returns a text with its secrets redacted."""

MAX_ID_HEADER = 1024
MAX_FORWARDED = 4096
MAX_ADDRESS = 64
MAX_CLIENT_ID = 128
MAX_USER_AGENT = 256
MAX_PATH = 1024
MAX_HOPS = 32
MAX_LENGTH_DIGITS = 18
"""The most digits of ``Content-Length``: Python refuses to convert numbers with thousands."""

NORMAL_CLOSES = (1000, 1001, 1005)
DENIED_CLOSES = (1008, 3000, 3003, 4401, 4403)


class Inbound(NamedTuple):
    """The ids of a request.

    Attributes:
        correlation_id: the client's id when it is trusted and well-formed, else a generated one.
        client_request_id: the client's id, unchanged, when it did not become the correlation id.
        notes: ``dup_header`` when the client sent more than one id.
    """

    correlation_id: str
    client_request_id: str | None = None
    notes: tuple[str, ...] = ()


_IDS_AT_ONCE = 128

_ids: list[str] = []
"""Random ids that are drawn and not used yet."""

on_fork(_ids.clear)


def new_id() -> str:
    """A random id of 32 hex digits.

    Many are drawn at once, because each draw releases the lock of the interpreter, and in a server
    with threads another one then runs first.
    """
    if not SAME[0]:
        renew()
    try:
        return _ids.pop()
    except IndexError:
        digits = urandom(16 * _IDS_AT_ONCE).hex()
        own, *others = (digits[at : at + 32] for at in range(0, len(digits), 32))
        _ids.extend(others)
        return own


def identify(options: Options, exchange: Exchange, own_id: str) -> Inbound:
    """Choose the correlation id of a request.

    A repeated header and one header with a list joined by commas are the same thing: WSGI servers
    and proxies turn the first into the second.
    """
    if not exchange.headers:
        return Inbound(own_id)
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
        return [value]  # not an id; a part of it, cut off, might look like one
    return [item for item in (part.strip(" \t") for part in value.split(",")) if item]


def printable(text: str, limit: int, scrub: Scrub) -> str:
    """At most ``limit`` characters of printable ASCII; every other character becomes ``?``.

    Secrets are redacted before the cut, because half a secret may not be recognised as one.
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
    """Parse the address of a peer or of a hop in ``X-Forwarded-For``, ignoring port and zone.

    None for anything else: a Unix socket, ``unknown``, a host name, an injection attempt.
    """
    return _address(text.strip(" \t")[:MAX_ADDRESS])


# The same clients and proxies send many requests. Entries are small: the text is cut before.
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
    """The client's address as it is recorded, or ``None``.

    ``X-Forwarded-For`` is read from the right, and only as far as trusted proxies have written it.
    A hop that is not an address ends the search.
    """
    shown = options.client_ip
    if shown == "off":
        return None
    if not options.trusted_proxies:
        return _recorded(exchange.client[: 2 * MAX_ADDRESS], shown)
    address = parse_address(exchange.client)
    if options.trusts(address):
        for hop in _hops(exchange.headers.get("x-forwarded-for", ())):
            address = hop
            if not options.trusts(hop):
                break
    return _shown(address, options.client_ip)


@lru_cache(1024)
def _recorded(text: str, client_ip: str) -> str | None:
    return _shown(parse_address(text), client_ip)


def _shown(address: Address | None, client_ip: str) -> str | None:
    if address is None:
        return None
    return str(address) if client_ip == "full" else _truncated(address)


@lru_cache(1024)
def _truncated(address: Address) -> str:
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


def _hops(values: Sequence[str]) -> list[Address]:
    """The addresses in ``X-Forwarded-For``, nearest first, up to the first that is malformed."""
    text = ",".join(values)
    parts = text[-MAX_FORWARDED:].split(",")
    if len(text) > MAX_FORWARDED:
        parts = parts[1:]  # the first one is cut, and might look like another address
    found = []
    for part in reversed(parts[-MAX_HOPS:]):
        address = parse_address(part)
        if address is None:
            break
        found.append(address)
    return found


def below(path: str, root: str) -> str | None:
    """``path`` relative to ``root``, as a mounted application sees it; None if it is not below."""
    root = root.rstrip("/")
    if not root or not path.startswith(root) or path[len(root) : len(root) + 1] not in ("", "/"):
        return None
    return path[len(root) :] or "/"


def shorten_path(path: str, scrub: Scrub) -> str:
    """Cut a path to at most 1,024 characters, between two segments.

    Secrets are redacted before the cut, as in ``printable``.
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
    status = exchange.status
    if exchange.error is None and not exchange.disconnected and status is not None:
        if status < 400 and exchange.complete and exchange.kind == "http":
            return "success"
        return _status_outcome(exchange, status)
    if exchange.error is not None and is_cancelled(exchange.error):
        return "cancelled"
    if exchange.disconnected and exchange.kind == "http":
        return "aborted"
    if exchange.error is not None:
        return "failure"
    if status is None:
        return "aborted" if exchange.disconnected else "failure"
    return _status_outcome(exchange, status)


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
    fields: dict[str, Any] = {} if exchange.status is None else {"status": exchange.status}
    fields["outcome"] = outcome(exchange)
    ended = exchange.started if exchange.ended is None else exchange.ended
    fields["duration_ms"] = round((ended - exchange.started) * 1000, 3)
    if exchange.error is not None:
        fields["error"] = bare_name(exchange.error)
    return fields


def request_fields(
    options: Options, exchange: Exchange, inbound: Inbound | None, scrub: Scrub
) -> dict[str, Any]:
    """The fields of the request's record.

    Args:
        options: of the adapter.
        exchange: what is known of the request.
        inbound: the ids of the request; ``None`` where the client has sent none.
        scrub: redacts secrets in a text, by the rules of the record.
    """
    path = exchange.path
    if len(path) > MAX_PATH:
        path = shorten_path(path, scrub)
    fields = _facts(exchange, path)
    address = client_address(options, exchange)
    if address is not None:
        fields["client_ip"] = address
    agents = exchange.headers.get("user-agent") if options.user_agent else None
    if agents:
        fields["user_agent"] = printable(agents[0], MAX_USER_AGENT, scrub)
    notes = exchange.notes
    if inbound is not None:
        claimed = inbound.client_request_id
        if claimed is not None:
            fields["client_request_id"] = printable(claimed, MAX_CLIENT_ID, scrub)
        notes = inbound.notes + notes
    if exchange.status is None and exchange.error is None and not exchange.disconnected:
        notes += ("no_response",)
    if notes:
        fields["notes"] = list(notes)
    return fields


def _facts(exchange: Exchange, path: str) -> dict[str, Any]:
    """What a request was, up to its size."""
    route, http = exchange.route, exchange.kind == "http"
    fields: dict[str, Any] = {"path": path}
    if http:
        fields = {"method": exchange.method[:32], "path": path}
    if route:
        fields["route"] = route[:MAX_PATH]
    fields |= result_fields(exchange)
    if not http:
        if exchange.code is not None:
            fields["code"] = exchange.code
        fields["messages_in"] = exchange.messages_in
        fields["messages_out"] = exchange.messages_out
    elif exchange.sent is not None and exchange.status is not None:
        fields["bytes"] = exchange.sent
    return fields
