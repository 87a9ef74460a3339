"""Keys by URI: ``file:``, ``ssh-agent:``, ``pkcs11:``, ``awskms:``, ``openbao:`` and ``vault:``.

``<scheme>:<where>?<name>=<value>&…``. All but ``file:`` need ``public``, the pinned public half as
base64 (also that for addresses) of 32 bytes, and may have ``timeout``, in seconds. A password is
refused wherever it stands: a URI is in the environment, in a list of processes, in a log of a
shell. No message repeats a URI.
"""

from __future__ import annotations

import base64
import binascii
import re
from importlib import import_module
from typing import NamedTuple
from urllib.parse import unquote

from audit_emit._runtime.interrupts import let_through
from audit_emit._signing.remote import Held, RemoteKey, Service, said
from audit_emit.errors import ConfigError, SignerError

__all__ = ["Parts", "is_uri", "parts_of", "path_of", "remote_key"]

_MODULES = {
    "ssh-agent": "ssh_agent",
    "pkcs11": "pkcs11",
    "awskms": "aws_kms",
    "openbao": "transit",
    "vault": "transit",
}
"""Each module has ``service(name, parts)``, and the names of its parameters in ``PARAMETERS``."""

FILE = "file:"
_URI = re.compile(rf"({'|'.join(_MODULES)}):(.*)", re.DOTALL)
_SECRETS = ("pin-value", "password", "passwd", "secret", "token", "secret_access_key")
_OURS = ("public", "timeout")
_PUBLIC = 32
TIMEOUT = 5.0
_LONGEST = 60.0


class Parts(NamedTuple):
    """A URI taken apart.

    Attributes:
        scheme: of those above.
        where: what stands between it and the question mark, escapes and all.
        parameters: by name, with their escapes undone.
    """

    scheme: str
    where: str
    parameters: dict[str, str]


def is_uri(text: str) -> bool:
    """Whether a source of a key is a URI, and neither a key nor a file."""
    return _URI.fullmatch(text) is not None or text.startswith(FILE)


def path_of(name: str, uri: str) -> str:
    """The path in ``file:…``.

    Raises:
        ConfigError: it names another host, or has parameters.
    """
    path = uri.removeprefix(FILE)
    if path.startswith("//"):
        path = path[2:].removeprefix("localhost")
        if not path.startswith("/"):
            raise ConfigError(name, "is a file: of another host; write file:/path/of/the/key")
    if not path or "?" in path:
        raise ConfigError(name, "is a file: without a path, or with parameters")
    return unquote(path)


def remote_key(name: str, uri: str) -> RemoteKey:
    """The key behind a URI. Its service is called only if the URI pins no public key.

    Args:
        name: the name of the setting, for the error message.

    Raises:
        ConfigError: it cannot be used, or does not pin the public key; the message then has what
            the service says.
    """
    parts = parts_of(name, uri)
    module = import_module(f"audit_emit._signing.{_MODULES[parts.scheme]}")
    unknown = sorted(parts.parameters.keys() - {*_OURS, *module.PARAMETERS})
    if unknown:
        allowed = ", ".join((*_OURS, *module.PARAMETERS))
        raise ConfigError(
            name, f"has a parameter that {parts.scheme}: has not; there are: {allowed}"
        )
    timeout = timeout_of(name, parts.parameters.get("timeout"))
    service: Service = module.service(name, parts)
    given = parts.parameters.get("public", "")
    if not given:
        raise ConfigError(name, f"pins no public key; {_offer(service, timeout)}")
    try:
        return RemoteKey(service, _public(given), timeout=timeout)
    except ValueError:
        raise ConfigError(
            name, "has a public that is not base64 of the 32 bytes of an Ed25519 key"
        ) from None


def parts_of(name: str, uri: str) -> Parts:
    """A URI taken apart.

    Raises:
        ConfigError: it is none, or holds a secret.
    """
    found = _URI.fullmatch(uri)
    if found is None:
        raise ConfigError(name, "is no URI of a key")
    where, _, query = found[2].partition("?")
    parameters: dict[str, str] = {}
    for each in filter(None, query.split("&")):
        key, _, value = each.partition("=")
        key = unquote(key)
        if key in _SECRETS:
            raise ConfigError(name, _NO_SECRETS)
        if key in parameters:
            raise ConfigError(name, "has a parameter twice")
        parameters[key] = unquote(value)
    if "@" in where or any(f"{secret}=" in where for secret in _SECRETS[:2]):
        raise ConfigError(name, _NO_SECRETS)
    return Parts(found[1], where, parameters)


_NO_SECRETS = (
    "holds a password or a token, which others could see; name a file instead "
    "(pin-source=file:/…, token-source=file:/…) or use the environment of the service"
)


def timeout_of(name: str, text: str | None) -> float:
    """The seconds that a URI gives its service for everything together.

    Raises:
        ConfigError: they are none.
    """
    if text is None:
        return TIMEOUT
    if not re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text) or not 0 < float(text) <= _LONGEST:
        raise ConfigError(name, f"has a timeout that is not 0.1 to {_LONGEST:g} seconds")
    return float(text)


def _public(text: str) -> bytes:
    padded = text.rstrip("=").replace("-", "+").replace("_", "/") + "=" * (
        -len(text.rstrip("=")) % 4
    )
    try:
        found = base64.b64decode(padded, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if len(found) != _PUBLIC:
        raise ValueError("not 32 bytes")
    return found


def _offer(service: Service, timeout: float) -> str:
    """What may be pinned, for a person who compares it with what they know."""
    try:
        held = service.keys(timeout)
    except Exception as error:  # noqa: BLE001 - libraries of services raise what they like
        let_through(error)
        why = str(error) if isinstance(error, SignerError) else said(error)
        return f"{service.name} cannot be asked which one it has: {why}"
    if not held:
        return f"{service.name} has no Ed25519 key to pin"
    found = "; ".join(map(_shown, held[:10]))
    return f"compare, and add to the URI, what {service.name} says: {found}"


def _shown(held: Held) -> str:
    encoded = base64.urlsafe_b64encode(held.public).decode().rstrip("=")
    safe = "".join(letter if letter.isprintable() else "?" for letter in held.name[:80])
    return f"public={encoded} ({safe})"
