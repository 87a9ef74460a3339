"""The time that the rules take for a text is bounded, whatever somebody chose to put into it."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings, target
from hypothesis import strategies as st
from support.slow_texts import (
    BETWEEN,
    LENGTH,
    MOST,
    SLOW_ONCE,
    WORDS,
    lasting_ratio,
    repeated,
    taken,
)

FRAGMENTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(BETWEEN), min_size=1, max_size=8)


@pytest.mark.parametrize("fragment", SLOW_ONCE)
def test_what_was_slow_once_takes_at_most_twenty_times_a_harmless_text(fragment: str) -> None:
    assert lasting_ratio(repeated([fragment])) <= MOST


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(FRAGMENTS, FRAGMENTS)
@example(["netloc="], [])
def test_no_text_takes_more_than_twenty_times_a_harmless_one(
    head: list[str], rest: list[str]
) -> None:
    text = repeated(rest or head, "".join(head))
    found = lasting_ratio(text)
    target(found)
    assert found <= MOST, (head, rest)


def test_time_grows_no_faster_than_the_text() -> None:
    fragment = "key = [token: 'a\\' to netloc="
    shorter, longer = (fragment * (size // len(fragment)) for size in (LENGTH // 8, LENGTH))
    assert taken(longer, 5) <= 16 * taken(shorter, 5)
