"""The checks that every request passes before a page sees it, and the headers of every answer.

It is pure ASGI, so that it also covers streams. It identifies the user, refuses requests from other
sites or under another host name, and sets the headers by which a browser runs nothing but the
console's own files (Content Security Policy Level 3, Fetch Metadata).
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, quote

from audit_emit.console.access import LOCAL, Access, Identity
from audit_emit.console.attempts import RETRY_SECONDS, Attempts
from audit_emit.console.messages import text
from audit_emit.console.sign_in import SignIn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})

FORWARDED = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
)  # fmt: skip
"""Headers that a proxy adds. A request with one may come from anywhere, although the proxy itself
is on this machine."""

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# With "no-referrer" browsers send "Origin: null" with the forms of our own pages, too.
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_ASKED_AGAIN = (b"cache-control", b"no-cache")
_NOT_STORED = (b"cache-control", b"no-store")

COOKIE = "audit_console"


class Guard:
    """The ASGI middleware in front of all pages of a console.

    Args:
        inner: the pages.
        access: the users; ``None``: whoever comes from loopback, under a name of loopback.
        denied: called with the name and the path when somebody is refused.
        signed_in: called with the name when somebody has signed in.
    """

    def __init__(
        self,
        inner: Application,
        access: Access | None,
        denied: Callable[[str, str], None] = lambda _name, _path: None,
        signed_in: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._inner = inner
        self._access = access
        self._denied = denied
        self._signed_in = signed_in
        self._sign_in = access.sign_in if access is not None else None
        self._key = os.urandom(32)
        self._attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        if self._sign_in is not None and self._sign_in.serves(_below(scope)):
            await self._sign_in_or_out(self._sign_in, scope, headers, send)
            return
        identity = await self._identity(scope, headers)
        if isinstance(identity, int):
            await self._later(scope, identity, send)
            return
        if identity is None:
            await self._refuse(scope, headers, send)
            return
        if _is_part_of_another_site(headers):
            self._denied(identity.name, scope["path"])
            await _answer(send, 403, _said("error.another_site"))
            return
        cookie = _cookie(headers.get("cookie", ""), _cookie_name(scope))
        fresh = cookie or os.urandom(16).hex()
        state = scope.setdefault("state", {})
        state["identity"] = identity
        state["token"] = self._token(fresh, identity)
        state["session"] = self._sign_in is not None and bool(self._sign_in.name_of(headers))
        if scope["method"] not in {"GET", "HEAD"} and not _is_own(headers):
            self._denied(identity.name, scope["path"])
            await _answer(send, 403, _said("error.by_another_site"))
            return
        await self._inner(scope, receive, _with_headers(send, "" if cookie else fresh, scope))

    async def _identity(self, scope: Scope, headers: dict[str, str]) -> Identity | int | None:
        """Who it is; ``None`` for nobody, a status where too many passwords are being hashed."""
        if self._access is None:
            # Under another name it may be a page of another site whose name was pointed at this
            # address (DNS rebinding).
            client = scope.get("client")
            host = _host_name(headers.get("host", ""))
            from_here = client is None or client[0] in LOOPBACK or client[0].startswith("127.")
            straight = not any(name in headers for name in FORWARDED)
            return LOCAL if from_here and straight and host in LOOPBACK else None
        if not self._access.takes_long(headers):
            return self._access.identify(headers)
        from audit_emit.console.threads import hashing  # noqa: PLC0415 - an extra

        client = (scope.get("client") or ("",))[0]
        if status := self._attempts.begin(client):
            return status
        try:
            return await hashing(self._access.identify, headers)
        finally:
            self._attempts.end(client)

    async def _later(self, scope: Scope, status: int, send: Send) -> None:
        """Too many passwords are being hashed: this one is not looked at."""
        self._denied("", scope["path"])
        when = (b"retry-after", str(RETRY_SECONDS).encode())
        await _answer(send, status, _said("error.too_many"), when)

    async def _sign_in_or_out(
        self, sign_in: SignIn, scope: Scope, headers: dict[str, str], send: Send
    ) -> None:
        """The addresses for signing in and out, which need no known user."""
        from audit_emit.console.threads import asking  # noqa: PLC0415 - an extra

        path = _below(scope)
        if (scope["method"] == "POST") != (path == "/logout") or _is_part_of_another_site(headers):
            await _answer(send, 405, _said("error.otherwise"))
            return
        if scope["method"] == "POST" and not _is_own(headers):
            await _answer(send, 403, _said("error.by_another_site"))
            return
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        knows = self._access.knows if self._access is not None else bool
        try:
            found = await asking(sign_in.answer, path, query, headers, knows)
        except TimeoutError:
            await _answer(send, 503, _said("error.provider_silent"))
            return
        if found.refused:
            self._denied("", scope["path"])
        if found.signed_in:
            self._signed_in(found.signed_in)
        await _answer(send, found.status, found.body.encode(), *found.headers)

    async def _refuse(self, scope: Scope, headers: dict[str, str], send: Send) -> None:
        if self._sign_in is not None and scope["method"] == "GET" and _is_page(headers):
            after = _below(scope) + ("?" if scope.get("query_string") else "")
            after += scope.get("query_string", b"").decode("latin-1")
            where = f"{scope.get('root_path', '')}/login?next={quote(after, safe='')}"
            await _answer(send, 303, _said("error.sign_in"), (b"location", where.encode()))
            return
        self._denied("", scope["path"])
        if self._access is None:
            await _answer(
                send,
                403,
                _said("error.loopback"),
            )
        elif self._access.proxy_header:
            await _answer(send, 403, _said("error.proxy_nobody"))
        elif self._sign_in is not None:
            await _answer(send, 401, _said("error.sign_in_browser"))
        else:
            challenge = (b"www-authenticate", b'Basic realm="audit-emit", charset="UTF-8"')
            await _answer(send, 401, _said("error.who"), challenge)

    def _token(self, cookie: str, identity: Identity) -> str:
        return hmac.digest(self._key, f"{cookie}\0{identity.name}".encode(), "sha256").hex()


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by name; several of one name are joined with commas (RFC 9110, section 5.2).

    If one hid the others, a client could send its own header beside that of a trusted proxy.
    """
    found: dict[str, str] = {}
    for raw, value in scope.get("headers", ()):
        name, text_of = raw.decode("latin-1").lower(), value.decode("latin-1")
        between = "; " if name == "cookie" else ", "
        found[name] = f"{found[name]}{between}{text_of}" if name in found else text_of
    return found


