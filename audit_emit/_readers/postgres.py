"""The rows of one chain in PostgreSQL as a ``LogReader``: the very lines, in the order of ``seq``.

Pages by key, each put together by the server: a row of its own for every record would cost four
times as much. What the table keeps beside the line (its number, its hash, the copies that are
searched by) is compared with the line here; where they differ, that is a flaw of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import msgspec

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
from audit_emit._settings.address import CHOICES, Address
from audit_emit._stores.postgres import driver
from audit_emit._stores.postgres.rows import Copies, Head, project

RECORDS, CHECKPOINTS = "records", "checkpoints"
PAGE = 5_000
"""Records that are asked for at a time, and bytes, if that is less."""

_PAGE_BYTES = 4 << 20
_BLOCK = 1 << 20
_APART, _NOTHING = "\x1f", "\x1e"
_SHORT = 50
"""Records of the first page of a search, which has the newest ones; each next one is larger."""

_COPIED = f"""concat_ws(E'\\x1f', seq, encode(hash, 'hex'), coalesce(id::text, E'{_NOTHING}'), ts,
  event_type, coalesce(workspace_id, E'{_NOTHING}'), coalesce(user_id, E'{_NOTHING}'),
  coalesce(correlation_id, E'{_NOTHING}'))"""

_PAGES = f"""\
SELECT max(seq), string_agg(line, E'\\n' ORDER BY seq, sealed_on),
  string_agg({_COPIED}, E'\\n' ORDER BY seq, sealed_on)
