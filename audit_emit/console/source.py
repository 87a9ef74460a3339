"""What the pages read from a log: pages of records, one record with its neighbours, its state.

Everything goes through ``LogReader``, so that files, a database and objects are read alike. A page
knows whether there is an older one, but no total: counting would read the whole log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from audit_emit._facade.queries import (
    Answer,
    LogReader,
    Question,
    Term,
    ask_log,
    open_reader,
    whole_lines_of,
)
from audit_emit._facade.records import Head, head_of, split_lines
from audit_emit._facade.settings import Address, is_address, is_archive
from audit_emit._facade.text import visible
from audit_emit.console.access import Identity
from audit_emit.console.filters import Filters
from audit_emit.console.paging import Answers, Page, page_of, times_of
from audit_emit.console.place import PAGE, Found, named_by
from audit_emit.console.tops import Tops, tops_of
from audit_emit.log import KeyRing, Standing, open_log

_LATEST_CHECKPOINTS = 200
_AT_A_TIME = 1 << 20
"""Bytes of lines that one look for new records returns."""


class Source:
    """One log.

    Args:
        where: its directory, or the address of one.
        keys: that are trusted.
        archive: ``s3://…`` where older segments of it are; empty for none.

    Attributes:
        ring: the trusted keys; one of them must have signed what is fetched from an archive.
    """

    is_log: bool = True
    poll_seconds: float = 0.5

    def __init__(self, where: str, keys: tuple[str, ...] = (), archive: str = "") -> None:
        self.where: str = where
        self.keys: tuple[str, ...] = keys
        self.archive: str = archive
        self._log = open_log(where, keys=keys, archive=archive)
        self.ring: KeyRing = KeyRing.from_sources(list(keys))
        self.parts: tuple[str, ...] = (where, archive) if archive else (where,)

    @property
    def shown(self) -> str:
        """The log as it may be shown: an address without its password."""
        where = self.where
        return visible(Address.chosen(where)[0].shown if is_address(where) else where)

    def page(self, filters: Filters, identity: Identity, size: int = PAGE) -> Page:
        """The newest records that match, and that the user may see.

        Raises:
            FilterError: a filter cannot be understood.
            OSError: the log cannot be read.
        """
        asked = filters.question(identity.workspaces)
        return page_of(self.parts, asked, size, filters.before, self.ring)

    def times(self, filters: Filters, identity: Identity, size: int) -> tuple[list[int], bool]:
        """The times of the newest records that match, and whether there are more; see ``page``."""
        return times_of(self.parts, filters.question(identity.workspaces), size, self.ring)

    def tops(self, filters: Filters, identity: Identity, size: int = 0) -> tuple[Tops, list[bytes]]:
        """The most frequent values of the newest records that match, and the first of their lines.

        Args:
            size: how many of these lines.
        """
        answers = Answers(self.parts, filters.question(identity.workspaces), ring=self.ring)
        first: list[bytes] = []

        def lines() -> Iterator[bytes]:
            for line, _ in answers:
                if len(first) < size:
                    first.append(line)
                yield line

        tops = tops_of(lines(), filters)
        return tops._replace(cut=tops.cut or answers.cut), first

    def find(self, name: str, identity: Identity) -> Found | None:
        """The record with an id, at ``CHAIN:SEQ``, or of a receipt (``CHAIN:SEQ:HASH``).

        Returns:
            ``None`` where the user may see no such record, or its hash is not the receipt's.

        Raises:
            OSError: the log cannot be read.
        """
        terms = named_by(name)
        if terms is None:
            return None
        line = self._one(terms, identity)
        if line is None:
            return None
        head = head_of(line)
        if head is None:
            return Found(line, b"", b"")
        beside = [
            self._one((Term(("seq",), str(seq)), Term(("chain",), head.chain)), identity) or b""
            for seq in (head.seq - 1, head.seq + 1)
        ]
        return Found(line, *beside)

    def proof(self, seq: int) -> bytes:
        """The proof of a record, for ``audit-emit verify-proof``.

        Raises:
            LookupError: the record is not there.
            ValueError: no checkpoint covers it.
            CheckpointError: the log is not what was signed.
            OSError: the log cannot be read.
        """
        return self._log.prove(seq).to_bytes()

    def standing(self) -> Standing:
        """The state of the log.

        Raises:
            OSError: it cannot be read.
        """
        return self._log.standing()

    def checkpoints(self) -> list[dict[str, Any]]:
        """The newest checkpoints with their members, newest first; they are not verified.

        Raises:
            OSError: they cannot be read.
        """
        found: list[dict[str, Any]] = []
        with self.reader() as reader:
            for one in reader.checkpoints() or ():
                try:
                    found.append(msgspec.json.decode(one.line, type=dict[str, Any]))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    continue
                del found[:-_LATEST_CHECKPOINTS]
        return found[::-1]

    def lines_after(self, after: Head | None) -> list[bytes]:
        """The next chained lines after a record, 1 MiB or a little more at a time.

        Args:
            after: the record; ``None``: from the first one on.

        Raises:
            LookupError: the log has no such record.
            OSError: it cannot be read.
        """
        lines: list[bytes] = []
        size = 0
        if is_archive(self.where):
            return lines  # it grows by whole batches; a look at it is many requests
        with open_reader(self.where) as reader:
            for block in whole_lines_of(reader.since(after)):
                for line in split_lines(block):
                    found = head_of(line)
                    if found is not None and (after is None or found.seq > after.seq):
                        lines.append(line)
                        size += len(line)
                if size > _AT_A_TIME:
                    break
        return lines

    def head(self) -> Head | None:
        """The newest record's place.

        Raises:
            OSError: the log cannot be read.
        """
        return self._log.head()

    def reader(self) -> LogReader:
        """A reader of the log, to be closed.

        Raises:
            ConfigError: there are several chains.
            OSError: it cannot be read.
        """
        return open_reader(*self.parts, ring=self.ring)

    def _ask(self, question: Question, limit: int) -> Answer:
        return ask_log(question, self.parts, limit, ring=self.ring)

    def _one(self, terms: tuple[Term, ...], identity: Identity) -> bytes | None:
        found = self._ask(Question(terms=terms, workspaces=identity.workspaces), 1).lines
        return found[0] if found else None
