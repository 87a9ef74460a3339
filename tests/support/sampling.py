"""How much of what is tried at every place is tried in an ordinary run of the tests.

``make fault`` sets ``AUDIT_EMIT_TEST_EXHAUSTIVE=1`` and tries all of it, which takes minutes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

VARIABLE = "AUDIT_EMIT_TEST_EXHAUSTIVE"
EXHAUSTIVE = os.environ.get(VARIABLE) == "1"  # read once: within a test there is none of ours
EVERY = 1 if EXHAUSTIVE else 7
"""Every so many-th is tried. Cases that come in turns of two, three or four are all met."""


def sampled(cases: Iterable[T]) -> Iterator[T]:
    """The cases of this run, the first one always among them."""
    return itertools.islice(cases, 0, None, EVERY)


def places() -> Iterator[int]:
    """0, and so on without an end."""
    return itertools.count(0, EVERY)
