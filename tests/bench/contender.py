"""What a contender of a benchmark is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Contender:
    """Something that logs.

    Attributes:
        log: logs one of ``events``.
        events: what is logged, in rotation.
        settle: returns when nothing is under way in the background.
    """

    log: Callable[[Any], object]
    events: list[Any]
    settle: Callable[[], object] = bool


Opener = Callable[[Path], Contender]