def _below(scope: Scope) -> str:
    """The path below the prefix of this console."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def _is_page(headers: dict[str, str]) -> bool:
    """Whether a browser is about to show the answer as a page."""
    return "text/html" in headers.get("accept", "")


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if ":" in host else host


def _is_own(headers: dict[str, str]) -> bool:
    """Whether a request that changes something comes from a page of this console."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None or origin == "null":
        # No browser leaves ``Origin`` out of a POST, so this is a program, which no site controls.
        return origin is None
    host = headers.get("x-forwarded-host", headers.get("host", ""))
    return origin.partition("://")[2] == host or origin.partition("://")[2] == headers.get("host")


def _is_part_of_another_site(headers: dict[str, str]) -> bool:
    """Whether a page of another site loads this as a part of itself; a link to here is allowed."""
    return headers.get("sec-fetch-site") in {"cross-site", "same-site"} and not (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _cookie_name(scope: Scope) -> str:
    """With a prefix no other host of the same site can set it (RFC 6265bis, section 4.1.3)."""
    whole = scope.get("scheme") == "https" and not scope.get("root_path")
    return f"__Host-{COOKIE}" if whole else COOKIE


def _cookie(header: str, wanted: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted and len(value) == 32 and value.isalnum():
            return value
    return ""


def _with_headers(send: Send, fresh: str, scope: Scope) -> Send:
    # Looked at now: a router below changes what the scope says of the prefix.
    more = list(HEADERS)
    cached = _ASKED_AGAIN if _below(scope).startswith("/static/") else _NOT_STORED
    if fresh:
        path = scope.get("root_path", "") or "/"
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{_cookie_name(scope)}={fresh}; Path={path}; HttpOnly; SameSite=Strict{secure}"
        more.append((b"set-cookie", cookie.encode("latin-1", "replace")))

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *more]
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append(cached)
            message = {**message, "headers": headers}
        await send(message)

    return sending


def _said(name: str) -> bytes:
    """A text of the catalogue, in English, as the answer to somebody who is refused."""
    return text(name).encode() + b"\n"


async def _answer(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [*HEADERS, _NOT_STORED, *more]
    if not any(name == b"content-type" for name, _ in more):
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
