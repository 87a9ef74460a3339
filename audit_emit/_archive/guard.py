"""The file that says which day a worker has done, and what kept it from the next one.

It is beside the journal, so that a worker that is started again, or another one of the same log and
archive, does not do a day twice. It proves nothing: without it a day is done again, which finds
nothing new.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from typing import NamedTuple

from audit_emit._runtime.atomic import replace_file

_LONGEST = 600
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})?")


class Noted(NamedTuple):
    """The content of the file.

    Attributes:
        day: the last one that was done, as ``2026-05-19``; empty for none.
        failed: when and why the last try failed; empty if it did not.
    """

    day: str = ""
    failed: str = ""


def guard_of(directory: str, where: str, *databases: str) -> str:
    """The path of the file.

    Args:
        directory: of the journal.
        where: the address of the archive: a log may go into several, each with its own worker.
        databases: the addresses of the archived databases, without passwords: the workers of all
            databases share one directory.
    """
    named = "\n".join((where, *databases))
    digest = sha256(named.encode("utf-8", "surrogatepass")).hexdigest()
    return os.path.join(directory, f"archive.{digest[:8]}.day")


def noted(path: str) -> Noted:
    """Read the file; an empty ``Noted`` where there is none, or something else in it.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open(path, encoding="ascii") as file:
            day, _, failed = file.read(_LONGEST).partition("\n")
    except (FileNotFoundError, UnicodeDecodeError):
        return Noted()
    return Noted(day if _DAY.fullmatch(day) else "", failed.strip())


def note(path: str, day: str, failed: str = "") -> None:
    """Write the last day that is done, and why the next one failed.

    Raises:
        OSError: the file was not written.
    """
    text = failed.encode("ascii", "backslashreplace").decode().replace("\n", " ")
    replace_file(path, f"{day}\n{text}\n"[:_LONGEST].encode())
