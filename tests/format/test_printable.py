"""What is shown of a text: everything that it holds, and nothing that it says to a terminal."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from itertools import combinations

import pytest

from audit_emit._format.printable import shown_value, visible, without_passwords

WITHOUT_INK = (
    "HANGUL FILLER",
    "CHOSEONG FILLER",
    "JUNGSEONG FILLER",
    "SCRIPT FILLER",
    "BRAILLE PATTERN BLANK",
    "GRAPHEME JOINER",
    "VOWEL INHERENT",
    "NULL NOTEHEAD",
)
"""Parts of the names, in Unicode's own list, of letters, marks and symbols that are not drawn."""


def every_character() -> Iterator[str]:
    return map(chr, range(sys.maxunicode + 1))


def named(character: str) -> str:
    return unicodedata.name(character, "")


@pytest.mark.thorough
def test_blanks_and_what_no_terminal_draws_are_spelled_out() -> None:
    wanted = [
        character
        for character in every_character()
        if character != " "
        and (
            unicodedata.category(character)[0] in "CZ"
            or "VARIATION SELECTOR" in named(character)
            or any(part in named(character) for part in WITHOUT_INK)
        )
    ]
    assert len(wanted) > 100_000
    assert [character for character in wanted if visible(character) == character] == []


def test_what_is_drawn_stays_as_it_is() -> None:
    text = "Zoë Ünal 東京 नमस्ते עברית 🔑 x²+1 e\u0301"
    assert visible(text) == text


HIDDEN = (
    0xA0, 0x34F, 0x378, 0x115F, 0x1160, 0x17B4, 0x180B, 0x200B, 0x2065, 0x2800, 0x3000, 0x3164,
    0xFE0F, 0xFFA0, 0xFFF0, 0xE0041, 0xE0100, 0xE0FFF,
)  # fmt: skip


@pytest.mark.parametrize("hidden", list(map(chr, HIDDEN)), ids=list(map(hex, HIDDEN)))
def test_two_users_never_look_like_one(hidden: str) -> None:
    names = [
        "admin",
        f"admin{hidden}",
        f"{hidden}admin",
        f"admin\\u{ord(hidden):04x}",
        f"adm{hidden}in",
    ]
    assert len({shown_value(name) for name in names}) == len(names)
    assert all(hidden not in shown_value(name) for name in names)


@pytest.mark.thorough
def test_no_two_characters_look_like_each_other_when_spelled_out() -> None:
    shown = {character: visible(character) for character in every_character()}
    spelled = [text for character, text in shown.items() if text != character]
    assert len(set(spelled)) == len(spelled)
    assert not [text for text in spelled if shown.get(text) == text]


@pytest.mark.parametrize(
    ("one", "other"), list(combinations(["\x1b", "␛", r"\u241b", r"\u001b"], 2))
)
def test_a_picture_of_a_control_character_is_not_taken_for_it(one: str, other: str) -> None:
    assert shown_value(one) != shown_value(other)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:held@db/audit", "postgresql://me@db/audit"),
        ("postgresql://db/audit?user=me&password=held", "postgresql://db/audit?…"),
        ("postgresql://db:5432/audit?password=he@ld", "postgresql://db?…"),
        ("https://loki/?token=he@ld", "https://loki/?…"),
        ("https://me:he?ld@loki/", "https://me?…"),
        ("https://me:he@ld#x@loki/", "https://me@loki/"),
        ("s3://bucket/prefix@2", "s3://bucket/prefix@2"),
        ("postgresql:/me:held@db/audit: No such file", "postgresql:/me@db/audit: No such file"),
    ],
)
def test_an_address_is_shown_without_what_may_be_a_password(address: str, shown: str) -> None:
    assert without_passwords(f"no such log: {address}") == f"no such log: {shown}"
