"""Where the keys of persons are: what is given to us as the setting ``subject_keys``."""

from __future__ import annotations

import os

from audit_emit._runtime.lazy import Pattern
from audit_emit.errors import ConfigError

__all__ = ["SLOTS", "can_be_sealed", "checked_address", "needs_cryptography"]

SLOTS = "slots:"
_SERVICES = frozenset({"openbao", "vault", "awskms"})
_SCHEME = Pattern(r"([a-z][a-z0-9+.-]+):")


def checked_address(name: str, text: str) -> str:
    """An address in its full form: a path is that of a file of slots.

    Raises:
        ConfigError: it is none.
    """
    found = _SCHEME.match(text)
    if found is not None and found[1] in _SERVICES:
        return _of_service(name, text)
    if found is not None and found[0] != SLOTS:
        raise ConfigError(
            name,
            f"knows no store {found[0]} (slots:/path, a path, or openbao:, vault:, awskms: with "
            "slots=/path)",
        )
    return f"{SLOTS}{_path(name, text.removeprefix(SLOTS))}"


def _of_service(name: str, text: str) -> str:
    """A file of slots whose master key a service keeps: ``openbao:KEY?slots=/path``."""
    from urllib.parse import quote  # noqa: PLC0415 - which takes longer than ten of our modules

    from audit_emit._signing.uris import parts_of  # noqa: PLC0415 - for those who have one
    from audit_emit._subjects.master import keeper_of  # noqa: PLC0415

    parts = parts_of(name, text)
    given = {**parts.parameters, "slots": _path(name, parts.parameters.get("slots", ""))}
    keeper_of(name, parts)
    query = "&".join(f"{one}={quote(value, safe=':/')}" for one, value in given.items())
    return f"{parts.scheme}:{parts.where}?{query}"


def _path(name: str, path: str) -> str:
    if not path or "\0" in path or path != path.strip():
        raise ConfigError(name, "must be the path of a file of keys, such as slots:/path")
    try:
        path = os.path.abspath(os.path.expanduser(path))
    except OSError:
        raise ConfigError(name, "is relative to a directory that is gone") from None
    if os.path.isdir(path):
        raise ConfigError(
            name, f"is a directory; name the file in it: {os.path.join(path, 'subjects.keys')}"
        )
    return path


def can_be_sealed(address: str | None) -> None:
    """Refuse a store of keys where nothing can be encrypted.

    Raises:
        ConfigError: ``cryptography`` is not installed.
    """
    if address is None:
        return
    from importlib.util import find_spec  # noqa: PLC0415 - for those who seal only

    if find_spec("cryptography") is None:
        raise needs_cryptography()


def needs_cryptography() -> ConfigError:
    """The error when ``cryptography`` is not installed."""
    return ConfigError(
        "subject_keys", "sealing needs cryptography; pip install 'audit-emit[erasure]'"
    )
