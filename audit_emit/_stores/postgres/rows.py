"""A record as a row: the exact line, its link, and what is copied out of it to search by.

Pure. The verifier makes the copies again from the line (``project``) and compares.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.chain import ZERO
from audit_emit._format.record import bump, chain_line, parsed
from audit_emit._stores.base import Linked

_is_uuid = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
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


class _Texts(msgspec.Struct, gc=False):
    """The same where all of them are texts, as in every record that this library makes."""

    id: str
    ts: str
    event_type: str
    workspace_id: str
    user_id: str
    correlation_id: str


_TEXT_DECODER = msgspec.json.Decoder(_Texts)


def project(line: str | bytes) -> Copies:
    """The copies of a line; of what is no JSON object they are empty.

    A character that PostgreSQL cannot hold (NUL, a lone surrogate) is U+FFFD in a copy.
    """
    usual = _usual(line)
    if usual is not None:
        return usual
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members = parsed(line.encode() if isinstance(line, str) else line) or {}
        found = _Members(**{k: v for k, v in members.items() if k in _Members.__struct_fields__})
    identity = found.id
    return Copies(
        identity if isinstance(identity, str) and _is_uuid(identity) else None,
        _text(found.ts) or "",
        _text(found.event_type) or "",
        _text(found.workspace_id),
        _text(found.user_id),
        _text(found.correlation_id),
    )


def _usual(line: str | bytes) -> Copies | None:
    """The copies where none is out of the ordinary, which takes a third of the time."""
    if (b"\\u" if isinstance(line, bytes) else "\\u") in line:  # type: ignore[operator]
        return None  # only so can there be a character that PostgreSQL cannot hold
    try:
        found = _TEXT_DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if _is_uuid(found.id) is None:
        return None
    copies = Copies(found.id, found.ts, found.event_type, found.workspace_id, found.user_id,
                    found.correlation_id)  # fmt: skip
    if len(line) > COPIED and len(max(copies, key=len)) > COPIED:  # type: ignore[arg-type]
        return None
    return copies


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


_TEXTS = "(pg_catalog.string_to_array(%b, %b, %b))[2:]"
_COLUMNS = ", ".join(_TEXTS for _ in Copies._fields)
APPEND = f"""\
SELECT appended, kind, seq, hash, ts FROM audit_emit.append(
  %b, %b::bigint, %b::bytea, %b, {_TEXTS}, %b::bytea[], {_COLUMNS})"""  # noqa: S608 - constants
"""Each array comes as one text that the server splits: psycopg takes twenty times as long to put
the elements into an array. A first element, which is left out, tells one empty text from none."""

_SEPARATOR, _NULL = "\x1e", "\x1d"


def arguments(head: Head, rows: Sequence[Row], *, is_async: bool) -> list[Any]:
    """What ``APPEND`` takes."""
    values: list[Any] = [head.chain, head.seq, bytes.fromhex(head.hash), is_async]
    values += _joined([row.line for row in rows])
    values.append("{" + ",".join([f'"\\\\x{row.hash}"' for row in rows]) + "}")
    for column in zip(*(row.copies for row in rows), strict=True):
        values += _joined(column)
    return values


def _joined(column: Sequence[str | None]) -> tuple[str, str, str]:
    """The texts of a column as one, what separates them, and what stands for ``NULL``."""
    separator, null = _SEPARATOR, _NULL
    while True:
        texts = ["", *(null if text is None else text for text in column)]
        joined = separator.join(texts)
        if joined.count(separator) == len(column) and joined.count(null) == column.count(None):
            return joined, separator, null
        # A copy may hold any character: what nobody can guess is in none of them.
        separator, null = secrets.token_hex(8), secrets.token_hex(8)
