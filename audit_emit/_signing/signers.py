"""Keys that sign and check checkpoints: HMAC-SHA256 and Ed25519 (docs/wire-format.md, section 6).

No message and no ``repr`` shows a secret. ``cryptography`` is imported only when an Ed25519 key is
used; if it is not installed, that raises a ``ConfigError`` that says which extra to install.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any, Protocol

from audit_emit.errors import ConfigError

ED25519 = "ed25519"
HMAC_SHA256 = "hmac-sha256"
HMAC_BYTES = 32
"""The shortest HMAC key, in bytes: the output length of SHA-256 (RFC 2104, section 3)."""

_ED25519_TYPE = b"\1"
_COSIGNATURE_TYPE = b"\4"
"""The signature type of a timestamped Ed25519 cosignature (C2SP signed-note)."""

_NAME = r"[!-*,-~]{1,255}"
_VKEY = re.compile(rf"({_NAME})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/]+={{0,2}})")


class Key(Protocol):
    """One key, of which at least the half that verifies is known."""

    algorithm: str
    secret: bool
    """Whether the secret half is known, so that it can sign."""

    def key_id(self, origin: str) -> str | None:
        """Its id in checkpoints of ``origin``, 8 hex digits; ``None`` if it is for another one."""

    def time_key_id(self, origin: str) -> str:
        """Its id in cosignatures (which sign a time) for ``origin``, 8 hex digits."""

    def sign(self, text: bytes) -> bytes:
        """The signature over ``text``.

        Raises:
            ValueError: only the public half is known.
        """

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's signature over ``text``; in constant time."""


_P = 2**255 - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL = frozenset(
    {
        0,
        1,
        _P - 1,
        _EIGHTH,
        _P - _EIGHTH,
    }
)
"""The y of the eight points whose order divides 8, the cofactor of the curve (RFC 8032, 5.1)."""


def _is_small(public: bytes) -> bool:
    """Whether a public key is a point of small order, in whatever encoding."""
    return (int.from_bytes(public, "little") & (1 << 255) - 1) % _P in _SMALL


class HmacKey:
    """A shared key: everybody who can verify can also sign."""

    algorithm = HMAC_SHA256
    secret = True

    def __init__(self, key: bytes) -> None:
        if len(key) < HMAC_BYTES:
            raise ValueError(f"an HMAC key has at least {HMAC_BYTES} bytes")
        self._key = key
        self._id = hashlib.sha256(key).hexdigest()[:8]

    def key_id(self, origin: str) -> str | None:  # noqa: ARG002 - the same for every log
        """See ``Key``: the first 8 digits of the key's SHA-256."""
        return self._id

    def time_key_id(self, origin: str) -> str:  # noqa: ARG002 - the same for every log
        """See ``Key``: the same id, because shared keys have no signed notes."""
        return self._id

    def sign(self, text: bytes) -> bytes:
        """See ``Key``."""
        return hmac.digest(self._key, text, "sha256")

    def verify(self, text: bytes, signature: bytes) -> bool:
        """See ``Key``."""
        return hmac.compare_digest(self.sign(text), signature)

    def __repr__(self) -> str:
        return f"HmacKey(id={self._id})"


class Ed25519Key:
    """A key pair, or its public half (RFC 8032).

    Args:
        public: the public key, 32 bytes.
        seed: the private key, 32 bytes.
        name: the name in a verifier key. The key then applies to the origin of that name and to
            those below it (``<name>/<chain>``), and to no other.

    Raises:
        ValueError: a key does not have 32 bytes, or is a point of small order.
    """

    algorithm = ED25519

    def __init__(self, public: bytes, *, seed: bytes | None = None, name: str = "") -> None:
        if len(public) != 32 or (seed is not None and len(seed) != 32):
            raise ValueError("an Ed25519 key has 32 bytes")
        if _is_small(public):
            raise ValueError("an Ed25519 key of small order, under which anybody can sign anything")
        self.public = public
        self.name = name
        self.secret: bool = seed is not None
        self._seed = seed

    @classmethod
    def from_seed(cls, seed: bytes) -> Ed25519Key:
        """The key pair of a 32-byte seed."""
        made = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)
        return cls(made.public_key().public_bytes_raw(), seed=seed)

    @classmethod
    def from_vkey(cls, text: str) -> Ed25519Key:
        """A C2SP verifier key, ``<name>+<id>+<base64 of type and key>``.

        Raises:
            ValueError: it is malformed, of another type, or its id does not match its key.
        """
        found = _VKEY.fullmatch(text)
        if found is None:
            raise ValueError("not a verifier key")
        data = base64.b64decode(found[3], validate=True)
        if data[:1] != _ED25519_TYPE or len(data) != 33:
            raise ValueError("not the verifier key of an Ed25519 key")
        key = cls(data[1:], name=found[1])
        if note_key_id(found[1], data[1:]) != found[2]:
            raise ValueError("a verifier key whose id is not its own")
        return key

    def to_vkey(self, name: str) -> str:
        """The C2SP verifier key under ``name``.

        Raises:
            ValueError: the name is empty or holds spaces, ``+`` or what is not ASCII.
        """
        if not re.fullmatch(_NAME, name):
            raise ValueError("a key name is 1 to 255 printable ASCII characters, no space, no '+'")
        encoded = base64.b64encode(_ED25519_TYPE + self.public).decode()
        return f"{name}+{note_key_id(name, self.public)}+{encoded}"

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it: ``SHA256:`` and the base64, unpadded, of the hash of the key."""
        parts = (b"ssh-ed25519", self.public)  # RFC 8709, section 4
        blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

    def key_id(self, origin: str) -> str | None:
        """See ``Key``: the id of the C2SP signed note, with the origin as the name."""
        if self.name and origin != self.name and not origin.startswith(f"{self.name}/"):
            return None
        return note_key_id(origin, self.public)

    def time_key_id(self, origin: str) -> str:
        """See ``Key``: the id of the C2SP cosignature, with the origin as the name."""
        return note_key_id(origin, self.public, _COSIGNATURE_TYPE)

    def sign(self, text: bytes) -> bytes:
        """See ``Key``."""
        if self._seed is None:
            raise ValueError("only the public half of the key is known")
        signature: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(self._seed).sign(text)
        return signature

    def verify(self, text: bytes, signature: bytes) -> bool:
        """See ``Key``."""
        module = _ed25519()
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - it is there

        try:
            module.Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"Ed25519Key(public={self.public.hex()})"


def note_key_id(name: str, public: bytes, of_type: bytes = _ED25519_TYPE) -> str:
    """``SHA-256(name || 0x0A || type || public)``, its first 8 hex digits (C2SP signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + of_type + public).hexdigest()[:8]


def needs_cryptography() -> ConfigError:
    """The error when ``cryptography`` is not installed."""
    return ConfigError("signing_key", "Ed25519 needs cryptography; pip install 'audit-emit[sign]'")


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - optional
    except ImportError:
        raise needs_cryptography() from None
    return ed25519
