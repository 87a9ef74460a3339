"""Signed notes, against the example of the C2SP specification and the published vectors."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.five_records import EXPECTED

from audit_emit._format.signed_note import MAX_SIGNATURES, Note, Signature
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing

# https://c2sp.org/signed-note, section "Verifier keys", example.
C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n"
    "\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFX"
    "mRKuwHjG1Yu72IneyaQM=\n"
).encode()
OURS = EXPECTED["ed25519"]
NOTE = OURS["signed_note"].encode()


def ring(*vkeys: str) -> KeyRing:
    return KeyRing([Ed25519Key.from_vkey(vkey) for vkey in vkeys])


def test_the_example_of_the_specification() -> None:
    note = Note.from_bytes(C2SP_NOTE)
    assert note.text == "This is an example message.\n"
    assert note.check(ring(C2SP_KEY)) == "ok"
    assert note.to_bytes() == C2SP_NOTE
    assert Ed25519Key.from_vkey(C2SP_KEY).to_vkey("example.com/foo") == C2SP_KEY


def test_the_published_note() -> None:
    note = Note.from_bytes(NOTE)
    assert note.text == EXPECTED["checkpoint_text"]
    assert note.check(ring(OURS["vkey"])) == "ok"
    assert note.to_bytes() == NOTE


def test_a_changed_text_is_a_mismatch() -> None:
    changed = C2SP_NOTE.replace(b"example message", b"exAmple message")
    assert Note.from_bytes(changed).check(ring(C2SP_KEY)) == "mismatch"


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    note = Note.from_bytes(C2SP_NOTE)
    assert note.check(KeyRing()) == "key-unavailable"
    assert note.check(ring(OURS["vkey"])) == "key-unavailable"
    stranger = Signature("example.com/bar", "530d903a", b"x" * 64)
    assert Note(note.text, (stranger, *note.signatures)).check(ring(C2SP_KEY)) == "ok"


def test_one_forged_signature_of_a_known_key_spoils_the_note() -> None:
    note = Note.from_bytes(C2SP_NOTE)
    forged = note.signatures[0]._replace(signature=b"x" * 64)
    assert Note(note.text, (*note.signatures, forged)).check(ring(C2SP_KEY)) == "mismatch"
    assert Note(note.text, (forged, *note.signatures)).check(ring(C2SP_KEY)) == "mismatch"


def test_the_last_empty_line_ends_the_text() -> None:
    note = Note("one\n\nthree\n\n\n", (Signature("n", "00000000", b"s"),))
    assert Note.from_bytes(note.to_bytes()) == note


def signature_line(name: str = "example.com/a", made: bytes = b"12345") -> str:
    return f"\u2014 {name} {base64.b64encode(made).decode()}\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n" + signature_line().encode(),
        b"text\n\n" + signature_line().encode().rstrip(),
        b"text\n\n" + signature_line().encode() + b"more\n",
        b"text\r\n\n" + signature_line().encode(),
        b"te\xffxt\n\n" + signature_line().encode(),
        b"te\0xt\n\n" + signature_line().encode(),
        f"text\n\n{signature_line('')}".encode(),
        f"text\n\n{signature_line('a+b')}".encode(),
        b"text\n\n" + signature_line("a\u2003b").encode(),
        f"text\n\n{signature_line(made=b'1234')}".encode(),
        f"text\n\n{signature_line().replace('=', '')}".encode(),
        b"text\n\n" + signature_line().replace("\u2014", "--").encode(),
        f"text\n\n{signature_line() * (MAX_SIGNATURES + 1)}".encode(),
        b"x" * (1 << 20) + b"\n\n" + signature_line().encode(),
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="note"):
        Note.from_bytes(data)


NAMES = st.text(min_size=1).filter(
    lambda name: "+" not in name and not any(c.isspace() or c < " " for c in name)
)
TEXTS = st.text().filter(lambda text: not any(c < " " and c != "\n" for c in text))
SIGNATURES = st.builds(
    Signature,
    NAMES,
    st.binary(min_size=4, max_size=4).map(bytes.hex),
    st.binary(min_size=1, max_size=80),
)


@given(
    text=TEXTS.map(lambda text: f"{text}\n"),
    signatures=st.lists(SIGNATURES, min_size=1, max_size=4).map(tuple),
)
def test_a_note_survives_its_bytes(text: str, signatures: tuple[Signature, ...]) -> None:
    note = Note(text, signatures)
    assert Note.from_bytes(note.to_bytes()) == note


@given(data=st.binary(max_size=200), at=st.integers(0, len(C2SP_NOTE)))
def test_anything_is_a_note_or_a_value_error(data: bytes, at: int) -> None:
    with suppress(ValueError):
        Note.from_bytes(C2SP_NOTE[:at] + data)
