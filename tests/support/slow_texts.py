"""Texts that take the rules long, and how many times as long as a harmless one of their length."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

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
    while found > MOST and attempts < 5:
        attempts += 1
        found = min(found, taken(text, 3) / taken(HARMLESS, 5))
    return found


def lasting_ratio(text: str) -> float:
    """The same; what is too much is measured once more in a new process.

    This one may hold the memory of thousands of tests, which makes whatever allocates much slower
    for a while. What is slow in itself is slow there, too.
    """
    found = ratio(text)
    if found <= MOST:
        return found
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE],
        input=text.encode("utf-8", "surrogatepass"),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=True,
        capture_output=True,
    )
    return min(found, float(done.stdout))


_MEASURE = """
import sys
from support.slow_texts import ratio
print(ratio(sys.stdin.buffer.read().decode("utf-8", "surrogatepass")))
"""

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
