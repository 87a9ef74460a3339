"""Signing in by OpenID Connect: three addresses in front of the pages, and a session in a cookie.

The session has the name of a user and its end, signed with a key of this process: a restart of the
console signs everybody out. Signing out ends the session for every copy of its cookie. The tokens
of the provider are not kept.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from audit_emit.console.messages import text
from audit_emit.console.provider import Provider, Question, checked
from audit_emit.errors import SignInError

SESSION = "audit_console_session"
ASKED = "audit_console_asked"
SESSION_SECONDS = 8 * 3600
_ASKED_SECONDS = 600
_LONGEST = 3000
_PATHS = frozenset({"/login", "/callback", "/logout"})


class Answer(NamedTuple):
    """An answer to a browser.

    Attributes:
        status: of HTTP; ``headers``: besides those that every answer has.
        body: text for people.
        signed_in: the user who has just signed in; empty for nobody.
        refused: somebody was not let in.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: str = ""
    signed_in: str = ""
    refused: bool = False


class SignIn:
    """Sign-in with a provider.

    Args:
        issuer, client_id, client_secret, claim: see ``Provider``.
        url: the address of this console as browsers see it, with its prefix; ``URL/callback`` must
            be registered with the provider.

    Raises:
        ConfigError: an address is none.
        ModuleNotFoundError: the extra ``oidc`` is not installed.
    """

    def __init__(
        self, *, issuer: str, client_id: str, client_secret: str, url: str, claim: str = "email"
    ) -> None:
        self._provider = Provider(issuer, client_id, client_secret, claim)
        self._url = checked("url", url).rstrip("/")
        # With a prefix no other host of the same site can set them (RFC 6265bis, section 4.1.3).
        path = self._url.partition("://")[2].partition("/")[2]
        prefix = ("__Secure-" if path else "__Host-") if self._url.startswith("https:") else ""
        self._session, self._asked = prefix + SESSION, prefix + ASKED
        self._key = os.urandom(32)
        self._lock = threading.Lock()
        self._signed_out: dict[str, int] = {}

    def serves(self, path: str) -> bool:
        """Whether an address below the console's prefix is one of its own."""
        return path in _PATHS

    def name_of(self, headers: Mapping[str, str]) -> str:
        """The user of a valid session; empty for none."""
        found = self._opened(_cookie(headers, self._session), "session")
        return str(found["name"]) if found and found["id"] not in self._signed_out else ""

    def answer(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str], known: Any
    ) -> Answer:
        """The answer to one of its own addresses. It waits for the provider.

        Args:
            known: whether a name is that of a user of this console.
        """
        try:
            if path == "/login":
                return self._begun(query.get("next", ""))
            if path == "/callback":
                return self._ended(query, headers, known)
        except SignInError as error:
            return Answer(
                403,
                [self._no_cookie(self._asked)],
                text("sign_in.not_signed_in", why=error) + "\n",
                refused=True,
            )
        self._sign_out(headers)
        gone = [self._no_cookie(self._session), (b"content-type", b"text/html; charset=utf-8")]
        again = escape(f"{self._url}/login", quote=True)
        said, link = map(escape, (text("sign_in.signed_out"), text("sign_in.again")))
        return Answer(200, gone, f'<!doctype html><p>{said} <a href="{again}">{link}</a>\n')

    def _begun(self, after: str) -> Answer:
        asked = Question(*(secrets.token_urlsafe(32) for _ in range(3)))
        where = self._provider.address(asked, f"{self._url}/callback")
        kept = {**asked._asdict(), "next": _local(after)}
        cookie = self._cookie(
            self._asked, self._sealed(kept, "asked", _ASKED_SECONDS), _ASKED_SECONDS
        )
        return Answer(303, [(b"location", where.encode()), cookie])

    def _ended(self, query: Mapping[str, str], headers: Mapping[str, str], known: Any) -> Answer:
        kept = self._opened(_cookie(headers, self._asked), "asked")
        if not kept:
            raise SignInError(text("sign_in.not_asked"))
        asked = Question(*(str(kept[one]) for one in Question._fields))
        if not hmac.compare_digest(query.get("state", "").encode(), asked.state.encode()):
            raise SignInError(text("sign_in.other_answer"))
        if not query.get("code"):
            raise SignInError(text("sign_in.refused"))
        name = self._provider.user(asked, query["code"], f"{self._url}/callback")
        if not known(name):
            raise SignInError(text("sign_in.no_user"))
        kept_as = {"name": name, "id": secrets.token_urlsafe(16)}
        session = self._sealed(kept_as, "session", SESSION_SECONDS)
        where = f"{self._url}{kept['next']}".encode("ascii", "ignore")
        cookies = [
            self._cookie(self._session, session, SESSION_SECONDS),
            self._no_cookie(self._asked),
        ]
        return Answer(303, [(b"location", where), *cookies], signed_in=name)

    def _sign_out(self, headers: Mapping[str, str]) -> None:
        """End a session for every copy of its cookie; remembered until it would have expired."""
        found = self._opened(_cookie(headers, self._session), "session")
        if found:
            with self._lock:
                going_on = {
                    name: until for name, until in self._signed_out.items() if until > time.time()
                }
                self._signed_out = {**going_on, found["id"]: found["until"]}

    def _sealed(self, what: Mapping[str, str], purpose: str, seconds: int) -> str:
        plain = json.dumps({**what, "until": int(time.time()) + seconds}).encode()
        data = base64.urlsafe_b64encode(plain).decode().rstrip("=")
        return f"{data}.{self._signature(data, purpose)}"

    def _opened(self, sealed: str, purpose: str) -> dict[str, Any] | None:
        data, _, signature = sealed.partition(".")
        if not data or len(sealed) > _LONGEST:
            return None
        if not hmac.compare_digest(signature.encode(), self._signature(data, purpose).encode()):
            return None
        try:
            found = json.loads(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)))
        except (binascii.Error, ValueError):
            return None
        return found if found["until"] > time.time() else None

    def _signature(self, data: str, purpose: str) -> str:
        return hmac.digest(self._key, f"{purpose}\0{data}".encode(), "sha256").hex()

    def _cookie(self, name: str, value: str, seconds: int) -> tuple[bytes, bytes]:
        # Lax: with Strict, browsers would not send the cookie on the way back from the provider.
        path = "/" + self._url.partition("://")[2].partition("/")[2]
        secure = "; Secure" if self._url.startswith("https:") else ""
        made = f"{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        return b"set-cookie", made.encode("latin-1", "ignore")

    def _no_cookie(self, name: str) -> tuple[bytes, bytes]:
        return self._cookie(name, "", 0)


def _local(path: str) -> str:
    """A path within this console; one that could lead elsewhere becomes its first page."""
    plain = path.isascii() and path.isprintable() and not set(path) & set("\\\"' <>")
    good = path.startswith("/") and not path.startswith("//") and plain and len(path) < 1000
    return path if good else "/"


def _cookie(headers: Mapping[str, str], name: str) -> str:
    for part in headers.get("cookie", "").split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value
    return ""
