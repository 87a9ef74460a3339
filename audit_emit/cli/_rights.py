"""Why this user may not look at a path: which directory forbids it, and who owns that."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from audit_emit._facade.text import visible


def whose(path: str) -> str:
    """What keeps this user from ``path``, with its owner, its group and its mode.

    That is the first directory on the way that may not be passed through, else the path itself;
    an empty text where nothing of it can be known.
    """
    full = Path(os.path.abspath(path))
    reached = Path(full.anchor)
    for name in full.parts[1:]:
        try:
            (reached / name).lstat()
        except OSError:
            break
        reached /= name
    try:
        found = reached.stat()
    except OSError:
        return ""
    owner = _name(reached.owner, found.st_uid)
    group = _name(reached.group, found.st_gid)
    mode = stat.S_IMODE(found.st_mode)
    return f"{visible(str(reached))} is {owner}'s, of group {group}, with mode {mode:04o}"


def _name(ask: Callable[[], str], number: int) -> str:
    """The name of an account, else its number: a container may know none."""
    try:
        return visible(ask())
    except (KeyError, NotImplementedError, OSError):
        return str(number)
