"""A checkpoint: the published vectors, its line to the byte, and what is no checkpoint."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.five_records import EXPECTED
from support.for_each import for_each

from audit_emit._format.checkpoint import (
    REASONS,
    Checkpoint,
    check,
    cosigned_text,
    parse_text,
    sign,
    signed_time,
    text_of,
)
from audit_emit._format.signed_note import Note
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, Key, KeyRing
from audit_emit.errors import UnknownVersionError

CHAIN = "00d1c0ffee00beef"
ORIGIN = f"audit.example.com/secrets-api/{CHAIN}"
ROOT = EXPECTED["merkle_roots_by_size"]["5"]
HEAD = EXPECTED["leaf_hashes"][-1]
HMAC = HmacKey(bytes.fromhex(EXPECTED["hmac-sha256"]["key_hex"]))
PAIR = Ed25519Key.from_seed(bytes.fromhex(EXPECTED["ed25519"]["seed_hex"]))


def signed(key: Key = HMAC, **changed: Any) -> Checkpoint:
    members: dict[str, Any] = {
        "at": "2026-05-19T20:00:02.000000000Z",
        "origin": ORIGIN,
        "chain": CHAIN,
        "size": 5,
        "head_hash": HEAD,
        "root": bytes.fromhex(ROOT),
        "reason": "manual",
    }
    return sign(key, **{**members, **changed})


def test_the_text_of_the_vectors() -> None:
    assert signed().text().decode() == EXPECTED["checkpoint_text"]
    assert text_of(ORIGIN, 5, bytes.fromhex(ROOT)).decode() == EXPECTED["checkpoint_text"]


def test_the_hmac_of_the_vectors() -> None:
    made = signed(HMAC)
    assert made.sig_alg == "hmac-sha256"
    assert made.signature == EXPECTED["hmac-sha256"]["signature_base64"]


def test_the_ed25519_signature_of_the_vectors() -> None:
    made = signed(PAIR)
    assert made.sig_alg == "ed25519"
    assert made.key_id == EXPECTED["ed25519"]["key_id_hex"]
    assert made.signature == EXPECTED["ed25519"]["signature_base64"]


def test_the_note_of_the_vectors() -> None:
    assert signed(PAIR).to_note().to_bytes().decode() == EXPECTED["ed25519"]["signed_note"]


def test_a_shared_key_makes_no_note() -> None:
    with pytest.raises(ValueError, match="Ed25519"):
        signed(HMAC).to_note()


def test_the_line_has_the_members_in_order() -> None:
    line = signed().to_line()
    assert line.endswith(b"}\n")
    assert list(json.loads(line)) == [
        "v",
        "at",
        "origin",
        "chain",
        "head_seq",
        "head_hash",
        "root_hash",
        "reason",
        "sig_alg",
        "key_id",
        "signature",
        "cosignature",
    ]
    assert json.dumps(json.loads(line), separators=(",", ":")).encode() == line.strip()


@pytest.mark.parametrize("key", [HMAC, PAIR], ids=["hmac", "ed25519"])
@pytest.mark.parametrize("reason", REASONS)
def test_a_line_comes_back(key: Key, reason: str) -> None:
    made = signed(key, reason=reason)
    assert Checkpoint.from_line(made.to_line()) == made
    assert Checkpoint.from_line(made.to_line().strip()) == made


LINE = signed().to_line()
MEMBERS = json.loads(LINE)


def line_with(**changed: Any) -> bytes:
    return json.dumps({**MEMBERS, **changed}, separators=(",", ":")).encode()


@for_each(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'"text"',
        LINE[:-3],
        LINE.replace(b":", b": ", 1),
        b" " + LINE,
        LINE.replace(b'{"v":2,', b'{"v":2,"v":2,'),
        LINE.replace(b'{"v":2,', b'{"x":1,"v":2,'),
        LINE.replace(b"manual", b"m\\u0061nual"),
        LINE.strip() + b"\n\n",
        json.dumps(dict(reversed(MEMBERS.items())), separators=(",", ":")).encode(),
        line_with(v="1"),
        line_with(v=0),
        line_with(at="2026-05-19T20:00:02Z"),
        line_with(origin=""),
        line_with(origin="a b"),
        line_with(origin="a+b"),
        line_with(origin="a\nb"),
        line_with(origin="\u00fc"),
        line_with(chain=CHAIN.upper()),
        line_with(head_seq=0),
        line_with(head_seq=-1),
        line_with(head_seq=2**63),
        line_with(head_seq=5.0),
        line_with(head_seq="5"),
        line_with(head_seq=True),
        line_with(head_hash=HEAD[1:]),
        line_with(root_hash=ROOT.upper()),
        line_with(reason="because"),
        line_with(sig_alg="RSA"),
        line_with(key_id="1234567"),
        line_with(signature="="),
        line_with(signature=MEMBERS["signature"][:-1]),
        line_with(signature=MEMBERS["signature"] + "\n"),
        line_with(signature=None),
        line_with(v=1),
        line_with(cosignature=""),
        line_with(cosignature=MEMBERS["cosignature"][:-4]),
        line_with(cosignature=MEMBERS["cosignature"] + "="),
        line_with(cosignature=None),
        signed(version=1).to_line().replace(b'"v":1', b'"v":2'),
        signed(version=1).to_line().replace(b'"}', b'","cosignature":""}'),
    ],
)
def test_what_is_no_checkpoint_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        Checkpoint.from_line(line)
    assert not isinstance(caught.value, msgspec.MsgspecError)


@pytest.mark.parametrize("line", [line_with(v=3), b'{"v":3,"other":"members"}'])
def test_a_later_version_is_told_apart(line: bytes) -> None:
    with pytest.raises(UnknownVersionError, match="version 3"):
        Checkpoint.from_line(line)


@given(line=st.binary(max_size=300))
def test_anything_is_a_checkpoint_or_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        Checkpoint.from_line(line)


@given(at=st.integers(0, len(LINE) - 2), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_checked(at: int, flip: int) -> None:
    changed = LINE[:at] + bytes([LINE[at] ^ flip]) + LINE[at + 1 :]
    try:
        found = Checkpoint.from_line(changed)
    except ValueError:
        return
    unsigned = {"head_hash", "reason"}
    if found.at[:20] == MEMBERS["at"][:20]:
        unsigned.add("at")  # it is signed to the second
    for name in MEMBERS:
        if getattr(found, name) != MEMBERS[name] and name not in unsigned:
            assert check(found, KeyRing([HMAC])) != "ok", name


@pytest.mark.parametrize(("key", "other"), [(HMAC, PAIR), (PAIR, HMAC)])
def test_check_against_a_ring(key: Key, other: Key) -> None:
    made = signed(key)
    assert check(made, KeyRing([key])) == "ok"
    assert check(made, KeyRing([other, key])) == "ok"
    assert check(made, KeyRing([key, other])) == "ok"
    assert check(made, KeyRing([other])) == "key-unavailable"
    assert check(made, KeyRing()) == "key-unavailable"


@pytest.mark.parametrize("key", [HMAC, PAIR], ids=["hmac", "ed25519"])
def test_a_signed_member_that_was_changed_is_a_mismatch(key: Key) -> None:
    made = signed(key)
    for changed in (
        msgspec.structs.replace(made, head_seq=6),
        msgspec.structs.replace(made, root_hash="0" * 64),
        msgspec.structs.replace(made, chain="0" * 16),
        msgspec.structs.replace(made, signature=base64.b64encode(b"x" * 64).decode()),
        msgspec.structs.replace(made, signature=""),
    ):
        assert check(changed, KeyRing([key])) == "mismatch"


def test_the_key_of_a_log_is_unknown_to_other_origins() -> None:
    named = Ed25519Key.from_vkey(PAIR.to_vkey("audit.example.com/secrets-api"))
    assert check(signed(PAIR), KeyRing([named])) == "ok"
    other = signed(PAIR, origin=f"audit.example.com/secrets-api2/{CHAIN}")
    assert check(other, KeyRing([named])) == "key-unavailable"
    with pytest.raises(ValueError, match="origin"):
        sign_with(named)


def sign_with(key: Key) -> None:
    signed(key, origin="elsewhere")


def test_a_malformed_member_is_never_signed() -> None:
    with pytest.raises(ValueError, match="origin"):
        signed(origin="two words")
    with pytest.raises(ValueError, match="reason"):
        signed(reason="")


def test_a_text_is_read_back() -> None:
    assert parse_text(signed().text()) == (ORIGIN, 5, bytes.fromhex(ROOT))
    assert parse_text(signed().text() + b"extension\n") == (ORIGIN, 5, bytes.fromhex(ROOT))
    note = Note.from_bytes(EXPECTED["ed25519"]["signed_note"].encode())
    assert parse_text(note.text.encode())[1] == 5


TEXT = signed().text()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        TEXT[:-1],
        TEXT + b"\n",
        TEXT.replace(b"\n5\n", b"\n05\n"),
        TEXT.replace(b"\n5\n", b"\n-5\n"),
        TEXT.replace(b"\n5\n", b"\n\xd9\xa5\n"),
        TEXT.replace(b"=", b""),
        TEXT.replace(b"w=", b"x="),
        TEXT[TEXT.index(b"\n") :],
    ],
)
def test_what_is_no_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not a checkpoint"):
        parse_text(text)


SECOND = 1779220802
"""2026-05-19T20:00:02Z."""


@pytest.mark.parametrize("key", [HMAC, PAIR], ids=["hmac", "ed25519"])
class TestSignedTime:
    def test_is_what_the_key_vouches_for(self, key: Key) -> None:
        made = signed(key, at="2026-05-19T20:00:02.999999999Z")
        assert signed_time(made, KeyRing([key])) == SECOND
        assert made.when == made.at

    def test_of_another_key_is_none(self, key: Key) -> None:
        made = signed(key)
        assert signed_time(made, KeyRing()) is None
        assert signed_time(made, KeyRing([HmacKey(b"x" * 32)])) is None

    @pytest.mark.parametrize(
        "at",
        [
            "2026-05-19T20:00:03.000000000Z",
            "2020-01-01T00:00:00.000000000Z",
            "2026-13-45T20:00:02.000000000Z",
            "1969-12-31T23:59:59.000000000Z",
        ],
    )
    def test_another_second_than_the_signed_one_is_forged(self, key: Key, at: str) -> None:
        moved = msgspec.structs.replace(signed(key), at=at)
        assert signed_time(moved, KeyRing([key])) is None
        assert check(moved, KeyRing([key])) == "mismatch"
        assert check(moved, KeyRing([key]), time=False) == "ok"

    def test_a_time_from_another_checkpoint_is_forged(self, key: Key) -> None:
        late = signed(key, at="2026-06-01T00:00:00.000000000Z", size=6)
        moved = msgspec.structs.replace(signed(key), at=late.at, cosignature=late.cosignature)
        assert signed_time(moved, KeyRing([key])) is None
        assert check(moved, KeyRing([key])) == "mismatch"

    @pytest.mark.parametrize("at", range(0, 44, 4))
    def test_every_byte_counts(self, key: Key, at: int) -> None:
        made = signed(key)
        data = bytearray(base64.b64decode(made.cosignature))
        data[at] ^= 1
        changed = msgspec.structs.replace(made, cosignature=base64.b64encode(data).decode())
        assert check(changed, KeyRing([key])) == "mismatch"

    def test_of_version_1_is_not_signed_and_says_so(self, key: Key) -> None:
        old = signed(key, version=1)
        assert old.cosignature == ""
        assert signed_time(old, KeyRing([key])) is None
        assert check(old, KeyRing([key])) == "ok"
        assert old.when == "2026-05-19T20:00:02.000000000Z (unsigned time)"
        assert b"cosignature" not in old.to_line()

    def test_before_1970_nothing_is_signed(self, key: Key) -> None:
        with pytest.raises(ValueError, match="1970"):
            signed(key, at="1969-12-31T23:59:59.000000000Z")


def test_the_cosignature_is_that_of_c2sp() -> None:
    note = signed(PAIR).to_note(cosigned=True)
    plain = signed(PAIR).to_note()
    assert note.text == plain.text
    assert note.signatures[0] == plain.signatures[0]
    name, key_id, made = note.signatures[1]
    assert name == ORIGIN
    named = ORIGIN.encode() + b"\n\x04" + PAIR.public
    assert key_id == hashlib.sha256(named).hexdigest()[:8]
    assert made[:8] == SECOND.to_bytes(8, "big")
    message = f"cosignature/v1\ntime {SECOND}\n{note.text}".encode()
    assert cosigned_text(SECOND, note.text.encode()) == message
    assert PAIR.verify(message, made[8:])
    assert Note.from_bytes(note.to_bytes()) == note
    assert note.check(KeyRing([PAIR])) == "ok"


def test_the_cosignature_of_a_shared_key_is_its_analogue() -> None:
    made = signed(HMAC)
    data = base64.b64decode(made.cosignature)
    assert data[:12] == bytes.fromhex(made.key_id) + SECOND.to_bytes(8, "big")
    message = f"cosignature/v1\ntime {SECOND}\n".encode() + made.text()
    secret = bytes.fromhex(EXPECTED["hmac-sha256"]["key_hex"])
    assert data[12:] == hmac.digest(secret, message, "sha256")
