"""Keys of witnesses: Ed25519 (C2SP signature type 4) and ML-DSA-44 (type 6), as verifier keys.

ML-DSA-44 (FIPS 204) needs a ``cryptography`` that has it; where it has not, such a key can be read
and its signatures count for nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from audit_emit._signing.signers import Ed25519Key

TYPES = {4: ("ed25519", 32, 64), 6: ("ml-dsa-44", 1312, 2420)}
"""By signature type: the algorithm, the bytes of a public key, those of a signature."""

# The name has no plus, so that those of the base64 are never taken for one between the parts.
_VKEY = re.compile(r"([^\s+]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class Cosigner:
    """The verifier key of a witness, and its secret half where this is the witness.

    Attributes:
        name: of the key; a URL without its scheme.
        key_id: 8 hex digits (C2SP tlog-cosignature).
        algorithm: ``ed25519`` or ``ml-dsa-44``.
        public: the public key.
        size: bytes of its signatures.

    Args:
        kind: a signature type, see ``TYPES``.
        pair: its secret half.

    Raises:
        ValueError: it is of another type, has another length, or is a weak key.
    """

    def __init__(
        self, name: str, kind: int, public: bytes, *, pair: Ed25519Key | None = None
    ) -> None:
        if kind not in TYPES:
            raise ValueError(f"a witness signs with type 4 or 6, not {kind}")
        self.algorithm, length, self.size = TYPES[kind]
        if len(public) != length or not 0 < len(name.encode()) < 256:
            raise ValueError(f"not the verifier key of an {self.algorithm} witness")
        self._pair = pair or (Ed25519Key(public) if kind == 4 else None)
        self.name = name
        self.kind = kind
        self.public = public
        data = name.encode() + b"\n" + bytes([kind]) + public
        self.key_id: str = hashlib.sha256(data).hexdigest()[:8]

    @classmethod
    def from_vkey(cls, text: str) -> Cosigner:
        """A C2SP verifier key, ``<name>+<id>+<base64 of type and key>``.

        Raises:
            ValueError: it is none, or not one of a witness.
        """
        found = _VKEY.fullmatch(text)
        if found is None:
            raise ValueError("not a verifier key")
        try:
            data = base64.b64decode(found[3], validate=True)
        except binascii.Error:
            raise ValueError("not a verifier key") from None
        if not data or base64.b64encode(data).decode() != found[3]:
            raise ValueError("not a verifier key")
        if data[0] == 1:
            raise ValueError("the key of a log, type 1; that of a witness is of type 4 or 6")
        key = cls(found[1], data[0], data[1:])
        if key.key_id != found[2]:
            raise ValueError("a verifier key whose id is not its own")
        return key

    @classmethod
    def of_pair(cls, name: str, pair: Ed25519Key) -> Cosigner:
        """The key of a witness that signs with an Ed25519 pair.

        Raises:
            ValueError: nobody may have this name.
        """
        if not re.fullmatch(r"[!-*,-~]{1,255}", name):
            raise ValueError("a name is 1 to 255 printable ASCII characters, no space, no '+'")
        return cls(name, 4, pair.public, pair=pair)

    def to_vkey(self) -> str:
        """The same as ``from_vkey`` takes."""
        encoded = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id}+{encoded}"

    def sign(self, message: bytes) -> bytes:
        """The signature over a message.

        Raises:
            ValueError: only the public half is known.
        """
        if self._pair is None:
            raise ValueError("only the public half of the key is known")
        return self._pair.sign(message)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether this key signed it; no where this ``cryptography`` knows no ML-DSA."""
        if len(signature) != self.size:
            return False
        if self._pair is not None:
            return self._pair.verify(message, signature)
        module = _ml_dsa()
        if module is None:
            return False
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - it is there

        try:
            module.MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def __repr__(self) -> str:
        return f"Cosigner({self.name}, {self.algorithm}, {self.key_id})"


def can_check(key: Cosigner) -> bool:
    """Whether signatures of this key can be checked here."""
    return key.kind == 4 or _ml_dsa() is not None


def _ml_dsa() -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - optional
        from cryptography.hazmat.primitives.asymmetric import mldsa  # noqa: PLC0415
    except ImportError:
        return None
    try:
        mldsa.MLDSA44PrivateKey.generate  # noqa: B018 - an older one has no such class
    except (AttributeError, UnsupportedAlgorithm):
        return None
    return mldsa
