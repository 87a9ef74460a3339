"""The settings of signing: checked like all others, and imported only where they are used."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from audit_emit._runtime.foreign import bare_name
from audit_emit.errors import ConfigError

if TYPE_CHECKING:
    from audit_emit._signing.trusted_keys import KeyRing
else:
    # That module is only imported to sign; annotations that are resolved still need the name.
    KeyRing = Any

__all__ = ["KeyRing", "can_be_signed", "origin", "signing_key", "signing_key_file"]

_ORIGIN = re.compile(r"[!-*,-~]{1,200}")


def signing_key(name: str, value: Any) -> KeyRing | None:
    """The keys in a text, an HMAC key, or a ring."""
    from audit_emit._signing import trusted_keys as signing  # noqa: PLC0415 - only to sign

    if value is None or value in ("", b""):
        return None
    if isinstance(value, signing.KeyRing):
        ring = value
    elif isinstance(value, bytes | bytearray) and len(value) >= signing.HMAC_BYTES:
        ring = signing.KeyRing([signing.HmacKey(bytes(value))])
    elif isinstance(value, str):
        ring = signing.KeyRing(signing.parse_keys(name, value))
    else:
        raise ConfigError(
            name, f"must be hex or PEM, or at least {signing.HMAC_BYTES} bytes for HMAC"
        )
    return _that_signs(name, ring)


def signing_key_file(name: str, value: Any) -> KeyRing | None:
    """The keys in a file."""
    from audit_emit._signing import trusted_keys as signing  # noqa: PLC0415 - only to sign

    if value is None or value == "":
        return None
    try:
        path = os.fsdecode(value)
    except TypeError:
        raise ConfigError(name, f"must be a path, not {bare_name(type(value))}") from None
    return _that_signs(name, signing.KeyRing(signing.read_keys(name, path)))


def _that_signs(name: str, ring: KeyRing) -> KeyRing:
    if ring.signer is None:
        raise ConfigError(name, "holds the public half of a key last, and that cannot sign")
    return ring


def origin(name: str, value: Any) -> str | None:
    """The name of a log, without its chain."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value) or value.endswith("/"):
        raise ConfigError(
            name,
            "must be up to 200 printable ASCII characters without spaces and '+', "
            f"such as audit.example.com/secrets-api, not {value!r}",
        )
    return value


def checkpoint_state(name: str, value: Any) -> str | None:
    """The file in which the signer keeps its last checkpoint, as an absolute path."""
    if value is None or value == "":
        return None
    try:
        path = os.path.abspath(os.path.expanduser(os.fsdecode(value)))
    except TypeError:
        raise ConfigError(name, f"must be a path, not {bare_name(type(value))}") from None
    except OSError:
        raise ConfigError(name, "is relative to a directory that is gone") from None
    if "\0" in path:
        raise ConfigError(name, "must be the path of a file")
    if os.path.isdir(path):
        raise ConfigError(name, f"is a directory; name a file in it: {path}/checkpoints.state")
    if not os.path.isdir(os.path.dirname(path)):
        raise ConfigError(name, f"is in a directory that is not there: {os.path.dirname(path)}")
    return path


def can_be_signed(*, checkpoint: bool, key: KeyRing | None) -> None:
    """Check that there is a key if checkpoints are to be made.

    Raises:
        ConfigError: checkpoints are to be made, and there is no key.
    """
    if checkpoint and key is None:
        raise ConfigError(
            "checkpoint",
            "needs a signing key (AUDIT_EMIT_SIGNING_KEY or _FILE); make one with: "
            "audit-emit keygen",
        )
