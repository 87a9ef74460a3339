"""Cosignatures of both types, and one that another program made."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.witnesses import KEYS

from audit_emit._format.checkpoint import text_of
from audit_emit._format.cosignature import cosign, cosigned_at, message_of
from audit_emit._format.record import ts_of
from audit_emit._format.signed_note import Note, Signature
from audit_emit._signing.cosigners import Cosigner, can_check
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

VECTOR: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "litewitness.json").read_bytes()
)
TEXT = text_of("log.example/a", 7, b"r" * 32)


def test_what_litewitness_signed_holds() -> None:
    note = Note.from_bytes(VECTOR["note"].encode())
    assert note.check(KeyRing([Ed25519Key.from_vkey(VECTOR["log"])])) == "ok"
    key = Cosigner.from_vkey(VECTOR["witness"])
    times = [cosigned_at(key, note.text.encode(), line) for line in note.signatures]
    assert [time is not None for time in times] == [False, False, True]
    assert note.to_bytes().decode() == VECTOR["note"]


def test_ours_is_the_text_of_the_specification() -> None:
    line = cosign(KEYS[0], 1679315147, TEXT)
    assert message_of(KEYS[0], 1679315147, TEXT) == b"cosignature/v1\ntime 1679315147\n" + TEXT
    assert line.signature[:8] == (1679315147).to_bytes(8, "big")
    assert cosigned_at(KEYS[0], TEXT, line) == 1679315147


def test_another_text_time_key_or_name_is_none() -> None:
    line = cosign(KEYS[0], 1679315147, TEXT)
    assert cosigned_at(KEYS[0], text_of("log.example/a", 8, b"r" * 32), line) is None
    later = (1679315148).to_bytes(8, "big") + line.signature[8:]
    assert cosigned_at(KEYS[0], TEXT, line._replace(signature=later)) is None
    assert cosigned_at(KEYS[1], TEXT, line) is None
    assert cosigned_at(KEYS[0], TEXT, line._replace(name="other")) is None
    assert cosigned_at(KEYS[0], TEXT, line._replace(signature=b"")) is None


def test_a_time_that_cannot_be_shown_is_none() -> None:
    last = 253_402_300_799
    assert ts_of(last * 10**9) == "9999-12-31T23:59:59.000000000Z"
    assert cosigned_at(KEYS[0], TEXT, cosign(KEYS[0], last, TEXT)) == last
    for seconds in (0, last + 1, 2**63 - 1, 2**64 - 1):
        assert cosigned_at(KEYS[0], TEXT, cosign(KEYS[0], seconds, TEXT)) is None


def ml_dsa() -> Any:
    mldsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.mldsa")
    return mldsa.MLDSA44PrivateKey.from_seed_bytes(b"s" * 32)


def test_ml_dsa_signs_its_name_and_the_tree() -> None:
    pair = ml_dsa()
    key = Cosigner("w.example", 6, pair.public_key().public_bytes_raw())
    assert can_check(key)
    message = message_of(key, 1679315147, TEXT)
    assert message == (
        b"subtree/v1\n\0\x09w.example" + (1679315147).to_bytes(8, "big") + b"\x0dlog.example/a"
        + bytes(8) + (7).to_bytes(8, "big") + b"r" * 32
    )  # fmt: skip
    made = (1679315147).to_bytes(8, "big") + pair.sign(message)
    line = Signature(key.name, key.key_id, made)
    assert cosigned_at(key, TEXT, line) == 1679315147
    assert cosigned_at(key, text_of("log.example/b", 7, b"r" * 32), line) is None
    assert Cosigner.from_vkey(key.to_vkey()).public == key.public
    assert key.key_id == hashlib.sha256(b"w.example\n\x06" + key.public).hexdigest()[:8]
    assert base64.b64decode(key.to_vkey().split("+", 2)[2])[0] == 6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w.example+00000000+" + KEYS[0].to_vkey().split("+", 2)[2],
        KEYS[0].to_vkey() + "A",
        KEYS[0].to_vkey()[:-4],
        KEYS[0].to_vkey().replace("w1", "w 1"),
        "w.example+00000000+BA==",
        "w.example+00000000+",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="verifier key"):
        Cosigner.from_vkey(text)


def test_a_key_under_which_anybody_can_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="small order"):
        Cosigner("w.example", 4, bytes(32))
