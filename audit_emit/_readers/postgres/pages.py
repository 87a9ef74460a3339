"""The rows of one chain in the order of ``seq``, or against it, in groups that the server makes.

One row for each record would take three times as long, so the server joins up to 512 records, and
makes the next groups while this process works on the ones before. A group is a range of ``seq``, so
the server need not sort, and none is large: long records, and numbers that occur more than once,
are read row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from audit_emit._readers.postgres.bounded import HASH, LINE, SIZE, copy, is_cropped
from audit_emit._readers.postgres.connection import Connection, Values, in_array
from audit_emit._readers.postgres.copies import NUMBER, SELECTED, Columns, agree, differences
from audit_emit._stores.postgres.rows import Copies

LAST = 2**63 - 1
GROUP = 512
"""How many numbers (``seq``) a group has."""

MOST = 1024
"""Groups that are asked for at once; the first time it is one, and then twice as many each time.

Each question is planned anew, which takes as long as three groups, and nothing comes meanwhile. Who
asks something else throws away no more than was read before.
"""

BLOCK = 1 << 20
_SHORT = 8192
"""Bytes up to which a line is joined with others."""

# The arrays are in queries of their own, so that the server does not count their elements and
# takes all of this for a short question. What it takes for a long one it compiles first, which
# takes longer than to answer it.
_GROUPS = f"""\
SELECT page.*
FROM unnest((SELECT $2::bigint[]), (SELECT $3::bigint[])) AS wanted (after, until), LATERAL (
  SELECT string_agg(CASE WHEN octet_length(line) <= {_SHORT} THEN line END, E'\\n'), %s
  FROM (
    SELECT * FROM audit_emit.records r
    WHERE r.chain = $1 AND r.seq > wanted.after AND r.seq <= wanted.until
    ORDER BY r.seq, r.sealed_on LIMIT {GROUP + 1}) AS found) AS page"""  # noqa: S608 - constants

_COMPARED = _GROUPS % SELECTED
_LINES = (
    _GROUPS
    % f"""\
