"""The rows of one chain in PostgreSQL as a ``LogReader``: the exact lines, in the order of ``seq``.

The other columns of a row (number, hash, the copies for searching) are compared with the line; a
difference is a ``Flaw``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from audit_emit._format.line_splitter import line_end, lines_end, split_lines
from audit_emit._format.record import Head as ChainHead
from audit_emit._format.record import head_of
from audit_emit._readers.base import (
    DAMAGED,
    MISSING,
    Block,
    Bounds,
    CheckpointLine,
    Flaw,
    Place,
)
from audit_emit._readers.postgres.bounded import CHECKPOINT, HASH, LINE, SIZE, copy
from audit_emit._readers.postgres.connection import Connection
from audit_emit._readers.postgres.pages import BLOCK, LAST, Rows
from audit_emit._settings.address import CHOICES, Address
from audit_emit._stores.postgres.rows import Head

RECORDS, CHECKPOINTS = "records", "checkpoints"
_CHECKPOINTS_AT_ONCE = 1000
_COLUMNS = {name: name for name in ("event_type", "workspace_id", "user_id", "correlation_id")}
"""Those that are searched by."""

_NEWEST = 50
"""Records of the first block of a search, which has the newest ones."""

_ENDS = f"""\
(SELECT {LINE}, seq FROM audit_emit.records WHERE chain = %s ORDER BY seq LIMIT 1)
UNION ALL
(SELECT {LINE}, seq FROM audit_emit.records WHERE chain = %s ORDER BY seq DESC LIMIT 1)"""  # noqa: S608 - constants

_UNTIL = """\
SELECT seq FROM audit_emit.records WHERE chain = %s AND substring(line FROM 8 FOR 30) <= %s
ORDER BY seq DESC LIMIT 1"""

_HEAD = f"""\
SELECT chain, coalesce(seq, 0), {HASH}, {copy("ts")}, {copy("kind")}
FROM audit_emit.heads WHERE chain = %s"""  # noqa: S608 - constants


class PostgresReader:
    """See ``LogReader``.

    Args:
        connection: of a role that may read.
        chain: which one.
    """

    size = -1
    directory = ""

    def __init__(self, connection: Connection, chain: str) -> None:
        self.chain = chain
        self.name = f"{connection.address.shown}#chain={chain}"
        self._connection: Connection | None = connection.begin()
        self._ask = connection.one
        self._all = connection.all
        self._rows = Rows(connection, chain, compare=True)
        self._lines = Rows(connection, chain)
        self._part = 0
        self._head = self._ask_head()
        self.whole = self._head is None or self._head.kind != "shipped"
        """What a file's log has moved aside stays with the file."""

    def blocks(self, *, from_seq: int = 0, until: str = "") -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        last = LAST
        if until:
            found = self._ask(_UNTIL, self.chain, until)
            if found is None:
                return
            last = found[0]
        # The record before the first one, too: what is asked for must link to it.
        yield from self._from(max(from_seq - 2, 0), last)
        if not until:
            yield from self._compared_with_head()

    def search(self, *, seq: int = 0, since: str = "", until: str = "") -> Iterator[Block]:
        """See ``LogReader``."""
        if seq:
            yield from (Block(RECORDS, 0, page.lines) for page in self._lines.forward(seq - 1, seq))
            return
        del since, until  # ``ts`` is of the event, and says nothing of where a record is
        yield from self.newest()

    def newest(self, before: int = 0, having: Mapping[str, str] | None = None) -> Iterator[Block]:
        """See ``PagingReader``."""
        if having and not any(map(self._lacks, having)):
            pages = self._lines.having(before or LAST, having, _NEWEST)
        else:
            first, last = self._numbers()
            last = min(last, before - 1) if before else last
            pages = self._lines.backward(first, last, _NEWEST)
        for page in pages:
            # The numbers of parts grow, as what comes later is older.
            for data in reversed(list(_cut(page.lines))):
                self._part += 1
                yield Block(f"{RECORDS} {self._part}", 0, data)

    def of_type(self, event_type: str) -> Iterator[tuple[str, bytes]]:
        """See ``TypedReader``."""
        for block in self.newest(having={"event_type": event_type}):
            for line in split_lines(block.data):
                yield block.part, line

    def count(self, having: Mapping[str, str]) -> int | None:
        """See ``PagingReader``."""
        if any(map(self._lacks, having)):
            return None
        conditions = "".join(f" AND {_COLUMNS[name]} = %s" for name in having)
        query = f"SELECT count(*) FROM audit_emit.records WHERE chain = %s{conditions}"  # noqa: S608 - names of columns
        return int(self._ask(query, self.chain, *having.values())[0])

    def _lacks(self, column: str) -> bool:
        """Whether some record has no text there, so that what it has is not in the column."""
        query = f"""SELECT EXISTS (SELECT FROM audit_emit.records
            WHERE chain = %s AND {_COLUMNS[column]} IS NULL)"""  # noqa: S608 - the name of a column
        return bool(self._ask(query, self.chain)[0])

    def since(self, head: ChainHead | None) -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        if head is None:
            yield from self.blocks()
            return
        for page in self._lines.forward(head.seq - 1, head.seq):
            if any(found.hash == head.hash for found in _heads(page.lines)):
                yield from self._from(head.seq, LAST)
                return
        raise LookupError(f"record {head.seq} with this hash is not in {self.name}")

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """See ``LogReader``."""
        query = "SELECT max(number) FROM audit_emit.checkpoints WHERE chain = %s"
        (last,) = self._ask(query, self.chain)
        return None if last is None else self._each_checkpoint(last)

    def _each_checkpoint(self, last: int) -> Iterator[CheckpointLine]:
        query = (
            f"SELECT number, {CHECKPOINT}, {SIZE} FROM audit_emit.checkpoints "  # noqa: S608 - constants
            "WHERE chain = %s AND number > %s ORDER BY number LIMIT %s"
        )
        offset = count = number = 0
        while rows := self._all(query, self.chain, number, _CHECKPOINTS_AT_ONCE):
            for number, line, size in rows:
                text = line.encode()
                count += 1
                place = Place(CHECKPOINTS, offset, count)
                yield CheckpointLine(place, text, late=number > last, size=size)
                offset += size + 1

    def kept(self, size: int, digest: str) -> bool:
        """See ``LogReader``; nothing is ever moved aside here."""
        del size, digest
        return False

    def bounds(self) -> Bounds:
        """See ``LogReader``."""
        found = [head_of(line.encode()) for line, _ in self._ends()]
        return Bounds(found[0], found[-1]) if found else Bounds(None, None)

    def close(self) -> None:
        """See ``LogReader``."""
        if self._connection is not None:
            self._connection.end()
        self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _from(self, after: int, last: int) -> Iterator[Block | Flaw]:
        """Everything between two numbers, and what columns say otherwise than the lines."""
        offset = 0
        for page in self._rows.forward(after, last):
            for data in _cut(page.lines):
                yield Block(RECORDS, offset, data, offset + len(data))
                offset += len(data)
            yield from (Flaw(RECORDS, DAMAGED, note) for note in page.differences)

    def _compared_with_head(self) -> Iterator[Flaw]:
        """Compare the end of the chain with its row in ``heads``; it may have grown meanwhile."""
        before, head = self._head, self._ask_head()
        ends = self._ends()
        line, last = ends[-1] if ends else ("", 0)
        found = head_of(line.encode())
        if head is None or before is None:
            note = "heads has no row for this chain" if last else "this chain is not there"
            yield Flaw("heads", MISSING, note)
        elif before.seq > last and before.seq > self._pruned():
            note = f"heads says that the chain ends with record {before.seq}: the last is {last}"
            yield Flaw(RECORDS, MISSING, note)
        elif last > head.seq:
            note = f"the last record is {last}, and heads says that it is {head.seq}"
            yield Flaw("heads", DAMAGED, note)
        elif found is not None and last == head.seq and found.hash != head.hash:
            note = f"heads says that record {last} has the hash {head.hash}: it has {found.hash}"
            yield Flaw("heads", DAMAGED, note)

    def _pruned(self) -> int:
        found = self._ask("SELECT pruned_seq FROM audit_emit.heads WHERE chain = %s", self.chain)
        return int(found[0]) if found else 0

    def _numbers(self) -> tuple[int, int]:
        """The number before the first record, and the number of the last one."""
        ends = self._ends()
        return (ends[0][1] - 1, ends[-1][1]) if ends else (0, 0)

    def _ends(self) -> Sequence[tuple[Any, ...]]:
        return self._all(_ENDS, self.chain, self.chain)

    def _ask_head(self) -> Head | None:
        row = self._ask(_HEAD, self.chain)
        return Head.of(row) if row is not None else None


