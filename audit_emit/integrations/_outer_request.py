"""Detects that an outer application already audits a request, so that it is recorded only once.

A Flask application that is mounted in an ASGI application, or the other way round, receives a new
environ (or scope) made by a bridge such as a2wsgi. Some bridges keep the original in it. Where they
do not, the request that is bound in this context is taken for the same request if method, path,
query and headers agree. A request that an application itself sends, to its own or to another
application in the same thread, differs in its headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit_emit._facade.adapters import let_through
from audit_emit.integrations._request import KEY, SERVED, RequestAudit

__all__ = ["outer_request"]

Facts = tuple[str, str, str, dict[str, str]]
"""Method, path, query, headers by their names in WSGI."""

MADE_OF = _OF_ASGI, _OF_WSGI = ("asgi.scope", "wsgi_environ")
"""The keys under which a2wsgi keeps the original scope in an environ, and the other way round."""


def outer_request(origin: Mapping[str, Any]) -> RequestAudit | None:
    """The ``RequestAudit`` of an outer application for this ASGI scope or WSGI environ, if any."""
    audit = origin.get(KEY)
    # Not a loop: nearly every request looks here.
    if audit is None and (_OF_ASGI in origin or _OF_WSGI in origin):
        for name in MADE_OF:
            within = origin.get(name)
            if within is not None and isinstance(within, Mapping):
                audit = audit or within.get(KEY)
    if audit is None:
        audit = SERVED.get()
        if audit is None:
            return None
        # A server may begin the next request of a connection in the context of this one, as soon as
        # its answer is complete. So a request with a complete answer is never the outer one.
        over = audit.finished or audit.exchange.complete
        if over or not _same(audit.origin, origin):
            return None
    # A copy of the scope of a finished request, which is served again, is another request.
    return audit if isinstance(audit, RequestAudit) and not audit.finished else None


def _same(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> bool:
    """Whether two origins belong to one request; a bridge between them may have added headers."""
    try:
        method, path, query, headers = _facts(outer)
        inner_method, inner_path, inner_query, inner_headers = _facts(inner)
    except Exception as error:  # noqa: BLE001 - a scope that breaks the protocol counts as a new request
        let_through(error)
        return False
    return (
        (method, query) == (inner_method, inner_query)
        and (path.endswith(inner_path) or inner_path.endswith(path))
        and headers.items() <= inner_headers.items()
    )


def _facts(origin: Mapping[str, Any]) -> Facts:
    return _of_scope(origin) if "type" in origin else _of_environ(origin)


def _of_scope(scope: Mapping[str, Any]) -> Facts:
    headers: dict[str, str] = {}
    for raw, value in scope.get("headers") or ():
        name = raw.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    query = (scope.get("query_string") or b"").decode("latin-1")
    return str(scope.get("method")), str(scope.get("path")), query, _comparable(headers)


def _of_environ(environ: Mapping[str, Any]) -> Facts:
    headers = {
        key.removeprefix("HTTP_"): str(value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or (key == "CONTENT_TYPE" and value)
    }
    path = f"{environ.get('SCRIPT_NAME') or ''}{environ.get('PATH_INFO') or ''}"
    return (
        str(environ.get("REQUEST_METHOD")),
        path.encode("latin-1", "replace").decode("utf-8", "replace"),
        str(environ.get("QUERY_STRING") or ""),
        _comparable(headers),
    )


def _comparable(headers: dict[str, str]) -> dict[str, str]:
    """The headers without what a bridge changes: Content-Length, and spaces after commas."""
    headers.pop("CONTENT_LENGTH", None)
    return {name: value.replace(", ", ",") for name, value in headers.items()}
