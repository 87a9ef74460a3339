"""Columns as they are selected: of what is longer than a writer makes it, only the beginning comes.

Who may change everything in a database can put a gigabyte into any column. The server knows the
size of a value without looking at it, so it is asked for that first.
"""

from __future__ import annotations

from audit_emit._format.line_splitter import MAX_LINE
from audit_emit._readers.base import LONGEST_CHECKPOINT
from audit_emit._stores.postgres.rows import COPIED, COPIED_BYTES

_CROPPED = MAX_LINE // 4
"""Characters, of four bytes at most."""

SIZE = "coalesce(octet_length(line), 0)"
LINE = f"""\
CASE WHEN octet_length(line) <= {MAX_LINE} THEN line
  ELSE coalesce(left(line, {_CROPPED}), '') END"""
"""The line of a record; see ``is_cropped``."""

CHECKPOINT = f"CASE WHEN octet_length(line) <= {LONGEST_CHECKPOINT} THEN line ELSE '' END"
"""The line of a checkpoint; nothing of one that is too long to be one."""

HASH = "coalesce(substring(hash FROM 1 FOR 33), '')"
"""A hash has 32 bytes; with one more it is another one, and so is none."""


def copy(column: str) -> str:
    """A copy as a whole, or with one character more than a copy has."""
    return f"left({column}, {COPIED + 1})"


def copy_or(column: str, instead: str) -> str:
    """A copy, or what stands for one that is missing or too long."""
    return f"CASE WHEN octet_length({column}) <= {COPIED_BYTES} THEN {column} ELSE {instead} END"


def is_cropped(size: int) -> bool:
    """Whether only the beginning of a line of so many bytes came."""
    return size > MAX_LINE
