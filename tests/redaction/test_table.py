# ruff: noqa: RUF001 - letters that look like others are what is tested
"""The tables of the compiled part against the rules that they are made from."""

from __future__ import annotations

from array import array
from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from audit_emit._redaction import table
from audit_emit._redaction.engine import Engine
from audit_emit._redaction.letters import LETTER, LOOK, OTHER, UNKNOWN, Letters
from audit_emit._redaction.readings import ESCAPES, Reading, escaped

ENGINE = Engine()
TABLES = table.made(ENGINE).tables


def end_of(word: str, which: str) -> int:
    """What the trie says of a word; 0 when it is not in it."""
    classes, nodes = TABLES[f"{which}_classes"], array("H", TABLES[f"{which}_nodes"])
    node = 0
    for char in word:
        node = nodes[node * TABLES[f"{which}_columns"] + classes[ord(char)]]
        if not node:
            return 0
    return int(array("I", TABLES[f"{which}_ends"])[node])


def test_every_keyword_is_in_a_table() -> None:
    for rule in ENGINE.prefilter.rules:
        for word in rule.keywords:
            assert end_of(word, "exact") & (table.FIRST_GROUP - 1)
    for group in ENGINE.folded.groups:
        for word in group.words:
            if word.isascii():
                which = "folded" if group.ignore_case else "exact"
                assert end_of(word, which) >= table.FIRST_GROUP


def test_every_keyword_begins_with_a_pair_that_is_known() -> None:
    words = [word for rule in ENGINE.prefilter.rules for word in rule.keywords]
    words += [word for group in ENGINE.folded.groups for word in group.words if word.isascii()]
    for word in words:
        pair = ord(word[0]) << 7 | ord(word[1])
        triple = (pair << 1 ^ ord(word[2:3] or "z") * 259) & 0x7FFF
        assert bit("pairs", pair)
        assert bit("triples", triple) if len(word) > 2 else bit("shorts", pair)


def bit(name: str, at: int) -> int:
    return int(TABLES[name][at >> 3] & 1 << (at & 7))


@given(st.text("%0aF\\ux{n&#;amp\x1b[3m quotlgt", max_size=12))
def test_a_text_that_reads_otherwise_has_one_of_the_escapes(text: str) -> None:
    if Reading(text).differs:
        assert any(escape in text for escape in ESCAPES)


LETTERS = Letters({char: at for at, char in enumerate("aeiknoprstwyльハ密", 3)}, ":=→")


def known(char: str) -> int:
    LETTERS.learn(ord(char))
    return LETTERS.known[ord(char)]


def test_letters_are_what_they_are_read_as() -> None:
    assert [known(char) for char in "ü漢ß가"] == [LETTER] * 4
    assert [known(char) for char in "…“🙂€"] == [OTHER] * 4
    assert known("Ñ") == known("ñ") == known("ń") == 7
    assert known("Р") == known("р") == 9
    assert known("Л") == known("л") > OTHER
    for char in "＝：\u0303\u200b→½٣²\ud800\u2028":
        assert known(char) == LOOK, char


@given(st.characters(min_codepoint=128, max_codepoint=0x1FFFF))
def test_no_letter_that_may_be_another_one_is_passed_over(char: str) -> None:
    meaning = known(char)
    assert meaning != UNKNOWN
    if meaning in (LETTER, OTHER):
        assert not escaped(char)
        for reading in (char.lower(), normalize("NFKC", char).lower(), normalize("NFKD", char)):
            assert not set("aeiknñorstwyпарольハ密:=→").intersection(reading) or meaning == LETTER
