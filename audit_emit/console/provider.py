"""The client of an OpenID provider: the address for signing in, and who has signed in.

Authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636). The exchange is
authlib's, the check of the ID token joserfc's (extra ``oidc``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from audit_emit._facade.text import words_of
from audit_emit.console.messages import text
from audit_emit.errors import ConfigError, SignInError

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Accepted signature algorithms of an ID token: neither with a shared secret nor ``none``."""

_SECONDS = 10.0
_LARGEST = 1024 * 1024
"""Bytes of one answer of a provider that are accepted at most."""

_KNOWN_SECONDS = 3600.0
_LEEWAY = 60
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Question(NamedTuple):
    """The random values of one attempt to sign in, which its answer must match.

    Attributes:
        state, nonce, verifier: OpenID Connect Core 1.0; RFC 7636 for the verifier.
    """

    state: str
    nonce: str
    verifier: str


class Provider:
    """One provider, to which this console is a confidential client.

    Args:
        issuer: its address, as its tokens name it.
        client_id, client_secret: of this console.
        claim: names the user in the ID token: ``email`` (which must be verified), ``sub``,
            ``preferred_username`` or any other one that is a text.

    Raises:
        ConfigError: an address is none, or not https beyond this machine.
        ModuleNotFoundError: the extra is not installed.
    """

    def __init__(self, issuer: str, client_id: str, client_secret: str, claim: str) -> None:
        _look_for_extra()
        checked("oidc", issuer)
        if not client_id or not client_secret:
            raise ConfigError("oidc", "needs a client id and its secret")
        self._issuer = issuer
        self._client = (client_id, client_secret)
        self._claim = claim
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, Any], dict[str, Any]] | None = None

    def address(self, asked: Question, back: str) -> str:
        """Where the browser goes to sign in.

        Args:
            back: the address to which it returns.

        Raises:
            SignInError: the provider gives no usable answer.
        """
        found, _ = self._metadata()
        with self._session(back) as session:
            url, _ = session.create_authorization_url(
                _address(found, "authorization_endpoint"),
                state=asked.state,
                nonce=asked.nonce,
                code_verifier=asked.verifier,
            )
        return str(url)

    def user(self, asked: Question, code: str, back: str) -> str:
        """Who has signed in.

        Args:
            code: that the browser brought.

        Returns:
            The value of the claim.

        Raises:
            SignInError: the provider refuses the code, or its ID token is not valid.
        """
        found, keys = self._metadata()
        where = _address(found, "token_endpoint")
        try:
            with self._session(back) as session:
                answer = session.fetch_token(where, code=code, code_verifier=asked.verifier)
        except Exception as error:  # noqa: BLE001 - authlib takes httpx2 where it is, else httpx
            raise SignInError(text("sign_in.no_code", why=type(error).__name__)) from None
        token = answer.get("id_token") if isinstance(answer, Mapping) else None
        if not isinstance(token, str):
            raise SignInError(text("sign_in.no_token"))
        try:
            claims = self._claims(token, keys, asked.nonce)
        except SignInError:
            # Its keys may have changed since they were fetched (OpenID Connect Core 1.0, 10.1.1).
            with self._lock:
                self._known = None
            _, newer = self._metadata()
            if newer == keys:
                raise
            claims = self._claims(token, newer, asked.nonce)
        return self._named(claims)

    def _session(self, back: str) -> Any:
        from authlib.integrations.httpx_client import (  # type: ignore[import-untyped] # noqa: PLC0415
            OAuth2Client,
        )

        return OAuth2Client(
            *self._client,
            scope="openid email profile",
            redirect_uri=back,
            code_challenge_method="S256",
            timeout=_SECONDS,
            headers=_PLAIN,
            event_hooks=_BOUNDED,
        )

    def _metadata(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The provider's published configuration, and its keys (OpenID Connect Discovery 1.0)."""
        with self._lock:
            known = self._known
        if known is not None and time.monotonic() - known[0] < _KNOWN_SECONDS:
            return known[1], known[2]
        found = self._got(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise SignInError(text("sign_in.other_name"))
        keys = self._got(_address(found, "jwks_uri"))
        with self._lock:
            self._known = (time.monotonic(), found, keys)
        return found, keys

    def _got(self, url: str) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 - an extra

        try:
            with httpx.Client(timeout=_SECONDS, headers=_PLAIN, event_hooks=_BOUNDED) as client:
                answer = client.get(url)
                answer.raise_for_status()
                found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise SignInError(text("sign_in.no_answer", why=_why(error))) from None
        if not isinstance(found, dict):
            raise SignInError(text("sign_in.something_else"))
        return found

    def _claims(self, token: str, keys: dict[str, Any], nonce: str) -> dict[str, Any]:
        from joserfc import jwk, jwt  # noqa: PLC0415 - an extra
        from joserfc.errors import JoseError  # noqa: PLC0415

        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client[0]},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            found = jwt.decode(token, jwk.KeySet(_usable(keys)), algorithms=ALGORITHMS)
            rules.validate(found.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise SignInError(text("sign_in.bad_token", why=type(error).__name__)) from None
        if found.claims.get("azp", self._client[0]) != self._client[0]:
            raise SignInError(text("sign_in.other_client"))
        return dict(found.claims)

    def _named(self, claims: Mapping[str, Any]) -> str:
        value = claims.get(self._claim)
        if not isinstance(value, str) or not value:
            raise SignInError(text("sign_in.no_claim", claim=self._claim))
        if self._claim == "email" and claims.get("email_verified") is not True:
            raise SignInError(text("sign_in.not_verified"))
        return value


def _bound(response: Any) -> None:
    """Bound the size of an answer, and the time for reading it."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise SignInError(text("sign_in.something_else"))
    inner, end = response.stream, time.monotonic() + _SECONDS
    # The class of the library that authlib has imported, httpx or httpx2.
    (kind,) = (one for one in type(inner).__mro__ if one.__name__ == "SyncByteStream")

    class Bounded(kind):  # type: ignore[misc, valid-type]
        def __iter__(self) -> Iterator[bytes]:
            size = 0
            for piece in inner:
                size += len(piece)
                if size > _LARGEST or time.monotonic() > end:
                    raise SignInError(text("sign_in.something_else"))
                yield piece

        def close(self) -> None:
            inner.close()

    response.stream = Bounded()


_BOUNDED = {"response": [_bound]}
_PLAIN = {"accept-encoding": "identity"}


def _why(error: Exception) -> str:
    """Why there is no usable answer, without what the answer says."""
    import httpx  # noqa: PLC0415 - an extra

    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return words_of(error) if isinstance(error, httpx.TransportError) else "it is no JSON"


def _look_for_extra() -> None:
    """Raise where a package is missing when the console starts, not when somebody signs in."""
    try:
        import authlib.integrations.httpx_client  # type: ignore[import-untyped] # noqa: F401, PLC0415
        import joserfc  # noqa: F401, PLC0415
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            f"OpenID Connect needs {missing.name}: pip install 'audit-emit[oidc]'",
            name=missing.name,
        ) from missing


def _usable(published: Mapping[str, Any]) -> list[Any]:
    """The keys of a set, without those that are not understood here (RFC 7517, section 5)."""
    from joserfc import jwk  # noqa: PLC0415 - an extra
    from joserfc.errors import JoseError  # noqa: PLC0415

    found: list[Any] = []
    keys = published.get("keys")
    for one in keys if isinstance(keys, list) else ():
        with suppress(JoseError, ValueError, TypeError, KeyError):
            found += jwk.KeySet.import_key_set({"keys": [one]}).keys
    return found


def checked(name: str, url: str) -> str:
    """An address that is configured, to which a browser or the console is sent.

    Raises:
        ConfigError: it is none, or not https beyond this machine.
    """
    if not _is_safe(url):
        raise ConfigError(name, "needs an address that begins with https://")
    if "?" in url:
        raise ConfigError(name, "needs an address without a query")
    return url


def _is_safe(url: str) -> bool:
    """Whether it is an address, with TLS beyond this machine, and without a password in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    near = parts.scheme == "http" and parts.hostname in _LOOPBACK
    return bool(parts.hostname and not parts.username and (parts.scheme == "https" or near))


def _address(found: Mapping[str, Any], name: str) -> str:
    """An address of the provider; it may have a query, which stays (RFC 6749, section 3.1)."""
    value = found.get(name)
    if not isinstance(value, str) or not _is_safe(value):
        raise SignInError(text("sign_in.no_address", name=name))
    return value
