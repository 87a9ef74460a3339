"""The interface behind the pages about records, which a log and Loki both have."""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from audit_emit._facade.queries import Term
from audit_emit._facade.records import Head
from audit_emit.console.access import Identity
from audit_emit.console.filters import Filters
from audit_emit.console.paging import Page
from audit_emit.console.tops import Tops

PAGE = 50
"""Records of a page."""

_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")
_PLACE = re.compile(r"([0-9a-f]{16}):([1-9][0-9]{0,18})(?::([0-9a-f]{64}))?")


class Found(NamedTuple):
    """One record, with the ones before and after it where they may be seen.

    Attributes:
        line: of the record.
        before, after: the lines beside it in the chain; empty where there is none.
    """

    line: bytes
    before: bytes
    after: bytes


class Records(Protocol):
    """A source of records. Each method does I/O, and is called in a thread.

    Attributes:
        is_log: it is a log, which can be verified; then it is a ``Source``.
        poll_seconds: between two looks for new records.
    """

    is_log: bool
    poll_seconds: float

    @property
    def shown(self) -> str:
        """The name of the source for people, without a password."""
        ...

    def page(self, filters: Filters, identity: Identity, size: int = PAGE) -> Page:
        """The newest records that match, and that the user may see.

        Raises:
            FilterError: a filter cannot be understood.
            OSError, AuditEmitError: they cannot be read.
        """
        ...

    def times(self, filters: Filters, identity: Identity, size: int) -> tuple[list[int], bool]:
        """The times of the newest records that match, and whether there are more; see ``page``."""
        ...

    def tops(self, filters: Filters, identity: Identity, size: int = 0) -> tuple[Tops, list[bytes]]:
        """The most frequent values of the newest records that match, and the first ``size``."""
        ...

    def find(self, name: str, identity: Identity) -> Found | None:
        """The record with an id, at ``CHAIN:SEQ``, or of a receipt (``CHAIN:SEQ:HASH``).

        Returns:
            ``None`` where the user may see no such record, or its hash is not the receipt's.
        """
        ...

    def lines_after(self, after: Head | None) -> list[bytes]:
        """The next chained lines after a record.

        Raises:
            LookupError: there is no such record.
        """
        ...

    def head(self) -> Head | None:
        """The newest record's place."""
        ...


def named_by(name: str) -> tuple[Term, ...] | None:
    """The filter for the record with an id, at ``CHAIN:SEQ``, or of a receipt.

    ``None`` for a text that is none of these.
    """
    place = _PLACE.fullmatch(name)
    if place is not None:
        named = {"seq": place[2], "chain": place[1], **({"hash": place[3]} if place[3] else {})}
        return tuple(Term((name,), value) for name, value in named.items())
    return (Term(("id",), name),) if _ID.fullmatch(name) else None
