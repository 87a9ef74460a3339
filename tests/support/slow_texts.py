"""Texts that take the rules long, and how many times as long as a harmless one of their length."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.redactor import Redactor
from audit_emit._redaction.rules import RULES

__all__ = ["BETWEEN", "LENGTH", "MOST", "SLOW_ONCE", "WORDS", "ratio", "repeated", "taken"]

REDACTOR = Redactor()
LENGTH = 8192
MOST = 20
"""Times the processor time of a harmless text of the same length."""
HARMLESS = ("the quick brown fox jumps over a lazy dog, and again " * 200)[:LENGTH]

WORDS = sorted(
    {word for rule in GRAMMAR for word in rule.keywords}
    | {word for rule in RULES for word in rule.keywords}
    | {text for rule in GRAMMAR for text in rule.examples}
)
BETWEEN = [
    *"=:,;|<>[](){}'\"\\&@/-.$!\n\t",
    *(": ", " = ", "->", '("', "='", '":"', "=[", "={", "\\'", '\\\\"', "://", "--", " - "),
    *(" from ", " to ", " is ", " for ", " in (", ") values (", " like '", "arn:a:", "a", "1"),
    *("%3d", "%253d", "&#61;", "\\u003d", "&amp;#37;3d", "\x1b[1m", "\uff1a", "\u00e9", "\u0131"),
    *("|\n  ", "=\n  - ", "<!--", "'''"),
]


def taken(text: str, times: int) -> float:
    """Seconds of the processor: the least of some times, so that other processes do not count.

    Without the collector of garbage: it would look at all that the other tests have left.
    """
    least = float("inf")
    collects = gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            start = time.thread_time()
            REDACTOR.scrub(text)
            least = min(least, time.thread_time() - start)
    finally:
        if collects:
            gc.enable()
    return least


def ratio(text: str) -> float:
    """How many times as long as the harmless text; measured again before it is too much."""
    found = taken(text, 1) / taken(HARMLESS, 3)
    attempts = 0
    while found > MOST and attempts < 15:
        attempts += 1
        found = min(found, taken(text, 3) / taken(HARMLESS, 5))
    return found


SLOW_ONCE = [
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
]
"""Fragments that were slow when repeated, before the rules took linear time."""


def repeated(fragments: Sequence[str], head: str = "") -> str:
    """A text of ``LENGTH`` characters that begins with ``head`` and repeats some fragments."""
    fragment = "".join(fragments)
    return (head + fragment * (LENGTH // len(fragment) + 1))[:LENGTH]
