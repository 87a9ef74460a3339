"""HTTP requests to Loki: address, credentials, timeouts, retries, and the errors that can occur.

The only module that imports httpx (extra ``loki``). No message and no ``repr`` contains a
credential. Redirects are not followed, so that credentials and records go only to the address that
was configured.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypedDict

import httpx

from audit_emit._runtime.words import words_of
from audit_emit.errors import (
    ConfigError,
    Limited,
    LokiError,
    Malformed,
    Refused,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unreachable,
)

MAX_BODY = 32 * 1024 * 1024
"""The largest answer that is read, in bytes."""

TRIES = 5
MAX_WAIT = 30.0
"""The longest wait before another try, in seconds; if the server asks for more, the try fails."""

_SHOWN = 400
_SLICE = 64 * 1024
_PLAIN = re.compile(r"[!-~]+")
_WRONG_URL = "must be the address of Loki, such as http://loki:3100"


class Options(TypedDict, total=False):
    """The keyword arguments of ``Connection``."""

    tenant: str | None
    username: str | None
    password: str | None
    token: str | None
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    timeout: float
    sleep: Callable[[float], None]


class Connection:
    """Requests to one Loki, as one tenant.

    Args:
        url: an ``http`` or ``https`` address, with the path before ``/loki`` if there is one; user
            and password in it are used and never shown.
        tenant: the value of ``X-Scope-OrgID``.
        username, password: for basic authentication.
        token: a bearer token, instead of user and password.
        ca_file: a PEM file with the certificate authorities to trust, instead of the system's.
        cert_file, key_file: PEM files with the certificate of this client and its key; both may be
            in one file.
        timeout: the most seconds for one answer.
        sleep: called to wait before another try.

    Raises:
        ConfigError: an argument cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        tenant: str | None = None,
        username: str | None = None,
        password: str | None = None,
        token: str | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        timeout: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url, userinfo = _parsed(url)
        if userinfo is not None:
            if username or password or token:
                raise ConfigError("loki", "credentials are given twice: in the URL and beside it")
            username, password = userinfo
        if token and username:
            raise ConfigError("loki", "give a token or a user and a password, not both")
        if password and not username:
            raise ConfigError("loki", "a password needs a username beside it")
        # Without this Loki answers from its cache that a range is empty, even if late records
        # have arrived in it since.
        headers = {
            "User-Agent": "audit-emit",
            "Accept": "application/json",
            "Cache-Control": "no-cache",
        }
        if tenant:
            headers["X-Scope-OrgID"] = _plain("tenant", tenant)
        if token:
            headers["Authorization"] = f"Bearer {_plain('token', token)}"
        auth = httpx.BasicAuth(username, password or "") if username else None
        self._secrets = [secret for secret in (token, password) if secret]
        self._sleep, self._timeout = sleep, timeout
        verify = _verification(self.url, ca_file, cert_file, key_file)
        self._client = httpx.Client(headers=headers, auth=auth, timeout=timeout, verify=verify)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        """Send a GET request; after 429 and 5xx try again, up to ``TRIES`` times in all.

        Raises:
            LokiError: see its subclasses.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self.once("GET", path, params=params, headers=headers)
            except (Limited, ServerFailed) as error:
                wait = error.retry_after
                wait = 0.25 * 2**attempt if wait is None else wait
                if attempt == TRIES or wait > MAX_WAIT or error.status == 501:
                    raise
                self._sleep(wait)
        raise AssertionError("unreachable")

    def once(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> bytes:
        """Send one request, and return the body of the answer.

        Raises:
            LokiError: see its subclasses.
        """
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        try:
            with self._client.stream(
                method, self.url + path, params=params, headers=headers, content=content
            ) as response:
                for chunk in response.iter_bytes(_SLICE):
                    body += chunk
                    if time.monotonic() > deadline:
                        raise self._timed_out()
                    if len(body) > MAX_BODY:
                        raise TooLarge(
                            f"Loki at {self.url} answers with more than {MAX_BODY >> 20} MiB"
                        )
        except httpx.TimeoutException:
            raise self._timed_out() from None
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            raise Malformed(
                f"Loki at {self.url} sent an answer that cannot be read: {error}"
            ) from None
        except httpx.TransportError as error:
            raise Unreachable(f"Loki at {self.url} cannot be reached: {words_of(error)}") from None
        if response.is_success:
            return bytes(body)
        raise self._refused(response, bytes(body))

    def _timed_out(self) -> TimedOut:
        return TimedOut(f"Loki at {self.url} did not answer within {self._timeout:g} s")

    def _refused(self, response: httpx.Response, body: bytes) -> LokiError:
        status = response.status_code
        if response.is_redirect:
            # A ``Location`` that is not a URL has raised RemoteProtocolError in httpx before.
            target = response.url.join(response.headers.get("Location", ""))
            place = f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}"
            return Malformed(
                f"Loki at {self.url} answers with a redirect ({status}) to {place}, which is not "
                "followed; name the address of Loki itself"
            )
        text = body.decode("utf-8", "replace").strip()
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        message = f"Loki at {self.url} refused with status {status}"
        message += f": {shown}" if shown else ""
        if status == 401 and "no org id" in text:
            message += "; it needs a tenant (--tenant, AUDIT_EMIT_LOKI_TENANT)"
        kind = Limited if status == 429 else ServerFailed if status >= 500 else Refused
        return kind(message, status=status, body=text, retry_after=_retry_after(response))


def _parsed(url: str) -> tuple[str, tuple[str, str] | None]:
    """Split a URL into the address, without a trailing slash, and user and password."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise ConfigError("loki", _WRONG_URL) from None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise ConfigError("loki", _WRONG_URL)
    userinfo = (parsed.username, parsed.password) if parsed.userinfo else None
    return str(parsed.copy_with(userinfo=b"")).rstrip("/"), userinfo


def _verification(
    url: str, ca_file: str | None, cert_file: str | None, key_file: str | None
) -> ssl.SSLContext | bool:
    """The TLS context for an address: which authorities to trust, which certificate to present.

    Raises:
        ConfigError: a file cannot be used, or has no effect with this address.
    """
    if not url.startswith("https:"):
        if ca_file or cert_file or key_file:
            raise ConfigError("loki", "certificates are of no use with an address of http://")
        return False  # loading the system's certificates takes longer than most queries
    if key_file and not cert_file:
        raise ConfigError("loki", "a key needs its certificate beside it")
    if not (ca_file or cert_file):
        return True
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError("loki", f"the CA file cannot be used: {_reason(error)}") from None
    if cert_file:
        try:
            # Without a password OpenSSL would ask for that of an encrypted key on the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except OSError as error:
            raise ConfigError(
                "loki", f"the client certificate cannot be used: {_reason(error)}"
            ) from None
    return context


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _plain(what: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise ConfigError("loki", f"the {what} must be printable ASCII without spaces")
    return value


def _retry_after(response: httpx.Response) -> float | None:
    """``Retry-After`` in seconds; it may be a number or a date (RFC 9110, section 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
