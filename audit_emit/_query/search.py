"""Ask a question: of the files of a log, or of Loki. Both give the same records, in order of time.

A record that is there in several forms counts once: the chained one before a stub of it, and both
before the one from when it had to wait (docs/wire-format.md, sections 3 and 5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from audit_emit._format.line_splitter import line_around, split_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import ts_of
from audit_emit._loki.json_stage import value_at
from audit_emit._loki.labels import placement_of, unwrapped
from audit_emit._loki.records import is_cut
from audit_emit._query.question import ESCAPED, Question
from audit_emit._readers.base import Block, LogReader, PagingReader
from audit_emit._readers.opening import open_readers
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._signing.trusted_keys import KeyRing

if TYPE_CHECKING:
    from audit_emit._loki.client import LokiClient
else:
    LokiClient = Any
    """Whoever asks a log does without HTTP, but whoever resolves an annotation needs a name."""

BLOCK = 1 << 20
"""Bytes that are searched at a time."""

MONTH = 30 * 24 * 3600 * 10**9
AHEAD = 3600 * 10**9
"""Nanoseconds by which the clock of a service may be ahead of ours."""

_SPARE = 1000
_SPARE_BYTES = 32 << 20
"""So much more than it must, an answer with a limit may keep while it is looked for."""

_SHORT = 64
"""Bytes of a line, newline included, below which it is hardly a record."""

_FOREIGN = re.compile(rb'^(?:(?:(?!"ts"|\\)[^\n])*\n){1,4096}', re.MULTILINE)
"""Lines that have no member ``ts``."""

_HIDDEN = re.compile(rb"\\u00[2-7]")
"""A character that is escaped though it can be read: it may be one that is looked for."""

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes that there are."""


class Answer(NamedTuple):
    """What was found.

    Attributes:
        lines: the records' own bytes, oldest first.
        cut: whether there are more, older ones.
        strange: lines that hold what was looked for, and are no records.
    """

    lines: list[bytes]
    cut: bool
    strange: int


def ask_log(
    question: Question,
    path: str | Sequence[str],
    limit: int | None = None,
    progress: Progress | None = None,
    ring: KeyRing | None = None,
) -> Answer:
    """The newest records in a log that answer.

    Args:
        path: a directory or an active segment stands for its whole log; also a closed or packed
            segment, or ``-`` for standard input. Several, as of a log and of its archive: see
            ``open_readers``.
        limit: how many; all of them by default.
        ring: the keys that are given, if any; see ``open_readers``.

    Raises:
        OSError: a file cannot be read, is damaged, or there is none.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """
    newest = _Newest(question, limit)
    for reader in open_readers([path] if isinstance(path, str) else path, ring):
        with reader:
            _look_through(question, reader, newest, progress)
    return newest.answer()


