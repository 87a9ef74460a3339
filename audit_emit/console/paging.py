"""Pages of a log, the newest records first, in the order of its chain.

A page is read backwards from the end of the log until it is full, so it takes no longer in a longer
log. Its end is the number of a record, so that the next page begins there, whatever was written in
the meantime. The order is that of the chain and not of ``ts``: a record that had to wait in the
backlog is shown where it was written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

from audit_emit._facade.queries import (
    ESCAPED,
    PagingReader,
    Question,
    away_files,
    newest_first,
    open_readers,
)
from audit_emit._facade.records import Head, Placement, head_of, is_time, link_of, split_lines
from audit_emit._facade.settings import is_address, is_archive
from audit_emit.console import messages
from audit_emit.log import KeyRing, open_log

WALKED = 300_000
"""Lines that are read at most for a picture or a list; a page of records has no such bound."""

_AT_ONCE = 16
"""Lines after which is looked where one is: a line may have a mebibyte."""

_TEXT = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?", re.ASCII)


_PLACE = re.compile(
    r"([0-9a-f]{16}):([1-9][0-9]{0,18}):([0-9a-f]{64}):([0-9TZ:.-]{1,40})", re.ASCII
)


def place_text(head: Head) -> str:
    """The name of a record in a live tail, after which the tail continues."""
    return ":".join(map(str, head))


def place_of(text: str) -> Head:
    """The record that ``place_text`` names.

    Raises:
        ValueError: it names none.
    """
    found = _PLACE.fullmatch(text)
    if found is None or not is_time(found[4]):
        raise ValueError(messages.text("error.no_tail_place"))
    return Head(found[1], int(found[2]), found[3], found[4])


class Cursor(NamedTuple):
    """Where a page ends.

    Attributes:
        seq: of the last chained record that was looked at; 0 before the first.
        beside: lines after that one, going back, that are in no chain.
    """

    seq: int
    beside: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """A cursor as ``str`` gives it.

        Raises:
            ValueError: it is none.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(messages.text("error.no_place"))
        return cls(int(found[1]), int(found[2] or 0))

    def __str__(self) -> str:
        return f"{self.seq}.{self.beside}" if self.beside else str(self.seq)


class Page(NamedTuple):
    """One page of records.

    Attributes:
        lines: newest first.
        next: where the next page begins; ``None`` where nothing older answers.
        newest: the newest chained record that was looked at. All before it that answers is on this
            page or an older one, so a live tail that goes on behind it misses and repeats nothing.
            ``None`` where there is none.
    """

    lines: list[bytes]
    next: Cursor | None
    newest: Head | None = None


def page_of(
    where: Sequence[str],
    question: Question,
    size: int,
    after: Cursor | None = None,
    ring: KeyRing | None = None,
) -> Page:
    """The records that match, from a place on, going back.

    Args:
        where: the log, and where older segments of it are archived, if they are.
        question: the filters; a line that is no record only matches a question without filters.
        size: records of a page.
        after: the place; ``None`` for the end of the log.
        ring: the trusted keys, if any, for what is fetched from an archive.

    Raises:
        FileNotFoundError: there is no log.
        OSError: the log cannot be read.
    """
    everything = question == Question()
    may_answer = _sieve(question)
    lines: list[bytes] = []
    at = after or Cursor(0)
    newest: Head | None = None
    here, behind = _Place(), after is None
    for line in _newest_first(where, question, after, ring):
        here.passed(line)
        behind = behind or (after is not None and _order(here.cursor()) > _order(after))
        if not behind:
            continue
        if not question.workspaces:
            newest = newest or head_of(line)
        if not line or not may_answer(line):
            continue
        if not everything and question.match(line) is None:
            continue
        if len(lines) == size:
            return Page(lines, at, newest)
        lines.append(line)
        # A user who sees some workspaces only must not learn the place of another one's record.
        newest = newest or head_of(line)
        at = here.cursor()
    return Page(lines, None, newest)


def _sieve(question: Question) -> Callable[[bytes], bool]:
    """A fast test of bytes that accepts every record that matches, and few other lines."""
    needles = question.needles()
    if not needles:
        return bool
    if len(needles) == 1:
        (only,) = needles
        return lambda line: only in line or ESCAPED in line
    return lambda line: all(one in line for one in needles) or ESCAPED in line


class Answers:
    """The records that match, newest first, read as the caller iterates.

    Args:
        where, question, ring: as for ``page_of``.
        walked: how many lines are read at most.

    Attributes:
        cut: there were more lines than that.
    """

    def __init__(
        self,
        where: Sequence[str],
        question: Question,
        walked: int = WALKED,
        ring: KeyRing | None = None,
    ) -> None:
        self._where = where
        self._ring = ring
        self._question = question
        self._walked = walked
        self.cut: bool = False

    def __iter__(self) -> Iterator[tuple[bytes, Placement]]:
        """The lines, each with what it is placed by."""
        may_answer = _sieve(self._question)
        lines = _newest_first(self._where, self._question, None, self._ring)
        for number, line in enumerate(lines):
            if number == self._walked:
                self.cut = True
                return
            if line and may_answer(line):
                found = self._question.match(line)
                if found is not None:
                    yield line, found


def times_of(
    where: Sequence[str], question: Question, size: int, ring: KeyRing | None = None
) -> tuple[list[int], bool]:
    """The times of the newest records that match, and whether there may be more."""
    times: list[int] = []
    answers = Answers(where, question, ring=ring)
    for _, found in answers:
        if len(times) == size:
            return times, True
        times.append(found.ts)
    return times, answers.cut


class _Place:
    """The place while reading backwards; whether lines are chained is only parsed when needed."""

    def __init__(self) -> None:
        self._seq, self._beside = 0, 0
        self._passed: list[bytes] = []

    def passed(self, line: bytes) -> None:
        """Another line, an older one."""
        self._passed.append(line)
        if len(self._passed) == _AT_ONCE:
            self.cursor()

    def cursor(self) -> Cursor:
        """The place of the line that was passed last."""
        for beside, line in enumerate(reversed(self._passed)):
            link = link_of(line)
            if link is not None:
                self._seq, self._beside = int(link[2]), beside
                break
        else:
            self._beside += len(self._passed)
        self._passed.clear()
        return Cursor(self._seq, self._beside)


def _order(at: Cursor) -> tuple[float, int]:
    """Grows as one goes back in a log."""
    return (-at.seq if at.seq else -math.inf), at.beside


def _newest_first(
    where: Sequence[str], question: Question, after: Cursor | None, ring: KeyRing | None
) -> Iterator[bytes]:
    last = after.seq if after is not None else 0
    if is_address(where[0]):
        yield from _rows(where[0], question, after)
    elif not is_archive(where[0]):
        with open_log(where[0]).follow() as log:
            yield from log.newest_first(last)
    if any(map(is_archive, where)):
        yield from newest_first(away_files(where, ring), last)


def _rows(where: str, question: Question, after: Cursor | None) -> Iterator[bytes]:
    before = after.seq if after is not None else 0
    for reader in open_readers([where]):
        with reader:
            blocks = (
                reader.newest(before, question.columns())
                if isinstance(reader, PagingReader)
                else reader.search()
            )
            for block in blocks:
                yield from reversed(split_lines(block.data))
