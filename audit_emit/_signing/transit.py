"""Keys in the transit engine of OpenBao or Vault, with the standard library.

``openbao:NAME?version=1`` and ``vault:NAME?version=1``: the address and the token are those that
the command lines of both read (``BAO_ADDR`` or ``VAULT_ADDR``, ``BAO_TOKEN`` or ``VAULT_TOKEN``,
also ``_CACERT`` and ``_NAMESPACE``), or the token is in a file (``token-source``). The version is
demanded: a key that was rotated would sign with its newest version unasked.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import os
import re
import ssl
import time
from contextlib import closing, suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from audit_emit._signing.remote import Held
from audit_emit._signing.secret_files import read_secret
from audit_emit._signing.uris import Parts
from audit_emit.errors import ConfigError, SignerError

PARAMETERS: tuple[str, ...] = ("version", "mount", "token-source")

_LONGEST = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MOUNT = re.compile(rf"{_NAME.pattern}(/{_NAME.pattern}){{0,7}}")
_TOKEN = re.compile(r"[!-~]{1,4096}")


class TransitClient(NamedTuple):
    """What asks one transit engine.

    Attributes:
        name: of the product, for people.
        token: is sent with each request; with ``token_file``, the content of that file then.
        authority: a file of certificates; empty for those of the system.
    """

    name: str
    mount: str
    address: str
    token: str
    token_file: str
    authority: str
    namespace: str

    def __repr__(self) -> str:
        return f"TransitClient({self.name}, {self.mount})"

    def asked(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float
    ) -> dict[str, Any]:
        """The member ``data`` of an answer. Redirects are not followed: the token is not theirs.

        Raises:
            SignerError: it is a refusal, or none.
            OSError: there is no server, or not in time.
        """
        token = self.token
        if self.token_file:
            try:
                token = read_secret(self.token_file)
            except ValueError as error:
                raise SignerError("refused", f"{self.name}: {error}") from None
        headers = {"X-Vault-Token": token, "Content-Type": "application/json"}
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        deadline = time.monotonic() + timeout
        with closing(self._connection(timeout)) as connection:
            try:
                content = None if body is None else json.dumps(body)
                connection.request(method, f"/v1/{self.mount}/{path}", content, headers)
                with connection.getresponse() as answer:
                    data = _received(answer, deadline)
            except (http.client.HTTPException, ValueError):
                raise SignerError("refused", f"{self.name} gave an answer that is none") from None
        if answer.status != 200:
            raise SignerError("refused", f"{self.name} answered with status {answer.status}")
        try:
            found = json.loads(data)["data"]
        except (KeyError, TypeError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise SignerError("refused", f"{self.name} gave an answer that is none")
        return found

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port or 8200, timeout=timeout)
        context = ssl.create_default_context(cafile=self.authority or None)
        return http.client.HTTPSConnection(host, port or 8200, timeout=timeout, context=context)


class Transit(NamedTuple):
    """One version of one key that signs; see ``Service``."""

    client: TransitClient
    key: str
    version: int

    @property
    def name(self) -> str:
        """See ``Service``."""
        return self.client.name

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:  # noqa: ARG002 - the key is named
        """See ``Service``."""
        body = {"input": base64.b64encode(text).decode(), "key_version": self.version}
        found = self.client.asked("POST", f"sign/{self.key}", body, timeout)
        signed = found.get("signature")
        before, _, encoded = (signed if isinstance(signed, str) else "").rpartition(":")
        if before.partition(":")[2] != f"v{self.version}":
            raise SignerError("refused", f"{self.name} signed with another version of the key")
        with suppress(binascii.Error):
            return base64.b64decode(encoded, validate=True)
        raise SignerError("refused", f"{self.name} gave a signature that is none")

    def keys(self, timeout: float) -> list[Held]:
        """See ``Service``."""
        found = self.client.asked("GET", f"keys/{self.key}", None, timeout)
        versions = found.get("keys")
        one = versions.get(str(self.version)) if isinstance(versions, dict) else None
        encoded = one.get("public_key") if isinstance(one, dict) else None
        if found.get("type") != "ed25519" or not isinstance(encoded, str):
            return []
        with suppress(binascii.Error):
            return [Held(base64.b64decode(encoded), f"{self.key}, version {self.version}")]
        return []


def service(name: str, parts: Parts) -> Transit:
    """See ``uris``."""
    version = parts.parameters.get("version", "")
    if not re.fullmatch("[1-9][0-9]{0,8}", version):
        raise ConfigError(
            name, "needs version=…: a rotated key would sign with another one unasked"
        )
    client, key = client_of(name, parts)
    return Transit(client, key, int(version))


def client_of(name: str, parts: Parts) -> tuple[TransitClient, str]:
    """What asks the engine that a URI names, and the name of the key.

    Raises:
        ConfigError: it names none, or the environment has no address or token.
    """
    product = {"openbao": "OpenBao", "vault": "Vault"}[parts.scheme]
    key, given = unquote(parts.where), parts.parameters
    mount = given.get("mount", "transit")
    if not _NAME.fullmatch(key) or not _MOUNT.fullmatch(mount):
        raise ConfigError(name, f"names no key of {product}: {parts.scheme}:NAME?…")
    address = _variable("ADDR")
    try:
        split = urlsplit(address)
        plain = split.scheme in {"http", "https"} and split.hostname and (split.port or 1)
        plain = plain and not (split.username or split.password or split.query)
    except ValueError:
        plain = False
    if not plain:
        raise ConfigError(
            name, f"needs the address of {product} in BAO_ADDR or VAULT_ADDR, as a URL"
        )
    source = given.get("token-source", "").removeprefix("file:")
    token = _variable("TOKEN")
    if not source and not _TOKEN.fullmatch(token):
        raise ConfigError(name, "needs a token: BAO_TOKEN or VAULT_TOKEN, or token-source=file:/…")
    authority, namespace = _variable("CACERT"), _variable("NAMESPACE")
    client = TransitClient(product, mount, address, token, source, authority, namespace)
    return client, key


def _variable(name: str) -> str:
    return os.environ.get(f"BAO_{name}") or os.environ.get(f"VAULT_{name}") or ""


def _received(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    data = b""
    while more := answer.read1(_LONGEST):
        data += more
        if len(data) > _LONGEST:
            raise ValueError("too long")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer did not come to its end")
    return data
