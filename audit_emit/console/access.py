"""Who may see what: users from a file, who are known by a password, a trusted proxy or OpenID.

A role includes the rights of the one below it. A user who is limited to workspaces sees only their
records; pages about the whole log (integrity, checkpoints, proofs) are for the other users.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
import time
import tomllib
from collections import OrderedDict
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple, Self

from audit_emit.console.sign_in import SignIn
from audit_emit.errors import ConfigError

_N, _R, _P = 2**14, 8, 5
"""Cost of scrypt: 16 MiB, about 0.2 s (OWASP, Password Storage Cheat Sheet)."""

_MEMORY = 128 * 1024 * 1024
"""Bytes of memory for hashing one password; a hash in the file that needs more is refused."""

_MAX_N, _MAX_RP = 2**20, 128
_REMEMBERED = 1000
"""How many right passwords are remembered, as keyed hashes, so that not each request hashes one."""

_REMEMBERED_SECONDS = 300.0


class Role(IntEnum):
    """The rights of a user.

    ``VIEWER`` sees records. ``AUDITOR`` may also export, verify and download proofs. ``OPERATOR``
    may also sign a checkpoint, archive, and acknowledge alerts.
    """

    VIEWER = 1
    AUDITOR = 2
    OPERATOR = 3


class Identity(NamedTuple):
    """Somebody who was let in.

    Attributes:
        name: as it is recorded in the console's own events.
        role: see ``Role``.
        workspaces: the ones whose records the user sees; empty for all.
    """

    name: str
    role: Role
    workspaces: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether this user sees the whole log."""
        return not self.workspaces

    def may(self, role: Role, *, whole: bool = False) -> bool:
        """Whether this user has a role, and, if ``whole``, sees the whole log."""
        return self.role >= role and (self.whole or not whole)


LOCAL = Identity("local", Role.OPERATOR)
"""The user of a console without ``Access``: whoever reaches it on loopback, with all rights."""


