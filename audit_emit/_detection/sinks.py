"""The receivers of alerts: the log itself, a command, a webhook."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from audit_emit._detection.alert import Alert
from audit_emit._detection.engine import RECORD
from audit_emit._runtime.threads import prepare_exit
from audit_emit._runtime.words import words_of
from audit_emit.errors import ConfigError, DatabaseError, DeliveryError, SinkError

COMMAND_SECONDS = 30.0
WEBHOOK_SECONDS = 10.0


def payload(alert: Alert) -> bytes:
    """An alert as one line of JSON, without its newline."""
    return msgspec.json.encode(alert.fields())


class Records:
    """Writes ``audit.anomaly`` into the log; what is there already is not written again.

    Args:
        record: appends a record about the log to its chain.
        known: ids of alerts that are records of the log, and may come again.
    """

    name = "records"

    def __init__(
        self, record: Callable[[str, dict[str, Any]], None], known: set[str] | None = None
    ) -> None:
        self._record = record
        self._known = known or set()

    def send(self, alert: Alert) -> None:
        """See ``Sink``."""
        if alert.id in self._known:
            self._known.discard(alert.id)
            return
        try:
            self._record(RECORD, alert.fields())
        except (SinkError, DatabaseError) as error:
            raise DeliveryError(f"the log cannot be written to ({error.reason})") from None


class Command:
    """Starts a program for each alert, which gets it as one line of JSON on its standard input.

    Args:
        words: the program and its arguments; no shell reads them.
        seconds: the time after which it is killed, and has failed.
    """

    def __init__(self, words: Sequence[str], seconds: float = COMMAND_SECONDS) -> None:
        self._words = list(words)
        self._seconds = seconds
        self.name = f"exec {self._words}"

    def send(self, alert: Alert) -> None:
        """See ``Sink``: it is taken when the program ends with 0."""
        shown = self._words[0]
        try:
            done = subprocess.run(  # noqa: S603 - what the operator asked for, without a shell
                self._words,
                input=payload(alert) + b"\n",
                stdout=subprocess.DEVNULL,
                timeout=self._seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeliveryError(f"{shown} took more than {self._seconds:.0f} s") from None
        except OSError as error:
            raise DeliveryError(f"{shown} cannot be started: {error.strerror}") from None
        if done.returncode:
            raise DeliveryError(f"{shown} ended with {done.returncode}")


class Webhook:
    """Posts each alert as JSON to an address; needs httpx (extra ``anomalies``).

    Redirects are not followed. An alert is taken when the answer has a status of 200 to 299; its
    ``id`` is also the header ``Idempotency-Key``, as an answer that does not come is no refusal.

    Args:
        url: ``https://…`` or ``http://…``.
        authorization: the value of the header of that name; empty for none.
        seconds: the most that one answer may take.

    Raises:
        ConfigError: it is no such address, or no value of a header.
        ModuleNotFoundError: httpx is missing.
    """

    def __init__(self, url: str, authorization: str = "", seconds: float = WEBHOOK_SECONDS) -> None:
        import httpx  # noqa: PLC0415 - an extra

        try:
            parts = urlsplit(url)
            port, host = parts.port or "", (parts.hostname or "").encode("idna").decode()
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL):
            raise ConfigError("webhook", "is no address: its host or its port is none") from None
        if parts.scheme not in {"http", "https"} or not host:
            raise ConfigError("webhook", "must be an address that begins with https:// or http://")
        if not (authorization.isascii() and authorization.isprintable()):
            raise ConfigError("webhook_authorization", "must be one line of ASCII characters")
        self._url = url
        self._seconds = seconds
        self._httpx = httpx
        headers = {"Content-Type": "application/json", "User-Agent": "audit-emit"}
        if authorization:
            headers["Authorization"] = authorization
        self._waiting: threading.Thread | None = None
        self._client = httpx.Client(timeout=seconds, headers=headers, follow_redirects=False)
        self._shown = host
        self.name = f"webhook {parts.scheme}://{host}:{port}{parts.path}"

    def send(self, alert: Alert) -> None:
        """See ``Sink``: in a thread, as a server can make each byte of its answer wait."""
        if self._waiting is not None and self._waiting.is_alive():
            raise DeliveryError(f"{self._shown} still has not answered")
        said: list[str] = []
        prepare_exit()
        self._waiting = threading.Thread(target=self._post, args=(alert, said), daemon=True)
        self._waiting.start()
        self._waiting.join(self._seconds)
        if not said:
            raise DeliveryError(f"{self._shown} took more than {self._seconds:g} s")
        if said[0]:
            raise DeliveryError(f"{self._shown} {said[0]}")

    def _post(self, alert: Alert, said: list[str]) -> None:
        """Send it; what went wrong is said, and nothing (an empty text) where it was taken."""
        try:
            # Of the answer only the status is looked at; its body may be of any length.
            with self._client.stream(
                "POST", self._url, content=payload(alert), headers={"Idempotency-Key": alert.id}
            ) as answer:
                status = answer.status_code
        except (self._httpx.HTTPError, ValueError) as error:
            said.append(f"did not answer: {words_of(error)}")
            return
        said.append("" if 200 <= status < 300 else f"answered {status}")

    def close(self) -> None:
        """Give back its connections."""
        self._client.close()
