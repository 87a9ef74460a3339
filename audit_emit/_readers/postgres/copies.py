"""Compares the columns of rows with their lines, which they are copies of. Pure.

``agree`` accepts almost all rows, many at once. Rows that it does not accept may be right all the
same: ``differences`` decides about them, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.record import head_of
from audit_emit._readers.postgres.bounded import copy_or
from audit_emit._runtime import compiled
from audit_emit._stores.postgres.rows import Copies, project

_MISSING = "E'\\x1e'"
SELECTED = """\
string_agg(int8send(seq), ''), string_agg(uuid_send(id), ''),
string_agg(CASE WHEN octet_length(hash) = 32 THEN hash END, ''),
""" + ",\n".join(
    f"string_agg({copy_or(name, _MISSING)}, E'\\n')" for name in Copies._fields if name != "id"
)
"""The columns of rows that follow each other, as ``Columns``.

What is ``NULL`` or too long is left out of the bytes, and a control character in the texts, so that
in both it shows as a difference. No two sets of columns give the same values, as long as no text
that is compared with them has a control character: of the bytes each has its size, and of the texts
each but the last one is followed by a newline, so one with a newline in it makes too many.
"""

NUMBER, HASH = 8, 32


class Columns(NamedTuple):
    """The copies of rows that follow each other, one after the other.

    Attributes:
        numbers, ids, hashes: 8, 16 and 32 bytes for each row.
        ts, types, workspaces, users, correlations: texts with a newline between them.
    """

    numbers: bytes
    ids: bytes
    hashes: bytes
    ts: bytes
    types: bytes
    workspaces: bytes
    users: bytes
    correlations: bytes

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Columns:
        """From the values of ``SELECTED``."""
        return cls(*(value or b"" for value in values))


class _Members(msgspec.Struct, gc=False):
    """What is copied, of a line as all writers of this library make it."""

    ts: str
    event_type: str
    workspace_id: str
    user_id: str
    correlation_id: str
    id: str
    seq: int
    hash: str


_DECODER = msgspec.json.Decoder(_Members)


def agree(lines: bytes, columns: Columns) -> bool:
    """Whether all rows are usual ones whose columns agree with their lines; false proves nothing.

    Args:
        lines: with their newlines.
    """
    if compiled.copied is not None:
        return compiled.copied(lines, *columns)
    return _agree(lines, columns)


def _agree(lines: bytes, columns: Columns) -> bool:
    """The same in Python."""
    if b"\\u001" in lines:
        return False  # it may be the mark of what is missing
    try:
        found = _DECODER.decode_lines(lines)
        return (
            b"".join(one.seq.to_bytes(NUMBER) for one in found) == columns.numbers
            and "".join(one.hash for one in found) == columns.hashes.hex()
            and _ids(one.id for one in found) == columns.ids.hex()
            and [one.ts for one in found] == columns.ts.decode().split("\n")
            and [one.event_type for one in found] == columns.types.decode().split("\n")
            and [one.workspace_id for one in found] == columns.workspaces.decode().split("\n")
            and [one.user_id for one in found] == columns.users.decode().split("\n")
            and [one.correlation_id for one in found] == columns.correlations.decode().split("\n")
        )
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return False


def _ids(found: Iterator[str]) -> str:
    """Without the hyphens; what is no UUID in its usual form is no hex digits afterwards."""
    return "".join(
        one[:8] + one[9:13] + one[14:18] + one[19:23] + one[24:]
        if len(one) == 36 and one[8] == one[13] == one[18] == one[23] == "-"
        else "?"
        for one in found
    )


_COLUMNS = ("seq", "hash", *Copies._fields)


def differences(line: str, columns: Sequence[Any]) -> Iterator[str]:
    """The differences between the columns of a row and its line, in words.

    Args:
        columns: seq, the hash in hex, and those of ``Copies``.
    """
    head = head_of(line.encode())
    expected = (head.seq if head else None, head.hash if head else None, *project(line))
    for name, should_be, found in zip(_COLUMNS, expected, columns, strict=True):
        if should_be != found:
            yield f"column {name} of row {columns[0]} says {found!r}, its line says {should_be!r}"
