from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.for_each import for_each

from audit_emit._format import encode

VECTORS = Path(__file__).parents[1] / "vectors" / "five-records.jsonl"
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
DANGEROUS = [
    *map(chr, range(0x20)),
    "\x7f",
    *map(chr, range(0x80, 0xA0)),
    *"\u2028\u2029\u061c\u200e\u200f",
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2066, 0x206A)),
    "\ud800",
    "\udfff",
]


@pytest.mark.parametrize("line", VECTORS.read_bytes().decode().splitlines())
def test_the_published_records_are_encoded_byte_for_byte(line: str) -> None:
    assert encode.to_json(json.loads(line)) == line


@given(PLAIN)
def test_what_is_encoded_is_read_back(value: object) -> None:
    assert json.loads(encode.to_json(value)) == value


@for_each("char", DANGEROUS)
def test_a_dangerous_character_is_always_an_escape_of_four_lower_case_digits(char: str) -> None:
    assert encode.text(f"a{char}b") == f'"a\\u{ord(char):04x}b"'


@given(st.text(st.characters()))
def test_no_dangerous_character_is_ever_raw(text: str) -> None:
    assert not set(encode.to_json({text: [text]})) & set(DANGEROUS)


def test_quotes_and_backslashes_have_their_short_escapes() -> None:
    assert encode.text('a"b\\c/d') == r'"a\"b\\c/d"'


def test_a_backslash_before_a_letter_is_not_taken_for_an_escape() -> None:
    assert encode.text("\\n \\u000a") == r'"\\n \\u000a"'


def test_other_text_stays_readable() -> None:
    assert encode.text("Zürich 王 😀") == '"Zürich 王 😀"'


def test_lone_surrogates_that_would_make_a_pair_stay_two_escapes() -> None:
    assert encode.text("\ud83d\ude00") == r'"\ud83d\ude00"'


def test_other_text_beside_a_surrogate_stays_readable() -> None:
    assert encode.to_json({"a": "é\udc80\x9b\n"}) == '{"a":"é\\udc80\\u009b\\u000a"}'


@pytest.mark.parametrize("number", [1e22, 1e-7, 1.5, 10**30, -0.0])
def test_a_number_has_one_form_also_beside_a_surrogate(number: float) -> None:
    alone = encode.to_json({"n": number})
    assert encode.to_json({"n": number, "s": "\ud800"}) == f'{alone[:-1]},"s":"\\ud800"}}'
    assert (
        encode.to_json(["\ud800", [number], None, True]) == f'["\\ud800",[{alone[5:-1]}],null,true]'
    )
