"""Which descriptors of this process are open on something.

Counting all of them would count what other tests have left to the collector and to threads.
"""

from __future__ import annotations

import os
from pathlib import Path

LISTED = "/proc/self/fd"


def opened(path: Path) -> list[str]:
    """What is open of a file, or of everything in a directory, by name; once per descriptor."""
    found = []
    for number in os.listdir(LISTED):
        try:
            name = os.readlink(f"{LISTED}/{number}")
        except FileNotFoundError:  # the one of the listing itself, or closed meanwhile
            continue
        if Path(name.removesuffix(" (deleted)")).is_relative_to(path.resolve()):
            found.append(name)
    return found


def same_file(number: int) -> int:
    """How many descriptors are open on what ``number`` is open on, itself included."""
    wanted = os.readlink(f"{LISTED}/{number}")
    found = 0
    for other in os.listdir(LISTED):
        try:
            found += os.readlink(f"{LISTED}/{other}") == wanted
        except FileNotFoundError:
            continue
    return found