def ask(
    question: Question,
    reader: LogReader,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Answer:
    """The newest records in a log that answer; see ``ask_log``."""
    newest = _Newest(question, limit)
    _look_through(question, reader, newest, progress)
    return newest.answer()


def _look_through(
    question: Question, reader: LogReader, newest: _Newest, progress: Progress | None
) -> None:
    needles = question.needles()
    pages = isinstance(reader, PagingReader)
    blocks = _blocks(question, reader)
    look_for_parts(reader)
    # Newest first: what is older than so many answers is passed over faster.
    for block in blocks:
        data = block.data
        if not needles and data.count(b"\n") * _SHORT > len(data):
            data = _FOREIGN.sub(b"", data)
            newest.pass_over(block.data.count(b"\n") - data.count(b"\n"))
        for line in candidates(data, needles):
            newest.add(line)
        if progress is not None:
            progress(block.read, max(reader.size, block.read))
        # Of a chain whose pages are found by number, the newest are those with the highest ones.
        if pages and newest.is_full():
            return


def _blocks(question: Question, reader: LogReader) -> Iterator[Block]:
    seq = question.place() or 0
    if isinstance(reader, PagingReader) and not seq:
        return reader.newest(question.before, question.columns())
    return reader.search(
        seq=seq,
        since=ts_of(question.since) if question.since is not None else "",
        until=ts_of(question.until) if question.until is not None else "",
    )


def look_for_parts(reader: LogReader) -> None:
    """An empty log is an answer, no log is none.

    Raises:
        FileNotFoundError: there is no log.
    """
    if reader.size == 0 and next(reader.blocks(), None) is None:
        raise FileNotFoundError(2, "there is no log", reader.name)


def count_log(
    question: Question, path: str | Sequence[str], progress: Progress | None = None
) -> int:
    """How many records in a log answer, each counted once whatever forms of it are there.

    A chain in a database counts by itself what its columns say.

    Args:
        path, progress: as for ``ask_log``.

    Raises:
        OSError, UnsupportedError: as ``ask_log``.
    """
    total = 0
    for reader in open_readers([path] if isinstance(path, str) else path):
        with reader:
            total += _counted(question, reader, progress)
    return total


def _counted(question: Question, reader: LogReader, progress: Progress | None) -> int:
    if isinstance(reader, PagingReader) and question.is_of_columns():
        found = reader.count(question.columns())
        if found is not None:
            return found
    chained, nameless, loose = 0, 0, set[str]()
    for line in _answering(question, reader, progress):
        if link_of(line) and not is_cut(line):
            chained += 1
        elif name := value_at(line, ("id",)):
            loose.add(name)
        else:
            nameless += 1  # records from before there were ids; each is its own
    if loose and chained:
        # Some of what is in no chain may be another form of a record that is.
        for line in _answering(question, reader, None):
            if link_of(line) and not is_cut(line):
                loose.discard(value_at(line, ("id",)))
    return chained + nameless + len(loose)


def _answering(question: Question, reader: LogReader, progress: Progress | None) -> Iterator[bytes]:
    needles = question.needles()
    for block in _blocks(question, reader):
        for text in candidates(block.data, needles):
            line = unwrapped(text)
            if question.match(line) is not None:
                yield line
        if progress is not None:
            progress(block.read, max(reader.size, block.read))


def lines_of(path: str | Sequence[str], ring: KeyRing | None = None) -> Iterator[bytes]:
    """Every whole line of a log, oldest first, without its newline.

    Args:
        path, ring: as for ``ask_log``.

    Raises:
        OSError: a file cannot be read, is damaged, or there is none.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """
    for reader in open_readers([path] if isinstance(path, str) else path, ring):
        with reader:
            yield from lines_in(reader)


def lines_in(reader: LogReader) -> Iterator[bytes]:
    """Every whole line of a log, oldest first, without its newline; see ``lines_of``."""
    look_for_parts(reader)
    for block in whole_lines_of(reader.blocks()):
        yield from split_lines(block)


def ask_loki(question: Question, client: LokiClient, now: int, limit: int | None = None) -> Answer:
    """The newest records in Loki that answer; of the last 30 days if it does not say since when.

    Args:
        now: nanoseconds since 1970.

    Raises:
        LokiError: see its classes.
    """
    newest = _Newest(question, limit)
    latest = now + AHEAD
    end = latest if question.until is None else min(question.until, latest)
    begin = max(0, min(now, end) - MONTH) if question.since is None else question.since
    more = {} if limit is None else {"page": limit + _SPARE}
    last = end
    for entry in client.query_range(question.logql(), begin, end, direction="backward", **more):
        if entry.ts != last and newest.is_full():
            break
        last = entry.ts
        newest.add(entry.line.encode())
    return newest.answer()


class _Kept(NamedTuple):
    """A record: its place in the answer, its bytes, which one it is and how good a form of it."""

    at: int
    chain: bytes
    seq: int
    line: bytes
    id: str
    rank: int


class _Newest:
    """Keeps the newest records that answer, each once."""

    def __init__(self, question: Question, limit: int | None) -> None:
        self._question = question
        self._limit = limit
        self._kept: list[_Kept] = []
        self._strange = 0
        self._floor = -1
        self._size = 0

    def add(self, text: bytes) -> None:
        """Look at a line, and keep it if it answers."""
        line = unwrapped(text)
        found = placement_of(line)
        if found is None:
            self._strange += 1
        elif self._is_new(found.ts) and self._question.holds(found, line):
            link = link_of(line)
            chain, seq, rank = (link[1], int(link[2]), 2 - is_cut(line)) if link else (b"", 0, 0)
            at = seq if self._question.before else found.ts
            self._kept.append(_Kept(at, chain, seq, line, value_at(line, ("id",)), rank))
            self._size += len(line)
            if self._limit is not None and (
                len(self._kept) > 2 * self._limit + _SPARE or self._size > _SPARE_BYTES
            ):
                self._shorten()
                self._size = 0

    def _is_new(self, ts: int) -> bool:
        return self._question.before > 0 or ts >= self._floor

    def pass_over(self, strange: int) -> None:
        """So many lines are no records."""
        self._strange += strange

    def is_full(self) -> bool:
        """Whether nothing older can belong to the answer; the newest must have come first."""
        if self._limit is None or len(self._kept) <= self._limit:
            return False
        self._kept = _once(self._kept)
        return len(self._kept) > self._limit

    def answer(self) -> Answer:
        """What is kept, oldest first."""
        self._shorten()
        return Answer([one.line for one in self._kept], self._floor >= 0, self._strange)

    def _shorten(self) -> None:
        self._kept = _once(self._kept)
        if self._limit is not None and len(self._kept) > self._limit:
            self._floor = self._kept[-self._limit - 1].at
            del self._kept[: -self._limit or None]


def _once(kept: Iterable[_Kept]) -> list[_Kept]:
    """Each record in its best form, oldest first."""
    best: dict[str, int] = {}
    for one in kept:
        best[one.id] = max(one.rank, best.get(one.id, 0))
    return sorted({one for one in kept if not one.id or one.rank == best[one.id]})


def candidates(block: bytes, needles: Sequence[bytes]) -> Iterator[bytes]:
    """The lines of a block of whole lines that may hold an answer (``Question.needles``)."""
    if not needles:
        yield from split_lines(block)
        return
    rarest = max(needles, key=len)
    places = list(_find(block, rarest))
    if ESCAPED in block:
        places += (found.start() for found in _HIDDEN.finditer(block))
        places.sort()
    end = 0
    for at in places:
        if at < end:
            continue
        begin, end = line_around(block, at)
        line = block[begin:end]
        if all(needle in line for needle in needles) or _HIDDEN.search(line):
            yield line


def _find(block: bytes, needle: bytes) -> Iterator[int]:
    at = block.find(needle)
    while at >= 0:
        yield at
        # The rest of the line was looked at with the hit.
        at = block.find(needle, line_around(block, at)[1])
