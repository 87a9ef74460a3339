"""Reading keys, and the ring of trusted keys (docs/wire-format.md, section 6).

A key comes from a file, from the environment or from the person who verifies, never from the log
that it is supposed to prove. A source may hold several keys, newest last: the newest one signs, the
others only verify. No message shows key material, or a value that may be key material.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from audit_emit._runtime.words import why_not_opened
from audit_emit._signing.signers import (
    ED25519,
    HMAC_BYTES,
    HMAC_SHA256,
    Ed25519Key,
    HmacKey,
    Key,
    needs_cryptography,
    note_key_id,
)
from audit_emit._signing.uris import FILE, is_uri, path_of, remote_key
from audit_emit.errors import ConfigError

__all__ = [
    "ED25519",
    "HMAC_BYTES",
    "HMAC_SHA256",
    "Ed25519Key",
    "HmacKey",
    "Key",
    "KeyRing",
    "Verdict",
    "note_key_id",
    "parse_keys",
    "private_pem",
    "read_keys",
]

VARIABLE = "AUDIT_EMIT_SIGNING_KEY"
Verdict = Literal["ok", "mismatch", "key-unavailable"]

_MAX_FILE = 64 * 1024
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
_ENVIRONMENT = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[A-Za-z0-9+/=\s]*-----END \1-----", re.ASCII)
_TOKEN = re.compile(rf"{_PEM.pattern}|\S+", re.ASCII)
_OTHERS = stat.S_IRWXO | stat.S_IWGRP


class KeyRing:
    """Keys, newest last.

    Args:
        keys: may be empty; then every checkpoint is ``key-unavailable``.
    """

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self.keys: tuple[Key, ...] = tuple(keys)

    @classmethod
    def from_sources(
        cls, files_or_hex: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> KeyRing:
        """The keys of several sources, in their order.

        Args:
            files_or_hex: each one the path of a file, the name of an environment variable, the URI
                of a key that is elsewhere (``ssh-agent:…``), or the key itself: hex (HMAC), PEM
                (Ed25519, private or public) or a C2SP verifier key.
                Without any, ``AUDIT_EMIT_SIGNING_KEY_FILE`` and ``AUDIT_EMIT_SIGNING_KEY`` are
                looked at.
            environ: ``os.environ`` when not given.

        Raises:
            ConfigError: a source holds no usable key.
        """
        environ = os.environ if environ is None else environ
        if files_or_hex:
            return cls([key for text in files_or_hex for key in _from_source(text, environ)])
        keys: list[Key] = []
        if path := environ.get(f"{VARIABLE}_FILE"):
            keys += read_keys(f"{VARIABLE}_FILE", path)
        if text := environ.get(VARIABLE):
            keys += parse_keys(VARIABLE, text)
        return cls(keys)

    @property
    def signer(self) -> Key | None:
        """The newest key, if it can sign."""
        return self.keys[-1] if self.keys and self.keys[-1].secret else None

    def every(self) -> KeyRing:
        """All keys, for callers that do not look one up by its id."""
        return self

    def find(self, algorithm: str, key_id: str, origin: str) -> Iterator[Key]:
        """The keys with this id, newest first; there may be several, because ids are short."""
        for key in reversed(self.keys):
            if key.algorithm == algorithm and key.key_id(origin) == key_id:
                yield key

    def check(
        self, algorithm: str, key_id: str, origin: str, text: bytes, signature: bytes
    ) -> Verdict:
        """Verify a signature over ``text`` with the keys that have this id.

        Returns:
            ``ok``; ``mismatch`` if no key with this id made it; ``key-unavailable`` if there is
            no key with this id.
        """
        verdict: Verdict = "key-unavailable"
        for key in self.find(algorithm, key_id, origin):
            if key.verify(text, signature):
                return "ok"
            verdict = "mismatch"
        return verdict

    def named(self, algorithm: str, key_id: str, origin: str) -> str:
        """Describe a key for people, with the id that ``keygen`` has printed if it is known.

        The id of an Ed25519 key depends on the name under which it signs. In checkpoints that is
        the full name of the log, which ends with the chain. The chain is not known when the key is
        made, so ``keygen`` prints the id under the name without it.

        Args:
            algorithm, key_id, origin: as in a checkpoint.
        """
        described = f"{algorithm} key {key_id}"
        for key in self.find(algorithm, key_id, origin):
            if isinstance(key, Ed25519Key):
                name = key.name if key.name not in {"", origin} else origin.rpartition("/")[0]
                return f"{described} ({note_key_id(name, key.public)} under the name {name})"
        return described

    def __repr__(self) -> str:
        return f"KeyRing({list(self.keys)!r})"


def parse_keys(name: str, text: str, *, files: bool = True) -> list[Key]:
    """Every key in a text, separated by white space: hex, PEM, verifier keys, or URIs of keys.

    Args:
        name: the name of the setting, for the error message.
        text: the keys.
        files: whether ``file:`` may name another file; in a file that would have no end.

    Raises:
        ConfigError: there is no key in it, or something that is not a key.
    """
    keys: list[Key] = []
    for token in _TOKEN.finditer(text):
        is_named = is_uri(token[0]) and (files or not token[0].startswith(FILE))
        keys += _from_uri(name, token[0]) if is_named else [_parse_key(name, token[0])]
    if not keys:
        raise ConfigError(name, "holds no key")
    return keys


def private_pem(seed: bytes) -> str:
    """An Ed25519 private key as ``parse_keys`` reads it: PKCS #8 in PEM (RFC 8410).

    Raises:
        ConfigError: ``cryptography`` is missing.
    """
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - optional
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise needs_cryptography() from None
    return (
        ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def read_keys(name: str, path: str) -> list[Key]:
    """Every key in a file.

    Raises:
        ConfigError: it cannot be read, holds no key, or holds a secret that others may read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        # The value is not shown: it is the key itself when two variables were mixed up.
        raise ConfigError(
            name, f"names a file that cannot be read: {why_not_opened(error)}"
        ) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(name, "names something that is not a regular file")
        content = os.read(descriptor, _MAX_FILE)
    except OSError as error:
        raise ConfigError(
            name, f"names a file that cannot be read: {why_not_opened(error)}"
        ) from None
    finally:
        os.close(descriptor)
    keys = parse_keys(name, content.decode("ascii", "replace"), files=False)
    if found.st_mode & _OTHERS and any(key.secret for key in keys):
        raise ConfigError(
            name,
            "names a file with a secret key that others can read or change; "
            "its mode must be 0600, 0640 or less",
        )
    return keys


