"""A key that is elsewhere: in an agent, a token or a key service, which sign on request.

The public half is pinned, and every signature is verified with it before it is used. So a service
that was set to another key, or was replaced, signs nothing here. A request has a time-out for
everything together. After a failure further requests are refused for a while, longer each time, so
that a signer that tries once a second does not call a service that is down once a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from audit_emit._runtime.threads import Background
from audit_emit._signing.signers import Ed25519Key
from audit_emit.errors import SignerError

__all__ = ["Held", "RemoteKey", "Service", "said"]

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds without a request after a failure: the shortest, doubled up to the longest."""


class Held(NamedTuple):
    """A key that a service holds: its public half, 32 bytes, and what it is called there."""

    public: bytes
    name: str


class Service(Protocol):
    """What signs with keys that it does not give away. Each method opens what it needs anew.

    Attributes:
        name: how messages call the service; never with a secret.
    """

    @property
    def name(self) -> str: ...

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:
        """The Ed25519 signature over ``text``, 64 bytes.

        Args:
            public: the public half of the key that is to sign, for services with several.
            text: at most 4,096 bytes.
            timeout: seconds for each answer of the service.

        Raises:
            SignerError: it gave none.
            OSError: it cannot be reached.
        """
        ...

    def keys(self, timeout: float) -> list[Held]:
        """The public keys that the service has for this name, so that a person can pin one."""
        ...


class RemoteKey(Ed25519Key):
    """An Ed25519 key whose private half is in a service.

    Args:
        service: signs.
        public: the pinned public half, 32 bytes.
        timeout: seconds for one signature.
        clock: seconds, as ``time.monotonic``.

    Raises:
        ValueError: the public half is none, or a point of small order.
    """

    def __init__(
        self,
        service: Service,
        public: bytes,
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(public)
        self.secret = True
        self._service = service
        self._timeout = timeout
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        """Anew in a forked child: it has none of the threads, and its locks may be held."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread: Background | None = None
        self._not_before = 0.0
        self._pause = 0.0

    def sign(self, text: bytes) -> bytes:
        """See ``Key``.

        Raises:
            SignerError: the service did not sign, not in time, or not with the pinned key.
        """
        if self._pid != os.getpid():
            self._begin()
        if not self._lock.acquire(timeout=self._timeout):
            raise SignerError("timeout", f"{self._service.name} is at an earlier signature")
        try:
            left = self._not_before - self._clock()
            if left > 0:
                raise SignerError(
                    "backing-off", f"{self._service.name} failed; it is asked again in {left:.0f} s"
                )
            try:
                signature = self._asked(text)
            except SignerError:
                self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE)
                self._not_before = self._clock() + self._pause
                raise
            self._pause = 0.0
            return signature
        finally:
            self._lock.release()

    def _asked(self, text: bytes) -> bytes:
        name = self._service.name
        if self._thread is not None and self._thread.is_alive():
            raise SignerError("timeout", f"an earlier request to {name} has not come back")
        outcome: list[bytes | Exception] = []

        def ask() -> None:
            try:
                outcome.append(self._service.sign(self.public, text, self._timeout))
            except Exception as error:  # noqa: BLE001 - it is raised again by who waits
                outcome.append(error)

        thread = self._thread = Background()
        try:
            thread.start(ask)
        except RuntimeError:
            ask()  # the interpreter shuts down: there is nobody to wait but us
        thread.join(self._timeout)
        if not outcome:
            raise SignerError("timeout", f"{name} did not answer within {self._timeout:g} s")
        found = outcome[0]
        if isinstance(found, SignerError):
            raise found
        if isinstance(found, Exception):
            raise SignerError("unreachable", f"{name}: {said(found)}") from None
        if len(found) != 64 or not self.verify(text, found):
            raise SignerError("bad-signature", f"{name} did not sign with the pinned key")
        return found

    def __repr__(self) -> str:
        return f"RemoteKey({self._service.name}, {self.fingerprint})"


def said(error: Exception) -> str:
    """A failure in words, without the parts of a request that a library may quote."""
    text = ""
    with suppress(Exception):
        text = (isinstance(error, OSError) and error.strerror) or ""
    return text or type(error).__name__
