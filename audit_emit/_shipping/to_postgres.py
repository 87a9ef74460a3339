"""Shipping: the chain of a file, byte for byte, into PostgreSQL.

The file stays the record. What is there already is known from the head of the chain in the
database: its hash covers everything before it, so nothing needs to be kept here, a second shipper
does no harm, and a file that says something else is told, never merged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from audit_emit._format.chain import body_of
from audit_emit._format.line_splitter import Lines, split_lines
from audit_emit._format.record import Head as ChainHead
from audit_emit._format.record import head_of, parsed
from audit_emit._readers.base import Flaw, LogReader
from audit_emit._readers.postgres.bounded import CHECKPOINT
from audit_emit._settings.address import Address
from audit_emit._stores.postgres import driver, schema
from audit_emit._stores.postgres.rows import APPEND, BATCH, Head, Row, arguments
from audit_emit.errors import DatabaseError

_BYTES = 4 << 20
_HEAD = "SELECT chain, seq, hash, ts, kind FROM audit_emit.heads WHERE chain = %s"
_OPEN = "SELECT chain, seq, hash, ts, kind FROM audit_emit.open_shipped(%s, %s, %s, %s)"
_FLUSH = "SELECT audit_emit.flush_appends()"
_HASH = "SELECT encode(hash, 'hex') FROM audit_emit.records WHERE chain = %s AND seq = %s"
_CHECKPOINTS = f"SELECT {CHECKPOINT} FROM audit_emit.checkpoints WHERE chain = %s"  # noqa: S608 - constants

_SIGNED = "audit.checkpoint"
_LOOK_SECONDS = 600.0
"""How long checkpoints are not looked at that no record tells of."""

Progress = Callable[[int, int], None]


class Difference(Exception):  # noqa: N818 - reads as what was found
    """The file and the database do not hold the same chain; the message says where they differ."""


class Shipped(NamedTuple):
    """What one round did.

    Attributes:
        chain: of the log; empty where there is none yet.
        records: that are in the database now and were not.
        checkpoints: the same of checkpoints.
        passed: lines that are no records of the chain, and stay in the file.
        last: the number of the last record in the database.
    """

    chain: str
    records: int = 0
    checkpoints: int = 0
    passed: int = 0
    last: int = 0


class Shipper:
    """Ships logs over one connection.

    Args:
        address: of a role that has ``audit_emit_writer``.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Any = None
        self._looked: dict[str, float] = {}

    def ship(
        self,
        reader: LogReader,
        progress: Progress | None = None,
        give_up: Callable[[], bool] = bool,
    ) -> Shipped:
        """Bring over what the database does not have of one log.

        Args:
            reader: of the log.
            progress: told the bytes read, and how many there are.
            give_up: called after each batch; true ends it there, and the next round goes on.

        Raises:
            Difference: the database has something else, or the log has a hole.
            DatabaseError: it gives no answer; what came over by then stays, and the next round
                goes on from there.
            OSError: the log cannot be read.
        """
        first = reader.bounds().first
        if first is None:
            return Shipped("")
        try:
            return self._ship(reader, first, progress, give_up)
        except driver.load().Error as error:
            self.close()
            raise driver.failed(error, self._address, unknown=True) from None

    def close(self) -> None:
        """Give the connection back."""
        driver.close(self._connection)
        self._connection = None
        self._looked.clear()

    def _ship(
        self,
        reader: LogReader,
        first: ChainHead,
        progress: Progress | None,
        give_up: Callable[[], bool],
    ) -> Shipped:
        if self._connection is None or self._connection.closed:
            self._connect()
        head = self._head(reader, first)
        done, passed, signed = 0, 0, False
        for rows, others, read in _batches(reader, self._blocks(reader, head), head):
            passed += others
            if rows:
                head, sent = self._append(head, rows)
                done += sent
                signed = signed or any(row.copies.event_type == _SIGNED for row in rows)
            if progress is not None:
                progress(read, max(reader.size, read))
            if give_up():
                return Shipped(head.chain, done, 0, passed, head.seq)
        checkpoints = (
            self._checkpoints(reader, head.chain) if self._is_due(head, signed=signed) else 0
        )
        return Shipped(head.chain, done, checkpoints, passed, head.seq)

    def _connect(self) -> None:
        connection = driver.connect(self._address, name="audit_emit ship")
        try:
            schema.refuse_unfit(schema.state(connection), self._address)
        except BaseException:
            driver.close(connection)
            raise
        self._connection = connection

    def _is_due(self, head: Head, *, signed: bool) -> bool:
        """Whether to look at the checkpoints, which are all read then.

        Args:
            signed: a record that came over tells of one, which was kept before it was told.
        """
        now = time.monotonic()
        if not signed and now < self._looked.get(head.chain, 0.0) + _LOOK_SECONDS:
            return False
        self._looked[head.chain] = now
        return True

    def _head(self, reader: LogReader, first: ChainHead) -> Head:
        """The chain's head in the database, where it is begun if it is not there."""
        row = self._ask(_HEAD, first.chain)
        if row is None:
            line, previous = _first_line(reader, first)
            service = (parsed(line) or {}).get("service")
            name = service if isinstance(service, str) and service else "app"
            row = self._ask(_OPEN, name, first.chain, first.seq - 1, bytes.fromhex(previous))
        head = Head.of(row)
        if head.kind != "shipped":
            raise Difference(f"chain {head.chain} is written by the service itself, not shipped")
        return head

    def _blocks(self, reader: LogReader, head: Head) -> Iterator[Any]:
        """The blocks after the head.

        Raises:
            Difference: the log does not have that record.
        """
        try:
            known = ChainHead(*head[:4]) if self._has_records(head) else None
            yield from reader.since(known)
        except LookupError:
            raise Difference(self._difference(reader, head)) from None

    def _has_records(self, head: Head) -> bool:
        return head.seq > 0 and self._ask(_HASH, head.chain, head.seq) is not None

    def _difference(self, reader: LogReader, head: Head) -> str:
        """Where the log and the database part: hashes cover what is before them."""
        last = reader.bounds().last
        if last is None or last.chain != head.chain:
            return f"the log no longer holds chain {head.chain}"
        low, high = 0, min(last.seq, head.seq) + 1
        # Of each number below ``low`` both have the same record; ``high`` is where they differ.
        first = reader.bounds().first
        low = first.seq - 1 if first is not None else 0
        while high - low > 1:
            middle = (low + high) // 2
            theirs = self._ask(_HASH, head.chain, middle)
            mine = _hash_at(reader, middle)
            if theirs is not None and mine == theirs[0]:
                low = middle
            else:
                high = middle
        if high > last.seq:
            return (
                f"the log ends with record {last.seq}, and the database has {head.seq} "
                f"of chain {head.chain}: the log was cut"
            )
        return f"record {high} of chain {head.chain} is another one in the database"

    def _append(self, head: Head, rows: list[Row]) -> tuple[Head, int]:
        """Append, or find that another shipper was faster."""
        answer = self._ask(APPEND, *arguments(head, rows, is_async=True))
        self._connection.execute(_FLUSH)
        appended, kind, seq, digest, ts = answer
        now = Head(head.chain, seq, bytes(digest).hex(), ts, kind)
        if appended:
            return now, len(rows)
        for row in rows:
            if row.seq > now.seq:
                break
            theirs = self._ask(_HASH, head.chain, row.seq)
            if theirs is None or theirs[0] != row.hash:
                raise Difference(
                    f"record {row.seq} of chain {head.chain} is another one in the database"
                )
        rest = [row for row in rows if row.seq > now.seq]
        if now.seq > rows[-1].seq or not rest:
            last = rows[-1]
            return Head(head.chain, last.seq, last.hash, last.copies.ts, kind), 0
        # The server writes the link to the head that it is given, whatever the record links to.
        if (rest[0].seq, rest[0].prev) != (now.seq + 1, now.hash):
            raise DatabaseError(
                "not-linked",
                f"{self._address.shown}: chain {head.chain} ends with another record than before, "
                f"{now.seq}: was a backup of the database restored?",
            )
        return self._append(now, rest)

    def _checkpoints(self, reader: LogReader, chain: str) -> int:
        there = {line for (line,) in self._connection.execute(_CHECKPOINTS, [chain]).fetchall()}
        added = 0
        for one in reader.checkpoints() or ():
            members = parsed(one.line)
            text = one.line.decode("utf-8", "replace")
            number = (members or {}).get("head_seq")
            if members is None or members.get("chain") != chain or one.torn or text in there:
                continue
            if isinstance(number, int) and 0 < number < 2**63:
                self._ask("SELECT audit_emit.add_checkpoint(%s, %s, %s)", chain, number, text)
                there.add(text)
                added += 1
        return added

    def _ask(self, query: str, *values: Any) -> Any:
        return self._connection.execute(query, values).fetchone()