class Access:
    """The users of a console, and how they are known.

    Args:
        users: by name: ``password`` (a hash by ``hash_password``), ``role`` (``viewer``,
            ``auditor`` or ``operator``) and ``workspaces`` (a list; all if left out).
        proxy_header: the header in which a trusted proxy names the user. Without it passwords are
            asked for (HTTP basic authentication).
        proxy_secret: what that proxy sends as ``X-Audit-Proxy-Secret``.
        sign_in: where users sign in by OpenID Connect; those with a password may take that, too,
            as programs do.

    Raises:
        ConfigError: a user cannot be understood, or a proxy has no secret.
    """

    def __init__(
        self,
        users: Mapping[str, Mapping[str, Any]],
        *,
        proxy_header: str = "",
        proxy_secret: str = "",
        sign_in: SignIn | None = None,
    ) -> None:
        if proxy_header and sign_in is not None:
            raise ConfigError("proxy_header", "and OpenID Connect are two ways: take one")
        if proxy_header and len(proxy_secret) < 16:
            raise ConfigError("proxy_secret", "needs at least 16 characters beside proxy_header")
        self._users = {
            name: _user(name, one, other=bool(proxy_header) or sign_in is not None)
            for name, one in users.items()
        }
        if not self._users:
            raise ConfigError("users", "has nobody in it")
        self.proxy_header: str = proxy_header.lower()
        self.sign_in: SignIn | None = sign_in
        self._proxy_secret = proxy_secret
        self._key = os.urandom(32)
        # The hash of a random password, so that an unknown name, and one without a password, take
        # as long as any other.
        self._nobody = _hashed(os.urandom(16), os.urandom(32))
        self._remembered: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **more: Any) -> Self:
        """Users from a file in TOML, one table ``[users.NAME]`` each.

        Args:
            path: of the file.
            more: ``proxy_header`` and ``proxy_secret``, or ``sign_in``.

        Raises:
            ConfigError: it is no such file.
            OSError: it cannot be read.
        """
        try:
            found = tomllib.loads(Path(path).read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("users", f"is no TOML: {type(error).__name__}") from None
        users = found.get("users")
        if not isinstance(users, dict) or set(found) != {"users"}:
            raise ConfigError("users", "needs a table [users.NAME] for each user, and nothing else")
        return cls(users, **more)

    def identify(self, headers: Mapping[str, str]) -> Identity | None:
        """Who sent a request, by its headers (names in lower case); ``None`` for nobody."""
        if self.proxy_header:
            sent = headers.get("x-audit-proxy-secret", "")
            if not hmac.compare_digest(sent.encode(), self._proxy_secret.encode()):
                return None
            found = self._users.get(headers.get(self.proxy_header, ""))
            return None if found is None else found[0]
        if self.sign_in is not None and self.knows(name := self.sign_in.name_of(headers)):
            return self._users[name][0]
        name, password = _basic(headers.get("authorization", ""))
        return self._by_password(name, password) if name else None

    def knows(self, name: str) -> bool:
        """Whether there is such a user."""
        return name in self._users

    def takes_long(self, headers: Mapping[str, str]) -> bool:
        """Whether ``identify`` has a password to hash; else it answers at once."""
        name, password = _basic(headers.get("authorization", ""))
        return (
            bool(name)
            and not self.proxy_header
            and self._recent(self._token(name, password)) is None
        )

    def _token(self, name: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{name}\0{password}".encode(), "sha256")

    def _by_password(self, name: str, password: str) -> Identity | None:
        token = self._token(name, password)
        known = self._recent(token)
        if known is not None:
            return known
        identity, hashed = self._users.get(name, (None, ""))
        if not _matches(password, hashed or self._nobody) or not hashed or identity is None:
            return None
        with self._lock:
            self._remembered[token] = (identity, time.monotonic() + _REMEMBERED_SECONDS)
            self._remembered.move_to_end(token)
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return identity

    def _recent(self, token: bytes) -> Identity | None:
        """Whose password was right a moment ago, by its keyed hash."""
        with self._lock:
            identity, until = self._remembered.get(token, (None, 0.0))
            if identity is not None and time.monotonic() >= until:
                del self._remembered[token]
                return None
            return identity


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return "", ""
    name, colon, password = text.partition(":")
    return (name, password) if colon else ("", "")


def _user(name: str, given: Mapping[str, Any], *, other: bool) -> tuple[Identity, str]:
    where = f"users.{name}"
    if not name:
        raise ConfigError(where, "has no name")
    if not isinstance(given, Mapping):
        raise ConfigError(where, "is no table")
    if unknown := set(given) - {"password", "role", "workspaces"}:
        raise ConfigError(where, f"has {min(unknown)!r}; password, role and workspaces are known")
    try:
        role = Role[str(given.get("role", "viewer")).upper()]
    except KeyError:
        raise ConfigError(where, "has a role that is none of viewer, auditor, operator") from None
    workspaces = given.get("workspaces", [])
    if not isinstance(workspaces, list) or not all(
        isinstance(one, str) and one for one in workspaces
    ):
        raise ConfigError(where, "has workspaces that are no list of names")
    if "workspaces" in given and not workspaces:
        raise ConfigError(where, "may see no workspace; leave workspaces out for all of them")
    password = given.get("password", "")
    if not (other and not password) and not _is_hash(password):
        raise ConfigError(
            where,
            "needs a password as audit-emit console --hash-password prints it (scrypt, "
            f"at most {_MEMORY >> 20} MiB)",
        )
    return Identity(name, role, tuple(workspaces)), str(password)


def hash_password(password: str) -> str:
    """A password as the file of users has it: ``scrypt:n:r:p:salt:hash`` (RFC 7914)."""
    salt = os.urandom(16)
    found = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=32)
    return _hashed(salt, found)


def _hashed(salt: bytes, digest: bytes) -> str:
    return f"scrypt:{_N}:{_R}:{_P}:{salt.hex()}:{digest.hex()}"


def _parts(hashed: object) -> tuple[int, int, int, bytes, bytes] | None:
    if not isinstance(hashed, str):
        return None
    try:
        word, n, r, p, salt, digest = hashed.split(":")
        found = int(n), int(r), int(p), bytes.fromhex(salt), bytes.fromhex(digest)
    except ValueError:
        return None
    good = word == "scrypt" and _can_be_made(*found[:3])
    return found if good and len(found[4]) == 32 else None


def _can_be_made(n: int, r: int, p: int) -> bool:
    """Whether scrypt takes these costs within our memory (RFC 7914, section 2 and 5)."""
    if not (1 < n <= _MAX_N and n & (n - 1) == 0 and r > 0 and p > 0 and r * p <= _MAX_RP):
        return False
    return 128 * r * (n + 2 + p) <= _MEMORY


def _is_hash(hashed: object) -> bool:
    return _parts(hashed) is not None


def _matches(password: str, hashed: str) -> bool:
    parts = _parts(hashed)
    if parts is None:
        return False
    n, r, p, salt, digest = parts
    try:
        found = hashlib.scrypt(
            password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY + 1024, dklen=32
        )
    except (ValueError, MemoryError):
        return False
    return hmac.compare_digest(found, digest)