int8send(count(*)), int8send(count(CASE WHEN octet_length(line) <= {_SHORT} THEN 1 END))"""
)

_COPIES = ", ".join(copy(name) for name in Copies._fields if name != "id")
_ROWS = f"""\
SELECT sealed_on::text, {LINE}, seq::text, {SIZE}::text, encode({HASH}, 'hex'), id::text, {_COPIES}
FROM audit_emit.records r
WHERE r.chain = $1 AND (r.seq, r.sealed_on) > ($2::bigint, $3::date) AND r.seq <= $4::bigint
ORDER BY r.seq, r.sealed_on"""  # noqa: S608 - constants

_HAVING = f"""\
SELECT sealed_on::text, {LINE}, seq::text FROM audit_emit.records r
WHERE r.chain = $1 AND (r.seq, r.sealed_on) < ($2::bigint, $3::date){{having}}
ORDER BY r.seq DESC, r.sealed_on DESC LIMIT {{size}}"""  # noqa: S608 - constants
_MOST_ROWS = 1000

_NEXT = """\
SELECT seq FROM audit_emit.records WHERE chain = %s AND seq > %s AND seq <= %s
ORDER BY seq LIMIT 1"""
_BEFORE = """\
SELECT seq FROM audit_emit.records WHERE chain = %s AND seq > %s AND seq <= %s
ORDER BY seq DESC LIMIT 1"""

_FEW = 4
"""Numbers whose rows are held at a time where they are read one by one from the end on."""

Range = tuple[int, int]
"""Numbers above the first one, up to the second one."""


class Page(NamedTuple):
    """Records that follow each other.

    Attributes:
        lines: whole lines with their newlines.
        differences: what columns say otherwise than their lines, in words.
    """

    lines: bytes
    differences: Sequence[str] = ()


class Rows:
    """The rows of one chain.

    Args:
        compare: whether to compare columns with their lines.
    """

    def __init__(self, connection: Connection, chain: str, *, compare: bool = False) -> None:
        self._connection = connection
        self._chain = chain
        self._compare = compare

    def forward(self, after: int, last: int) -> Iterator[Page]:
        """Those above a number, up to another one, in their order."""
        size = 1
        while after < last:
            wanted = _upward(after, last, size)
            ended = None
            for bounds, found in self._found(wanted):
                if found is None:
                    ended = bounds
                    break
                after = bounds[1]
                yield found
            size = min(size * 2, MOST) if after == wanted[-1][1] else 1
            if ended is None:
                continue
            begin = self._connection.one(_NEXT, self._chain, after, last)
            if begin is None:
                return
            after = max(after, begin[0] - 1)
            if after < ended[1]:
                yield from self._each((after, ended[1]))
                after = ended[1]

    def backward(self, first: int, last: int, width: int = GROUP) -> Iterator[Page]:
        """Those above a number, up to another one: what is last comes first.

        Within a page the order is that of the chain.

        Args:
            width: numbers of the first page at most.
        """
        size = 1
        while first < last:
            wanted = _downward(first, last, size, width)
            ended = None
            for bounds, found in self._found(wanted):
                if found is None:
                    ended = bounds
                    break
                last = bounds[0]
                yield found
            size = min(size * 2, MOST) if last == wanted[-1][0] else 1
            width = GROUP
            if ended is None:
                continue
            end = self._connection.one(_BEFORE, self._chain, first, last)
            if end is None:
                return
            last = min(last, end[0])
            while last > ended[0]:
                few = max(last - _FEW, ended[0])
                yield from reversed(list(self._each((few, last))))
                last = few

    def having(self, before: int, columns: Mapping[str, str], size: int) -> Iterator[Page]:
        """Rows below a number with certain values in columns, the newest page first.

        Args:
            columns: by name, from this library.
            size: records of the first page; there are more in each next one.
        """
        conditions = "".join(f" AND r.{name} = ${at}" for at, name in enumerate(columns, 4))
        number, day = str(before), "-infinity"
        while True:
            query = _HAVING.format(having=conditions, size=size)
            lines: list[bytes] = []
            left = BLOCK
            for row in self._connection.stream(query, self._chain, number, day, *columns.values()):
                day, line, number = _texts(row)
                lines.append(f"{line}\n".encode())
                left -= len(lines[-1])
                if left < 0:
                    break
            if not lines:
                return
            yield Page(b"".join(reversed(lines)))
            size = min(size * 4, _MOST_ROWS)

    def _found(self, wanted: Sequence[Range]) -> Iterator[tuple[Range, Page | None]]:
        """The page of each range; ``None`` where there is nothing, or something unusual.

        It ends early when somebody else uses the connection.
        """
        query = _COMPARED if self._compare else _LINES
        begins, ends = (in_array([one[at] for one in wanted]) for at in (0, 1))
        answers = self._connection.stream(query, self._chain, begins, ends)
        for bounds, (lines, *columns) in zip(wanted, answers, strict=False):
            whole = lines + b"\n" if lines else b""  # the server would take longer to add it
            yield bounds, Page(whole) if whole and self._usual(whole, columns) else None

    def _usual(self, lines: bytes, columns: Values) -> bool:
        """Whether the lines are all that there is, and nothing about them must be said."""
        if self._compare:
            found = Columns.of(columns)
            return len(found.numbers) <= GROUP * NUMBER and agree(lines, found)
        rows, short = columns
        return rows == short and int.from_bytes(rows or b"") <= GROUP

    def _each(self, bounds: Range) -> Iterator[Page]:
        """The rows of a range, one by one, in pages of ``BLOCK`` bytes."""
        number, day, last = str(bounds[0]), "infinity", str(bounds[1])
        while True:
            before = number, day
            lines: list[bytes] = []
            size, different = 0, list[str]()
            for row in self._connection.stream(_ROWS, self._chain, number, day, last):
                day, line, number, whole, *columns = _texts(row)
                lines.append(f"{line}\n".encode())
                size += len(lines[-1])
                if is_cropped(int(whole)):
                    different.append(f"the line of row {number} has {whole} bytes, which none has")
                elif self._compare:
                    different += differences(line, [int(number), *columns])
                if size > BLOCK:
                    yield Page(b"".join(lines), different)
                    lines.clear()
                    size, different = 0, []
            if lines:
                yield Page(b"".join(lines), different)
            if before == (number, day):
                return


def _texts(row: Values) -> list[Any]:
    return [None if value is None else value.decode() for value in row]


def _upward(after: int, last: int, size: int) -> list[Range]:
    ends = [min(after + GROUP * n, last) for n in range(size + 1)]
    return [(begin, end) for begin, end in pairwise(ends) if begin < end]


def _downward(first: int, last: int, size: int, width: int) -> list[Range]:
    ends = [last, *(max(last - width - GROUP * n, first) for n in range(size))]
    return [(begin, end) for end, begin in pairwise(ends) if begin < end]
