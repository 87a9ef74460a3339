"""DSSE envelopes: what is signed, what is read, and whose signature counts."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit_emit._format.dsse import MAX_BYTES, Envelope, pae, seal
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, KeyRing

KEY = Ed25519Key.from_seed(bytes(range(32)))
OTHER = Ed25519Key.from_seed(bytes(range(1, 33)))


def test_what_is_signed_is_the_example_of_the_specification() -> None:
    """https://github.com/secure-systems-lab/dsse, protocol.md."""
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_key_id_is_the_fingerprint_of_openssh() -> None:
    loaded = Ed25519PublicKey.from_public_bytes(KEY.public)
    line = loaded.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    assert KEY.fingerprint == "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize("form", [Envelope.to_dict, Envelope.to_bundle])
def test_an_envelope_is_read_bare_and_in_a_bundle(form: Any) -> None:
    made = seal(KEY, b"{}")
    assert Envelope.from_bytes(json.dumps(form(made)).encode()) == made


def test_the_signature_is_found_by_the_key_and_not_by_what_is_claimed() -> None:
    made = seal(KEY, b"{}")
    ring = KeyRing([HmacKey(bytes(32)), OTHER, KEY])
    assert made.signer(ring) is KEY
    assert made._replace(key_id="").signer(ring) is KEY
    assert made._replace(key_id=OTHER.fingerprint).signer(ring) is None
    assert made._replace(payload=b"{ }").signer(ring) is None
    assert made._replace(payload_type="text/plain").signer(ring) is None


def test_what_a_kms_would_not_sign_is_signed_nowhere() -> None:
    seal(KEY, bytes(4000))
    with pytest.raises(ValueError, match="at most 4096"):
        seal(KEY, bytes(4096))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found | {"signatures": []},
        lambda found: found | {"signatures": found["signatures"] * 2},
        lambda found: found | {"signatures": [{"sig": 3}]},
        lambda found: found | {"payload": "*"},
        lambda found: found | {"payloadType": 3},
        lambda found: {"dsseEnvelope": []},
        lambda found: [],
        lambda found: 3,
    ],
)
def test_anything_else_is_refused(spoil: Any) -> None:
    found = seal(KEY, b"{}").to_dict()
    with pytest.raises(ValueError, match="envelope"):
        Envelope.from_bytes(json.dumps(spoil(found)).encode())


@pytest.mark.parametrize(
    "data",
    [b'{"payload":"","payload":""}', b"[" * 20000, b"\xff", b"", bytes(MAX_BYTES + 1)],
    ids=lambda data: repr(data[:20]),
)
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="envelope"):
        Envelope.from_bytes(data)