def _from_source(source: str, environ: Mapping[str, str]) -> list[Key]:
    if is_uri(source):
        return _from_uri("key", source)
    if _is_key(source):
        return parse_keys("key", source)
    if _ENVIRONMENT.fullmatch(source) and source in environ:
        return parse_keys(source, environ[source])
    return read_keys("key", source)


def _from_uri(name: str, uri: str) -> list[Key]:
    if uri.startswith(FILE):
        return read_keys(name, path_of(name, uri))
    return [remote_key(name, uri)]


def _is_key(text: str) -> bool:
    """Whether a source is a key, and not the name of a file or variable."""
    token = text.strip()
    if _HEX.fullmatch(token):
        return len(token) >= 2 * HMAC_BYTES
    return _PEM.fullmatch(token) is not None or (token.count("+") >= 2 and not os.path.exists(text))


def _parse_key(name: str, token: str) -> Key:
    if token.startswith("-----BEGIN "):
        return _parse_pem(name, token)
    if _HEX.fullmatch(token):
        if len(token) < 2 * HMAC_BYTES:
            raise ConfigError(
                name, f"holds an HMAC key of less than {HMAC_BYTES} bytes ({2 * HMAC_BYTES} digits)"
            )
        return HmacKey(bytes.fromhex(token))
    try:
        return Ed25519Key.from_vkey(token)
    except ValueError:
        raise ConfigError(
            name,
            "is no key: at least 64 hex digits (HMAC), PEM (Ed25519), a verifier key "
            "(name+id+base64) or a URI (ssh-agent:…); make one with: audit-emit keygen",
        ) from None


def _parse_pem(name: str, token: str) -> Key:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - optional
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise needs_cryptography() from None
    try:
        if "PRIVATE" in token.partition("\n")[0]:
            private = serialization.load_pem_private_key(token.encode(), password=None)
            if isinstance(private, ed25519.Ed25519PrivateKey):
                return Ed25519Key.from_seed(private.private_bytes_raw())
        else:
            public = serialization.load_pem_public_key(token.encode())
            if isinstance(public, ed25519.Ed25519PublicKey):
                return Ed25519Key(public.public_bytes_raw())
    except Exception:  # noqa: BLE001 - its messages may quote what they could not read
        raise ConfigError(name, "holds PEM that cannot be read; it must not be encrypted") from None
    raise ConfigError(name, "holds PEM of another kind; only Ed25519 keys are used")
