"""Signed notes: a text, a blank line, and signature lines (https://c2sp.org/signed-note).

Pure. Only Ed25519 signatures are made and checked; those of other keys are kept as they are.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from audit_emit._signing.trusted_keys import ED25519, KeyRing, Verdict

MAX_BYTES = 1024 * 1024
MAX_SIGNATURES = 100
_DASH = "\u2014 "


class Signature(NamedTuple):
    """One signature line: the key's name, its id (8 hex digits), and the signature."""

    name: str
    key_id: str
    signature: bytes


class Note(NamedTuple):
    """A text that ends in a newline, and the signatures under it. Nothing is checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The bytes of the note."""
        lines = "".join(
            f"{_DASH}{name} {base64.b64encode(bytes.fromhex(key_id) + made).decode()}\n"
            for name, key_id, made in self.signatures
        )
        return f"{self.text}\n{lines}".encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Note:
        """Read what ``to_bytes`` wrote.

        Raises:
            ValueError: the data are no note.
        """
        if len(data) > MAX_BYTES:
            raise ValueError("a note of more than 1 MiB")
        try:
            whole = data.decode()
        except UnicodeDecodeError:
            raise ValueError("not a note: it is not UTF-8") from None
        if any(character < " " and character != "\n" for character in whole):
            raise ValueError("not a note: it holds control characters")
        # The text may hold empty lines; the last one ends it.
        text, blank, under = whole.rpartition("\n\n")
        lines = under.split("\n")
        if not blank or lines.pop() or not 1 <= len(lines) <= MAX_SIGNATURES:
            raise ValueError("not a note: no signature lines after a blank line")
        return cls(f"{text}\n", tuple(map(parse_line, lines)))

    def check(self, ring: KeyRing) -> Verdict:
        """Check the signatures of keys of a ring.

        Returns:
            ``ok`` when at least one of these keys has signed and none of their signatures is
            forged; ``mismatch`` when one is; ``key-unavailable`` when the ring has none of the
            keys.
        """
        verdict: Verdict = "key-unavailable"
        for name, key_id, made in self.signatures:
            one = ring.check(ED25519, key_id, name, self.text.encode(), made)
            if one == "mismatch":
                return one
            if one == "ok":
                verdict = one
        return verdict


def parse_line(line: str) -> Signature:
    """One signature line, without its newline.

    Raises:
        ValueError: the line is no signature line.
    """
    dash, rest = line[:2], line[2:]
    name, space, encoded = rest.partition(" ")
    if dash != _DASH or not space or not valid_name(name):
        raise ValueError("not a note: a signature line is malformed")
    try:
        made = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not a note: a signature is not base64") from None
    if len(made) < 5 or base64.b64encode(made).decode() != encoded:
        raise ValueError("not a note: a signature is malformed")
    return Signature(name, made[:4].hex(), made[4:])


def valid_name(name: str) -> bool:
    """Whether a key may have this name: not empty, no white space, no ``+``."""
    return bool(name) and "+" not in name and not any(map(str.isspace, name))