def _batches(
    reader: LogReader, blocks: Iterator[Any], head: Head
) -> Iterator[tuple[list[Row], int, int]]:
    """The records that follow, in batches; the lines that are none; the bytes read.

    Raises:
        Difference: the chain has a hole, or a record that was changed.
    """
    rows: list[Row] = []
    size, passed, read = 0, 0, 0
    for line, at in _lines(reader, blocks):
        read = at
        link = _link(line, head.chain)
        if link is None or link.seq <= head.seq:
            passed += 1
            continue
        row = Row.of_line(line.decode(), head, link.hash)
        if row is None:
            raise Difference(f"the log has a hole, or a break, before record {link.seq}")
        if sha256(b"\0" + body_of(line)).hexdigest() != link.hash:
            raise Difference(f"record {link.seq} of the log was changed")
        head = head._replace(seq=link.seq, hash=link.hash)
        rows.append(row)
        size += len(line)
        if len(rows) >= BATCH or size > _BYTES:
            yield rows, passed, read
            rows, size, passed = [], 0, 0
    yield rows, passed, read


def _link(line: bytes, chain: str) -> ChainHead | None:
    """The place of a line that is a record of this chain, and can be a row."""
    found = head_of(line)
    if found is None or found.chain != chain or b"\0" in line:
        return None
    try:
        line.decode()
    except UnicodeDecodeError:
        return None
    return found


def _lines(reader: LogReader, blocks: Iterator[Any]) -> Iterator[tuple[bytes, int]]:
    lines, part = Lines(), ""
    for block in blocks:
        if isinstance(block, Flaw):
            raise Difference(f"{block.part} of {reader.name} {block.note}")
        if block.part != part:
            lines.rest()
            part = block.part
        for whole in lines.feed(block.data):
            if isinstance(whole, bytes):
                for line in split_lines(whole):
                    yield line, block.read


def _first_line(reader: LogReader, first: ChainHead) -> tuple[bytes, str]:
    """The first record, and the hash that it links to."""
    for line, _ in _lines(reader, reader.blocks()):
        if head_of(line) == first:
            at = line.rindex(b'"prev_hash":"') + len(b'"prev_hash":"')
            return line, line[at : at + 64].decode()
    raise Difference(f"the first record of {reader.name} is gone")


def _hash_at(reader: LogReader, seq: int) -> str | None:
    for block in reader.search(seq=seq):
        for line in split_lines(block.data):
            found = head_of(line)
            if found is not None and found.seq == seq:
                return found.hash
    return None