FROM (
  SELECT *, coalesce(sum(octet_length(line)) OVER
    (ORDER BY seq RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before
  FROM (
    SELECT seq, sealed_on, hash, id, ts, event_type, workspace_id, user_id, correlation_id, line
    FROM audit_emit.records WHERE chain = %s AND seq > %s AND seq <= %s
    ORDER BY seq FETCH FIRST %s ROWS WITH TIES) AS found
) AS page WHERE before < {_PAGE_BYTES}"""  # noqa: S608 - constants

_ROWS = """\
SELECT line, seq, encode(hash, 'hex'), id::text, ts, event_type, workspace_id, user_id,
  correlation_id
FROM audit_emit.records WHERE chain = %s AND seq > %s AND seq <= %s ORDER BY seq, sealed_on"""

_ENDS = """\
(SELECT line, seq FROM audit_emit.records WHERE chain = %s ORDER BY seq LIMIT 1)
UNION ALL
(SELECT line, seq FROM audit_emit.records WHERE chain = %s ORDER BY seq DESC LIMIT 1)"""

_UNTIL = """\
SELECT seq FROM audit_emit.records WHERE chain = %s AND substring(line FROM 8 FOR 30) <= %s
ORDER BY seq DESC LIMIT 1"""

_HEAD = """\
SELECT chain, seq, hash, ts, kind FROM audit_emit.heads WHERE chain = %s"""

_MOST = 2**63 - 1


class _Members(msgspec.Struct, gc=False):
    """What is copied, of a line as all writers of this library make it."""

    id: str
    ts: str
    event_type: str
    workspace_id: str
    user_id: str
    correlation_id: str
    seq: int
    hash: str


_DECODER = msgspec.json.Decoder(_Members)


class _Page(NamedTuple):
    """Records that follow each other; ``last`` is the number of the last one."""

    last: int
    lines: str
    copies: str


class Connection:
    """One connection for all chains of an address, closed by the last reader."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._made: Any = driver.connect(address, name="audit_emit reader")
        self._readers = 0

    def begin(self) -> Self:
        """One reader more uses it."""
        self._readers += 1
        return self

    def end(self) -> None:
        """One less."""
        self._readers -= 1
        if self._readers <= 0:
            driver.close(self._made)

    def one(self, query: str, *values: Any) -> Any:
        """The first row of an answer; ``None`` without one."""
        with _told(self.address):
            return self._made.execute(query, values).fetchone()

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Every row of an answer."""
        with _told(self.address):
            found: list[tuple[Any, ...]] = self._made.execute(query, values).fetchall()
        return found


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
        self._head = self._ask_head()
        self.whole = self._head is None or self._head.kind != "shipped"
        """What a file's log has moved aside stays with the file."""

    def blocks(self, *, from_seq: int = 0, until: str = "") -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        last = _MOST
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
            rows = self._all(_ROWS, self.chain, seq - 1, seq)
            for line, *_ in rows:
                yield Block(RECORDS, 0, f"{line}\n".encode())
            return
        del since, until  # ``ts`` is of the event, and says nothing of where a record is
        first, last = self._numbers()
        size = _SHORT
        while last > first:
            begin = max(first, last - size)
            yield from self._found(begin, last)
            last, size = begin, min(size * 4, PAGE)

    def since(self, head: ChainHead | None) -> Iterator[Block | Flaw]:
        """See ``LogReader``."""
        if head is None:
            yield from self.blocks()
            return
        for line, *_ in self._all(_ROWS, self.chain, head.seq - 1, head.seq):
            found = head_of(line.encode())
            if found is not None and found.hash == head.hash:
                yield from self._from(head.seq, _MOST)
                return
        raise LookupError(f"record {head.seq} with this hash is not in {self.name}")

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """See ``LogReader``."""
        query = "SELECT max(number) FROM audit_emit.checkpoints WHERE chain = %s"
        (last,) = self._ask(query, self.chain)
        return None if last is None else self._each_checkpoint(last)

    def _each_checkpoint(self, last: int) -> Iterator[CheckpointLine]:
        query = (
            "SELECT number, line FROM audit_emit.checkpoints WHERE chain = %s AND number > %s "
            "ORDER BY number LIMIT %s"
        )
        offset = count = number = 0
        while rows := self._all(query, self.chain, number, PAGE):
            for number, line in rows:
                text = line.encode()
                count += 1
                place = Place(CHECKPOINTS, offset, count)
                yield CheckpointLine(place, text, late=number > last, size=len(text))
                offset += len(text) + 1

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

    # Pages.

    def _from(self, after: int, last: int) -> Iterator[Block | Flaw]:
        """Everything between two numbers; the next page is fetched while one is looked at."""
        offset = 0
        with ThreadPoolExecutor(1, "audit_emit-pages") as pool:
            page = self._page(after, last)
            while page is not None:
                following = pool.submit(self._page, page.last, last)
                for data in _cut(page.lines):
                    yield Block(RECORDS, offset, data, offset + len(data))
                    offset += len(data)
                if not _agree(page):
                    # On this thread, when the connection is free again.
                    following.result()
                    yield from self._differences(after, page.last)
                after = page.last
                page = following.result()

    def _page(self, after: int, last: int, size: int = PAGE) -> _Page | None:
        found = self._ask(_PAGES, self.chain, after, last, size)
        return _Page(*found) if found[0] is not None else None

    def page(self, after: int, size: int) -> list[bytes]:
        """The lines of the records that follow a number, at most so many."""
        found = self._page(after, _MOST, size)
        return [] if found is None else [line.encode() for line in found.lines.split("\n")]

    def _found(self, after: int, last: int) -> Iterator[Block]:
        pages = []
        while (page := self._page(after, last)) is not None:
            pages.append(page)
            after = page.last
        for page in reversed(pages):
            for data in _cut(page.lines):
                yield Block(f"{RECORDS} up to {page.last}", 0, data)

    def _differences(self, after: int, last: int) -> Iterator[Flaw]:
        for line, *columns in self._all(_ROWS, self.chain, after, last):
            yield from differences(line, columns)

    def _compared_with_head(self) -> Iterator[Flaw]:
        """What ``heads`` says of the end must be what is there; it may have grown meanwhile."""
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
        """What is before the first record, and the last one."""
        ends = self._ends()
        return (ends[0][1] - 1, ends[-1][1]) if ends else (0, 0)

    def _ends(self) -> Sequence[tuple[Any, ...]]:
        return self._all(_ENDS, self.chain, self.chain)

    def _ask_head(self) -> Head | None:
        row = self._ask(_HEAD, self.chain)
        return Head.of(row) if row is not None else None


@contextmanager
def _told(address: Address) -> Iterator[None]:
    """Errors of psycopg as ours, which are errors of reading, too."""
    try:
        yield
    except driver.load().Error as error:
        raise driver.failed(error, address) from None


def _cut(lines: str) -> Iterator[bytes]:
    """The lines of a page in blocks of whole lines."""
    data = lines.encode() + b"\n"
    while len(data) > _BLOCK:
        end = data.rfind(b"\n", 0, _BLOCK) + 1 or data.index(b"\n") + 1
        yield data[:end]
        data = data[end:]
    if data:
        yield data


def _agree(page: _Page) -> bool:
    """Whether all copies of a page are what its lines say, as the usual line has them."""
    made = []
    if "\\u0000" in page.lines or "\\ud" in page.lines or "\\uD" in page.lines:
        return False
    try:
        for line in page.lines.split("\n"):
            one = _DECODER.decode(line)
            made.append(
                f"{one.seq}\x1f{one.hash}\x1f{one.id}\x1f{one.ts}\x1f{one.event_type}\x1f"
                f"{one.workspace_id}\x1f{one.user_id}\x1f{one.correlation_id}"
            )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return "\n".join(made) == page.copies


_COLUMNS = ("seq", "hash", *Copies._fields)


def differences(line: str, columns: Sequence[Any]) -> Iterator[Flaw]:
    """What the columns beside a line say otherwise than the line."""
    head = head_of(line.encode())
    expected = (head.seq if head else None, head.hash if head else None, *project(line))
    for name, should_be, found in zip(_COLUMNS, expected, columns, strict=True):
        if should_be != found:
            note = f"column {name} of row {columns[0]} says {found!r}, its line says {should_be!r}"
            yield Flaw(RECORDS, DAMAGED, note)


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
