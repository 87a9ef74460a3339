"""Reads the facts of a request from an ASGI scope: path, headers, peer, user and route."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._http import MAX_LENGTH_DIGITS, below

__all__ = [
    "Scope",
    "app_root",
    "client_host",
    "exchange_of",
    "look_at",
    "route_of",
    "user_of",
]

Scope = MutableMapping[str, Any]


def exchange_of(scope: Scope, read: frozenset[bytes]) -> Exchange:
    """The facts that are known when a request begins.

    Args:
        scope: of the request.
        read: the lower-case names of the headers to keep.
    """
    exchange = Exchange()
    exchange.kind = scope["type"]
    exchange.method = str(scope.get("method", ""))
    exchange.path = path = str(scope.get("path", ""))
    root = scope.get("root_path")
    if root:
        below_root = below(path, str(root))
        exchange.app_paths = () if below_root is None else (below_root,)
    found: dict[str, list[str]] | None = None
    for raw, value in scope.get("headers") or ():
        name = raw.lower()
        if name in read:
            found = found or {}
            found.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
    if found is not None:
        # Whose word a header is; a proxy middleware of the application may put another one there.
        exchange.headers, exchange.peer = found, client_host(scope)
    return exchange


def look_at(
    headers: Iterable[tuple[bytes, bytes]], wanted: bytes | None
) -> tuple[int | None, bool]:
    """The value of ``Content-Length``, if there is a valid one; and whether ``wanted`` is there.

    Args:
        headers: of a response.
        wanted: the name of a header, in lower case.
    """
    length, found = None, False
    for raw, value in headers:
        name = raw.lower()
        if name == b"content-length":
            if length is None and value.isdigit() and len(value) <= MAX_LENGTH_DIGITS:
                length = int(value)
        elif name == wanted:
            found = True
    return length, found


def client_host(scope: Scope) -> str:
    """The address of the client as the scope has it now; an empty string if it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def user_of(scope: Mapping[str, Any]) -> str | None:
    """The id of the user that an authentication middleware has verified."""
    user = scope.get("user")
    if user is None or getattr(user, "is_authenticated", None) is not True:
        return None
    for name in ("identity", "id", "display_name"):
        try:
            value = getattr(user, name, None)
        except NotImplementedError:
            continue  # Starlette's own SimpleUser has no identity
        if value is not None and str(value):
            return str(value)
    return None


def app_root(scope: Mapping[str, Any]) -> str:
    """The root path of the outermost Starlette application, without the path of its mounts."""
    return str(scope.get("app_root_path", scope.get("root_path")) or "")


def _mounted(scope: Mapping[str, Any], path: str) -> str:
    """The part of ``path`` before what a route has matched.

    A root path that a proxy has stripped is known to the server or the application
    (``root_path``), but is not part of ``path``.
    """
    root = str(scope.get("root_path") or "")
    if not root:
        return ""
    for prefix in (root, root.removeprefix(app_root(scope))):
        if below(path, prefix) is not None:
            return prefix.rstrip("/")
    return ""


def route_of(scope: Mapping[str, Any], path: str) -> str | None:
    """The template of the route that served ``path``, with its mount point in front.

    FastAPI leaves the route in the scope, and for an included router also a context with the full
    template. Starlette leaves only the endpoint, which identifies the route if no other route has
    the same endpoint.
    """
    included, routed = scope.get("fastapi"), scope.get("route")
    context = included.get("effective_route_context") if isinstance(included, dict) else None
    if context is not None or routed is not None:
        routes: tuple[Any, ...] = (routed,)
        if context is not None:
            routes = (context, getattr(context, "starlette_route", None), routed)
        for route in routes:
            template = getattr(route, "path_format", None) or getattr(route, "path", None)
            if template and isinstance(template, str):
                mounted = _mounted(scope, path) if scope.get("root_path") else ""
                # A mount without a route of its own below it: ``_mounted`` already holds its path.
                return mounted + ("/{path}" if hasattr(route, "routes") else template)
    named = _route_of_endpoint(scope)
    return None if named is None else _mounted(scope, path) + named


def _route_of_endpoint(scope: Mapping[str, Any]) -> str | None:
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    templates = {
        getattr(route, "path_format", None)
        for route in getattr(scope.get("router"), "routes", ())
        if getattr(route, "endpoint", None) is endpoint
    }
    found = templates.pop() if len(templates) == 1 else None
    return found if isinstance(found, str) else None
