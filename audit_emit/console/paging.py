"""Pages of a log, the newest records first, in the order of its chain.

A page is found by walking back from the end, and stops when it is full: it takes no longer in a
longer log. Where it ends is the number of a record, so the next page goes on there whatever was
written in the meantime. The order is that of the chain and not of ``ts``: a record that had to wait
is shown where it was written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from audit_emit._facade.queries import (
    PagingReader,
    Question,
    away_files,
    newest_first,
    open_readers,
)
from audit_emit._facade.records import head_of
from audit_emit._facade.settings import is_address, is_archive
from audit_emit.log import open_log

_TEXT = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?", re.ASCII)


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
            raise ValueError("no place in a log; the console's own links have one")
        return cls(int(found[1]), int(found[2] or 0))

    def __str__(self) -> str:
        return f"{self.seq}.{self.beside}" if self.beside else str(self.seq)


class Page(NamedTuple):
    """One page of records.

    Attributes:
        lines: newest first.
        next: where the next page begins; ``None`` where nothing older answers.
    """

    lines: list[bytes]
    next: Cursor | None


def page_of(
    where: Sequence[str], question: Question, size: int, after: Cursor | None = None
) -> Page:
    """The records that answer, from a place on.

    Args:
        where: the log, and where older segments of it are archived, if they are.
        question: what is asked for; a line that cannot be placed answers only a question that asks
            for nothing.
        size: records of a page.
        after: the place; ``None`` for the end of the log.

    Raises:
        FileNotFoundError: there is no log.
        OSError: the log cannot be read.
    """
    everything = question == Question()
    lines: list[bytes] = []
    at = here = after or Cursor(0)
    for line, here in _walked(_newest_first(where, question, after), after):
        if not line or not (everything or question.match(line) is not None):
            continue
        if len(lines) == size:
            return Page(lines, at)
        lines.append(line)
        at = here
    return Page(lines, None)


def answers(where: Sequence[str], question: Question) -> Generator[bytes, None, None]:
    """The records that answer, newest first, as far as they are asked for."""
    for line in _newest_first(where, question, None):
        if line and question.match(line) is not None:
            yield line


def times_of(where: Sequence[str], question: Question, size: int) -> tuple[list[int], bool]:
    """When the newest records were that answer, and whether there are more."""
    times: list[int] = []
    for line in _newest_first(where, question, None):
        found = question.match(line) if line else None
        if found is not None:
            if len(times) == size:
                return times, True
            times.append(found.ts)
    return times, False


def _walked(lines: Iterable[bytes], after: Cursor | None) -> Iterator[tuple[bytes, Cursor]]:
    """The lines behind a place, each with its own place."""
    seq, beside = 0, 0
    for line in lines:
        head = head_of(line)
        if head is None:
            beside += 1
        else:
            seq, beside = head.seq, 0
        here = Cursor(seq, beside)
        if after is None or _order(here) > _order(after):
            yield line, here


def _order(place: Cursor) -> tuple[float, int]:
    """Grows as one goes back in a log."""
    return (-place.seq if place.seq else -math.inf), place.beside


def _newest_first(
    where: Sequence[str], question: Question, after: Cursor | None
) -> Iterator[bytes]:
    if is_address(where[0]):
        yield from _rows(where, question, after)
        return
    last = after.seq if after is not None else 0
    if not is_archive(where[0]):
        with open_log(where[0]).follow() as log:
            yield from log.newest_first(last)
    if any(map(is_archive, where)):
        yield from newest_first(away_files(where), last)


def _rows(where: Sequence[str], question: Question, after: Cursor | None) -> Iterator[bytes]:
    before = after.seq if after is not None else 0
    for reader in open_readers(where):
        with reader:
            blocks = (
                reader.newest(before, question.columns())
                if isinstance(reader, PagingReader)
                else reader.search()
            )
            for block in blocks:
                yield from reversed(block.data.split(b"\n")[:-1])
