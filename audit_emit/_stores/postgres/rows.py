"""A record as a row: the exact line, its link, and copies of members for searching.

Pure. The verifier makes the copies again from the line (``project``) and compares.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import msgspec

from audit_emit._format.chain import ZERO
from audit_emit._format.record import bump, chain_line, parsed
from audit_emit._stores.base import Linked

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_is_uuid = re.compile(_UUID).fullmatch
_are_uuids = re.compile(f"{_UUID}(?:\n{_UUID})*").fullmatch
_UUID_LENGTH = 37
"""With a newline; one text that holds two UUIDs and a newline is none."""
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
COPIED = 1024
"""Characters of a copy: what is longer is not indexed whole, and stands in the line."""

COPIED_BYTES = 2560
"""Of a copy in UTF-8: an entry of an index takes 2704, or the record goes into no table."""

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


def project(line: str) -> Copies:
    """The copies of a line; of what is no JSON object they are empty.

    A character that PostgreSQL cannot hold (NUL, a lone surrogate) is U+FFFD in a copy.
    """
    usual = _usual([line])
    if usual is not None:
        return usual[0]
    try:
        found = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        members = parsed(line.encode()) or {}
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


def _usual(lines: Sequence[str]) -> list[Copies] | None:
    """The copies of several lines where none is out of the ordinary, in a quarter of the time."""
    text = "\n".join(lines)
    if "\\u" in text:
        return None  # only so can there be a character that PostgreSQL cannot hold
    # The decoder takes values, whatever is between them. As each line begins one, none goes over
    # its end: who writes two in one line and one in two would move the copies of others.
    if not text.startswith("{") or not text.count("\n") == text.count("\n{") == len(lines) - 1:
        return None
    try:
        found = _TEXT_DECODER.decode_lines(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    identities = "\n".join([one.id for one in found])
    is_one_each = len(found) == len(lines) and len(identities) == _UUID_LENGTH * len(found) - 1
    if not is_one_each or _are_uuids(identities) is None:
        return None
    copies: list[Copies] = list(map(_copies_of, map(msgspec.structs.astuple, found)))
    short = COPIED_BYTES // 4  # whatever the characters are
    if max(map(len, lines)) > short and any(len(max(one, key=len)) > short for one in copies):  # type: ignore[arg-type]
        return None
    return copies


_copies_of: Any = partial(tuple.__new__, Copies)


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    text = _NOT_TEXT.sub("\ufffd", value[:COPIED])
    return text.encode()[:COPIED_BYTES].decode(errors="ignore")


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

    @classmethod
    def each(
        cls, prefixes: Sequence[str], own: Iterable[bool] = repeat(False)
    ) -> list[UnlinkedRow]:
        """The same of several."""
        lines = [f"{prefix}}}" for prefix in prefixes]
        return list(map(cls, prefixes, _usual(lines) or map(project, lines), own))


class Row(NamedTuple):
    """A linked record: ``line`` with its newline, ``hash`` and ``prev`` as 64 hex digits.

    ``body`` is the line up to its link, and ``prev`` the hash of the record before it.
    """

    seq: int
    hash: str
    line: str
    body: str
    copies: Copies
    prev: str
    own: bool = False

    def linked(self, chain: str) -> Linked:
        """What a store says of it."""
        line, identity = self.line.encode(), self.copies.id or ""
        return Linked(line, chain, self.seq, self.hash, self.prev, identity, self.own)

    @classmethod
    def of_line(cls, line: str, head: Head, digest: str) -> Row | None:
        """A line that is linked already; ``None`` if it is not, to this head and with this hash.

        Args:
            line: without its newline.
        """
        seq, end = head.seq + 1, f'"hash":"{digest}"}}'
        end = f',"chain":"{head.chain}","seq":{seq},"prev_hash":"{head.hash}",{end}'
        if not line.endswith(end):
            return None
        return cls(seq, digest, f"{line}\n", line[: -len(end)], project(line), head.hash)


def link(drafts: Iterable[UnlinkedRow], head: Head) -> list[Row]:
    """The drafts as the next records after ``head``: two of a chain never share a ``ts``."""
    rows: list[Row] = []
    chain, seq, digest, last = head[:4]
    for prefix, copies, own in drafts:
        if copies.ts == last and last:
            prefix = bump(prefix)  # noqa: PLW2901 - the same record, one nanosecond later
            copies = copies._replace(ts=prefix[7:37])  # noqa: PLW2901
        seq, before = seq + 1, digest
        line, digest = chain_line(prefix, chain, seq, before)
        last = copies.ts
        rows.append(Row(seq, digest, line, prefix, copies, before, own))
    return rows


_TYPES = ("text", "bigint", "bytea", "boolean", "text", "bytea", "text", "text", "text")
_VALUES = ", ".join(f"%b::{name}" for name in _TYPES)
APPEND = f"SELECT appended, kind, seq, hash, ts FROM audit_emit.append_bodies({_VALUES})"  # noqa: S608 - constants
"""The lines come as one text that the server splits, and the copies as another one: psycopg takes
twenty times as long to put them into arrays."""

_SEPARATOR, _NULL = "\x1e", "\x1d"


def arguments(head: Head, rows: Sequence[Row], *, is_async: bool) -> list[Any]:
    """What ``APPEND`` takes."""
    bodies = "\n".join([row.body for row in rows])
    hashes = bytes.fromhex("".join([row.hash for row in rows]))
    copies = _joined([text for row in rows for text in row.copies])
    return [head.chain, head.seq, bytes.fromhex(head.hash), is_async, bodies, hashes, *copies]


def _joined(texts: Sequence[str | None]) -> tuple[str, str, str]:
    """The texts as one, what separates them, and what stands for ``NULL``."""
    separator, null = _SEPARATOR, _NULL
    missing = texts.count(None)
    while True:
        given = [null if text is None else text for text in texts] if missing else texts
        joined = separator.join(given)  # type: ignore[arg-type]
        if joined.count(separator) == len(texts) - 1 and joined.count(null) == missing:
            return joined, separator, null
        # A copy may hold any character: what nobody can guess is in none of them.
        separator, null = secrets.token_hex(8), secrets.token_hex(8)