def _cut(lines: bytes) -> Iterator[bytes]:
    """The lines of a page in blocks of whole lines."""
    while len(lines) > BLOCK:
        end = lines_end(lines, BLOCK) or line_end(lines)
        yield lines[:end]
        lines = lines[end:]
    if lines:
        yield lines


def _heads(lines: bytes) -> Iterator[ChainHead]:
    return filter(None, map(head_of, split_lines(lines)))


_CHAINS = """\
SELECT chain FROM audit_emit.heads
WHERE (%s::text IS NULL OR service = %s) AND (%s::text IS NULL OR tenant = %s)
  AND (%s::text IS NULL OR chain = %s)
ORDER BY service, tenant, opened_at, chain"""

_WITHOUT_HEAD = """\
WITH RECURSIVE each (chain) AS (
  (SELECT chain FROM audit_emit.records ORDER BY chain LIMIT 1)
  UNION ALL
  SELECT (SELECT r.chain FROM audit_emit.records r WHERE r.chain > each.chain
    ORDER BY r.chain LIMIT 1)
  FROM each WHERE each.chain IS NOT NULL)
SELECT chain FROM each WHERE chain IS NOT NULL
  AND NOT EXISTS (SELECT FROM audit_emit.heads h WHERE h.chain = each.chain)"""


def readers_of(where: str) -> list[PostgresReader]:
    """The chains that an address names: all of them, or those of a service, a tenant, an id.

    Args:
        where: ``postgresql://…``, and after ``#`` any of ``service=``, ``tenant=``, ``chain=``,
            with ``&`` between them.

    Raises:
        DatabaseError: the database cannot be asked.
        FileNotFoundError: there is no such chain.
        ConfigError: it is no address.
    """
    address, chosen = Address.chosen(where)
    connection = Connection(address).begin()
    readers: list[PostgresReader] = []
    try:
        wanted = [value for name in CHOICES for value in (chosen[name], chosen[name])]
        found = [chain for (chain,) in connection.all(_CHAINS, *wanted)]
        if not any(chosen.values()):
            found += [chain for (chain,) in connection.all(_WITHOUT_HEAD)]
        if not found:
            raise FileNotFoundError(2, "holds no such chain", address.shown)
        readers += [PostgresReader(connection, chain) for chain in found]
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    finally:
        connection.end()
    return readers
