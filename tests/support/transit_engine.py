"""A transit engine for the tests, written to the API documentation of OpenBao and Vault.

It is neither of them: it has ``datakey/plaintext/:name`` and ``decrypt/:name`` for one key, and
says no to everything else. A real one (``support/openbao.py``) is not on every machine.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.http_served import serving

from audit_emit._runtime.http_server import Answer, Request


class TransitEngine:
    """One key that encrypts, by the name ``audit``.

    Attributes:
        seen: the paths that were asked for.
        refuses: whether it answers 403 to everything.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.refuses = False
        self._key = os.urandom(32)

    def answer(self, request: Request) -> Answer:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.seen.append(request.path)
        if self.refuses:
            return _said(403, {"errors": ["permission denied"]})
        body = json.loads(request.body)
        if request.path == "/v1/transit/datakey/plaintext/audit":
            plain, nonce = os.urandom(body["bits"] // 8), os.urandom(12)
            made = nonce + AESGCM(self._key).encrypt(nonce, plain, None)
            ciphertext = f"vault:v1:{base64.b64encode(made).decode()}"
            return _data({"plaintext": base64.b64encode(plain).decode(), "ciphertext": ciphertext})
        if request.path == "/v1/transit/decrypt/audit":
            found = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"))
            try:
                plain = AESGCM(self._key).decrypt(found[:12], found[12:], None)
            except InvalidTag:
                return _said(400, {"errors": ["cipher: message authentication failed"]})
            return _data({"plaintext": base64.b64encode(plain).decode()})
        return _said(404, {"errors": []})


def _data(data: dict[str, Any]) -> Answer:
    return _said(200, {"request_id": "x", "data": data})


def _said(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(body).encode(), "application/json")


@contextmanager
def answering(engine: TransitEngine) -> Iterator[str]:
    """Its address."""
    with serving(engine.answer, most=1 << 16) as server:
        yield server.url
