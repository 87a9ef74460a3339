"""The quick search for many words finds what a plain one finds."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from audit_emit._redaction.anchors import anchored, any_of, signs_in_each

BEFORE = "(?<![A-Za-z0-9])"
LETTERS = st.text(alphabet="abek_-1K\u0430/", min_size=1, max_size=6)
WORDS = st.lists(LETTERS, min_size=1, max_size=12)


@given(WORDS, WORDS, st.lists(LETTERS, max_size=8))
def test_a_text_is_found_just_when_one_of_the_words_is_in_it(
    within: list[str], at_start: list[str], parts: list[str]
) -> None:
    text = "".join(parts)
    found = re.search(anchored(within, at_start, BEFORE), text) is not None
    starts = (re.search(BEFORE + re.escape(word), text) for word in at_start)
    assert found == (any(word in text for word in within) or any(starts))


def test_a_word_alone_is_found() -> None:
    assert re.search(anchored(["token"], (), BEFORE), "a token") is not None
    assert re.search(anchored((), ["sk-"], BEFORE), "task-1") is None
    assert re.search(anchored((), ["sk-"], BEFORE), "(sk-1") is not None


@given(WORDS, st.lists(LETTERS, max_size=8))
def test_the_signs_of_words_are_in_each_text_that_one_of_them_is_in(
    words: list[str], parts: list[str]
) -> None:
    text = "".join(parts)
    found = re.search(any_of(frozenset(words)), text) is not None
    assert found == any(word in text for word in words)
    signs = signs_in_each(words, 3)
    assert len(signs) <= 3
    assert not (found and signs and not any(sign in text for sign in signs))


def test_words_without_a_sign_have_none_that_is_in_each() -> None:
    assert signs_in_each(["code=", "/reset"], 3) == "/="
    assert signs_in_each(["code=", "reset"], 3) == ""
