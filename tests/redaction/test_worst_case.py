"""The work of the rules for a text is linear in it, whatever somebody chose to put into it.

``make bench BENCH=worst-texts`` looks for the text that takes longest.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import slow_texts
from support.for_each import for_each
from support.slow_texts import BETWEEN, LENGTH, SHORTER, SLOW_ONCE, WORDS, calls, repeated

FRAGMENTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(BETWEEN), min_size=1, max_size=8)
MOST = 32
"""Times as long for eight times the text: linear is 8, quadratic 64."""


def test_no_pattern_takes_quadratic_time_for_a_text_that_was_slow_once() -> None:
    """What goes on inside of one call, in the engine of patterns: only a clock can tell."""
    done = subprocess.run(
        [sys.executable, slow_texts.__file__, str(MOST)],
        env={**os.environ, "PYTHONPATH": str(Path(slow_texts.__file__).parents[1])},
        check=True,
        capture_output=True,
        text=True,
    )
    found = ast.literal_eval(done.stdout)
    assert found.keys() == set(SLOW_ONCE)
    assert {fragment: times for fragment, times in found.items() if times > MOST} == {}


@pytest.mark.thorough
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(FRAGMENTS, FRAGMENTS)
@example(["netloc="], ["netloc="])
@example([], ["token", "=", "["])
def test_the_steps_that_a_text_takes_grow_no_faster_than_the_text(
    head: list[str], rest: list[str]
) -> None:
    short, long = (repeated(rest, "".join(head), length) for length in (SHORTER, LENGTH))
    for text in (short, long):
        slow_texts.scrub(text)  # what is compiled and kept at the first time is no part of it
    assert calls(long) <= 20 * calls(short) + 2000


@pytest.mark.thorough
@for_each("fragment", SLOW_ONCE)
def test_the_steps_of_what_was_slow_once_grow_no_faster_either(fragment: str) -> None:
    short, long = (repeated([fragment], "", length) for length in (SHORTER, LENGTH))
    for text in (short, long):
        slow_texts.scrub(text)
    assert calls(long) <= 20 * calls(short) + 2000


def test_texts_in_dicts_that_are_never_closed_are_looked_at_few_times() -> None:
    text = repeated(['t o k e n = b;"password" => "{' + "(" * 200], '{"a": [')
    slow_texts.scrub(text)
    assert calls(text) < 20 * LENGTH


def test_of_texts_within_dicts_in_each_other_what_is_too_much_is_held_back() -> None:
    inner = json.dumps({"pw": "x", "note": "a token and " + "more words " * 500})
    text = json.dumps({"a": json.dumps({"b": json.dumps({"c": inner}), "d": "nothing"})})
    scrubbed = slow_texts.REDACTOR.scrub(text)
    assert scrubbed is not None
    assert "nothing" not in scrubbed
    assert scrubbed.startswith('{"a": "')


def test_a_text_of_nothing_but_names_of_secrets_is_held_back_from_some_place_on() -> None:
    few, many = ("a token, " * times + "a lazy dog" for times in (185, 240))
    assert slow_texts.REDACTOR.scrub(few) is None
    scrubbed = slow_texts.REDACTOR.scrub(many)
    assert scrubbed is not None
    assert scrubbed.startswith("a token, " * 185)
    assert "lazy" not in scrubbed


def test_of_a_text_of_nothing_but_disguised_names_the_rest_is_held_back() -> None:
    few, many = ("p@ssword: ${X_TOKEN}, " * times + "a lazy dog" for times in (48, 64))
    assert slow_texts.REDACTOR.scrub(few) is None
    scrubbed = slow_texts.REDACTOR.scrub(many)
    assert scrubbed is not None
    assert "lazy" not in scrubbed
