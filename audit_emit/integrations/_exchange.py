"""The facts of one request and its outcome, whatever the framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

__all__ = ["Exchange"]


class Exchange:
    """The facts of one request and its outcome; an adapter fills them in as they become known.

    What is not known yet is an attribute of the class, so that a request costs as much as what is
    known of it.

    Attributes:
        kind: ``http`` or ``websocket``.
        method: the HTTP method; empty for a websocket.
        path: the whole path of the request, including a root path or mount point.
        app_paths: the path without root path or mount point, for ``skip_paths``.
        headers: the values of the headers that are read, by lower-case name.
        peer: the address at the other end of the connection, whatever proxy headers say.
        client: the address of the client after a server or middleware has applied proxy headers.
        route: the template that matched ``path``, such as ``/items/{id}``.
        started, ended: seconds of a monotonic clock.
        status: of the response, ``None`` before there is one; 101 for an accepted websocket.
        sent: bytes of the response body, ``None`` when they cannot be known.
        complete: the whole response was sent, or the application closed the websocket.
        disconnected: the client left before the response was complete, or closed the websocket.
        error: the class of the exception that ended the request; its message is never kept.
        code: the close code of the websocket.
        messages_in, messages_out: websocket messages received and sent.
        notes: oddities of the request, for the field ``notes`` of the record.
    """

    kind: Literal["http", "websocket"] = "http"
    method: str = ""
    path: str = ""
    app_paths: tuple[str, ...] = ()
    headers: Mapping[str, Sequence[str]] = MappingProxyType({})
    peer: str = ""
    client: str = ""
    route: str | None = None
    started: float = 0.0
    ended: float | None = None
    status: int | None = None
    sent: int | None = 0
    complete: bool = False
    disconnected: bool = False
    error: type[BaseException] | None = None
    code: int | None = None
    messages_in: int = 0
    messages_out: int = 0
    notes: tuple[str, ...] = ()

    def __init__(self, **facts: Any) -> None:
        if facts:
            self.__dict__.update(facts)

    def add_body(self, size: int) -> None:
        """Count bytes of the body: of a HEAD request none is sent (RFC 9110, section 9.3.2)."""
        if self.sent is not None and self.method != "HEAD":
            self.sent += size
