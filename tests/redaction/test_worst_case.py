"""The time that the rules take for a text is bounded, whatever somebody chose to put into it."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings, target
from hypothesis import strategies as st

from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.redactor import Redactor
from audit_emit._redaction.rules import RULES

REDACTOR = Redactor()
LENGTH = 8192
MOST = 20
"""Times the processor time of a harmless text of the same length."""
HARMLESS = ("the quick brown fox jumps over a lazy dog, and again " * 200)[:LENGTH]

WORDS = sorted(
    {word for rule in (*GRAMMAR, *RULES) for word in rule.keywords}
    | {text for rule in GRAMMAR for text in rule.examples}
)
BETWEEN = [
    *"=:,;|<>[](){}'\"\\&@/-.$!\n\t",
    *(": ", " = ", "->", '("', "='", '":"', "=[", "={", "\\'", '\\\\"', "://", "--", " - "),
    *(" from ", " to ", " is ", " for ", " in (", ") values (", " like '", "arn:a:", "a", "1"),
    *("%3d", "%253d", "&#61;", "\\u003d", "&amp;#37;3d", "\x1b[1m", "\uff1a", "\u00e9", "\u0131"),
    *("|\n  ", "=\n  - ", "<!--", "'''"),
]
FRAGMENTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(BETWEEN), min_size=1, max_size=8)


def taken(text: str, times: int) -> float:
    """Seconds of the processor: the least of some times, so that other processes do not count."""
    least = float("inf")
    for _ in range(times):
        start = time.thread_time()
        REDACTOR.scrub(text)
        least = min(least, time.thread_time() - start)
    return least


def ratio(text: str) -> float:
    """How many times as long as the harmless text; measured again before it is too much."""
    found = taken(text, 1) / taken(HARMLESS, 3)
    attempts = 0
    while found > MOST and attempts < 5:
        attempts += 1
        found = min(found, taken(text, 3) / taken(HARMLESS, 5))
    return found


@pytest.mark.parametrize(
    "fragment",
    [
        "netloc='",
        "key=",
        "key=['",
        "key-> to ",
        "token='\\",
        'variable "a" {',
        '=[\u5bc6\u7801--=[ to \uff1a\u5bc6\u7801("',
        "=[,Invalid token 'ab12' is =[&amp;#37;3a WHERE token LIKE 'ab12%'requirepass in (",
        "'loc': ('password',), 'input': ",
        "arn:aws:secretsmanager:x ",
        "(a) values (",
        "<a name='password'>",
    ],
)
def test_what_was_slow_once_takes_at_most_twenty_times_a_harmless_text(fragment: str) -> None:
    text = (fragment * (LENGTH // len(fragment) + 1))[:LENGTH]
    assert ratio(text) <= MOST


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(FRAGMENTS, FRAGMENTS)
@example(["netloc="], [])
def test_no_text_takes_more_than_twenty_times_a_harmless_one(
    head: list[str], rest: list[str]
) -> None:
    repeated = "".join(rest) or "".join(head)
    text = ("".join(head) + repeated * (LENGTH // len(repeated) + 1))[:LENGTH]
    found = ratio(text)
    target(found)
    assert found <= MOST, (head, rest)


def test_time_grows_no_faster_than_the_text() -> None:
    fragment = "key = [token: 'a\\' to netloc="
    shorter, longer = (fragment * (size // len(fragment)) for size in (LENGTH // 8, LENGTH))
    assert taken(longer, 5) <= 16 * taken(shorter, 5)
