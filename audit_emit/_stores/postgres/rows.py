"""A record as a row: the exact line, its link, and what is copied out of it to search by.

Pure. The verifier makes the copies again from the line (``project``) and compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.chain import ZERO
from audit_emit._format.record import bump, chain_line, parsed
from audit_emit._stores.base import Linked

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
COPIED = 1024
"""Characters of a copy: what is longer is not indexed whole, and stands in the line."""

BATCH = 512
"""Records of one append at most."""


class Copies(NamedTuple):
    """What stands in columns of its own. ``id`` is ``None`` when it is no UUID."""

    id: str | None
    ts: str
    event_type: str
    workspace_id: str | None
    user_id: str | None
    correlation_id: str | None


class _Members(msgspec.Struct, gc=False):
    """The members that are copied; ``Any``, as a shipped line was written by who knows whom."""

    id: Any = None
    ts: Any = ""
    event_type: Any = ""
    workspace_id: Any = None
    user_id: Any = None
    correlation_id: Any = None


_DECODER = msgspec.json.Decoder(_Members)


def project(line: str | bytes) -> Copies:
    """The copies of a line; of what is no JSON object they are empty.

    A character that PostgreSQL cannot hold (NUL, a lone surrogate) is U+FFFD in a copy.
    """
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members = parsed(line.encode() if isinstance(line, str) else line) or {}
        found = _Members(**{k: v for k, v in members.items() if k in _Members.__struct_fields__})
    identity = found.id
    return Copies(
        identity if isinstance(identity, str) and _UUID.fullmatch(identity) else None,
        _text(found.ts) or "",
        _text(found.event_type) or "",
        _text(found.workspace_id),
        _text(found.user_id),
        _text(found.correlation_id),
    )


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return _NOT_TEXT.sub("\ufffd", value[:COPIED])


class Head(NamedTuple):
    """The end of a chain as ``heads`` has it; ``hash`` as 64 hex digits, ``ts`` may be empty."""

    chain: str
    seq: int
    hash: str
    ts: str = ""
    kind: str = "live"

    @classmethod
    def of(cls, row: Sequence[Any]) -> Head:
        """From the columns chain, seq, hash, ts, kind."""
        chain, seq, digest, ts, kind = row
        return cls(chain, seq, bytes(digest).hex(), ts, kind)


NEW = Head("", 0, ZERO)


class UnlinkedRow(NamedTuple):
    """A record that is not linked: its text up to member 11 without the brace, and its copies.

    ``own`` says whether it is about the log itself.
    """

    prefix: str
    copies: Copies
    own: bool = False

    @classmethod
    def of(cls, prefix: str, *, own: bool = False) -> UnlinkedRow:
        """From the text."""
        return cls(prefix, project(prefix + "}"), own)


class Row(NamedTuple):
    """A linked record: ``line`` without its newline, ``hash`` and ``prev`` as 64 hex digits.

    ``prev``, the hash of the record before it, is empty in a row of a line that was linked already.
    """

    seq: int
    hash: str
    line: str
    copies: Copies
    prev: str = ""
    own: bool = False

    def linked(self, chain: str) -> Linked:
        """What a store says of it."""
        line = f"{self.line}\n".encode()
        return Linked(line, chain, self.seq, self.hash, self.prev, self.copies.id or "", self.own)

    @classmethod
    def of_line(cls, line: str, seq: int, digest: str) -> Row:
        """A line that is linked already."""
        return cls(seq, digest, line, project(line))


def link(drafts: Iterable[UnlinkedRow], head: Head) -> list[Row]:
    """The drafts as the next records after ``head``: two of a chain never share a ``ts``."""
    rows: list[Row] = []
    seq, digest, last = head.seq, head.hash, head.ts
    for prefix, copies, own in drafts:
        if copies.ts == last and last:
            prefix = bump(prefix)  # noqa: PLW2901 - the same record, one nanosecond later
            copies = copies._replace(ts=prefix[7:37])  # noqa: PLW2901
        seq, before = seq + 1, digest
        line, digest = chain_line(prefix, head.chain, seq, before)
        last = copies.ts
        rows.append(Row(seq, digest, line[:-1], copies, before, own))
    return rows


APPEND = """\
SELECT appended, kind, seq, hash, ts FROM audit_emit.append(
  %b, %b::bigint, %b::bytea, %b, %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[],
  %b::text[], %b::text[], %b::text[])"""
"""Binary arrays: as text they take four times as long."""


def arguments(head: Head, rows: Sequence[Row], *, is_async: bool) -> list[Any]:
    """What ``APPEND`` takes."""
    columns = list(zip(*(row.copies for row in rows), strict=True))
    return [
        head.chain,
        head.seq,
        bytes.fromhex(head.hash),
        is_async,
        [row.line for row in rows],
        [bytes.fromhex(row.hash) for row in rows],
        *(list(column) for column in columns),
    ]
