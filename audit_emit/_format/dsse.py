"""DSSE envelopes, bare or in a Sigstore bundle: a payload with its type, and who signed both.

Pure. The formats are those of https://github.com/secure-systems-lab/dsse (version 1) and of the
Sigstore protobuf specification (bundle v0.3 with a public key). Only Ed25519 signatures are made
and checked. The key id is the fingerprint that OpenSSH shows of the key: some verifiers pass over
every signature whose id is another one.
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
"""Bytes that are signed at most: what AWS KMS signs without being given a digest instead."""

MAX_BYTES = 64 * 1024
"""Bytes of a file with an envelope that are read at most."""


class Envelope(NamedTuple):
    """A payload and its one signature.

    Attributes:
        payload: the bytes.
        payload_type: what they are.
        key_id: of the key that signed it, as the envelope claims.
        signature: 64 bytes of Ed25519 over ``pae``.
    """

    payload: bytes
    payload_type: str
    key_id: str
    signature: bytes

    def to_dict(self) -> dict[str, Any]:
        """The envelope as plain values."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}
            ],
        }

    def to_bundle(self) -> dict[str, Any]:
        """A Sigstore bundle around it, without a transparency log: the key is known otherwise."""
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.key_id}},
            "dsseEnvelope": self.to_dict(),
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """An envelope, bare or in a bundle.

        Raises:
            ValueError: it is neither, or has not exactly one signature.
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
        """The key of a ring that made the signature; the key id is a hint and no more."""
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
    """What is signed: the pre-authentication encoding of DSSE version 1."""
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
