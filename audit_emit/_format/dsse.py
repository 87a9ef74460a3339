"""DSSE envelopes, bare or in a Sigstore bundle: a payload with its type, and a signature over both.

Pure. The formats are those of https://github.com/secure-systems-lab/dsse (version 1) and of the
Sigstore protobuf specification (bundle v0.3 with a public key). Only Ed25519 signatures are made
and checked. The key id is the fingerprint that OpenSSH shows of the key: some verifiers ignore
every signature with another id.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NamedTuple

from audit_emit._format.proof_file import no_member_twice
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

STATEMENT = "application/vnd.in-toto+json"
"""The payload type of an in-toto statement."""

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_PAE = 4096
"""The most bytes that are signed: AWS KMS signs no longer message, only a digest of one."""

MAX_BYTES = 64 * 1024
"""The most bytes of a file with an envelope that are read."""


class Envelope(NamedTuple):
    """A payload and its one signature.

    Attributes:
        payload: the bytes.
        payload_type: their media type.
        key_id: of the key that signed it, as the envelope claims.
        signature: 64 bytes of Ed25519 over ``pae``.
    """

    payload: bytes
    payload_type: str
    key_id: str
    signature: bytes

    def to_dict(self) -> dict[str, Any]:
        """The envelope as a dictionary for JSON."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}
            ],
        }

    def to_bundle(self) -> dict[str, Any]:
        """A Sigstore bundle with it, without an entry of a transparency log."""
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.key_id}},
            "dsseEnvelope": self.to_dict(),
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Read an envelope, bare or in a bundle.

        Raises:
            ValueError: the data are neither, or have not exactly one signature.
        """
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes, and so no envelope of ours")
        try:
            found = json.loads(data, object_pairs_hook=no_member_twice)
            if "dsseEnvelope" in found:
                found = found["dsseEnvelope"]
            (signed,) = found["signatures"]
            made = cls(
                base64.b64decode(found["payload"], validate=True),
                found["payloadType"],
                signed.get("keyid", ""),
                base64.b64decode(signed["sig"], validate=True),
            )
        except (
            *(AttributeError, KeyError, TypeError, ValueError, RecursionError),
            binascii.Error,
        ):
            raise ValueError(
                "not a DSSE envelope with one signature, nor a bundle of one"
            ) from None
        if not isinstance(made.payload_type, str) or not isinstance(made.key_id, str):
            raise ValueError("not a DSSE envelope: a member is of another type")  # noqa: TRY004 - of a file
        return made

    def signer(self, ring: KeyRing) -> Ed25519Key | None:
        """The key of a ring that the envelope names and that made the signature, if any."""
        text = pae(self.payload_type, self.payload)
        for key in ring.keys:
            if (
                isinstance(key, Ed25519Key)
                and self.key_id in {"", key.fingerprint}
                and key.verify(text, self.signature)
            ):
                return key
        return None

    def names(self, ring: KeyRing) -> bool:
        """Whether the key that the envelope claims is in a ring."""
        known = {key.fingerprint for key in ring.keys if isinstance(key, Ed25519Key)}
        return self.key_id in known or (not self.key_id and bool(known))


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: the pre-authentication encoding of DSSE version 1."""
    named = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(named), named, len(payload), payload)


def seal(key: Ed25519Key, payload: bytes, payload_type: str = STATEMENT) -> Envelope:
    """Sign a payload.

    Args:
        key: one that can sign.

    Raises:
        ValueError: the payload is too long, or only the public half of the key is known.
    """
    text = pae(payload_type, payload)
    if len(text) > MAX_PAE:
        raise ValueError(f"{len(text)} bytes to sign, and at most {MAX_PAE} are signed")
    return Envelope(payload, payload_type, key.fingerprint, key.sign(text))
