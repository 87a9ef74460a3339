"""What the pages about records ask of the place where they are: a log, or Loki."""

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
    """A place to look at records. Each method reads, and takes its time.

    Attributes:
        is_log: it is a log, which can be verified; then it is a ``Source``.
        poll_seconds: between two looks at what is new.
    """

    is_log: bool
    poll_seconds: float

    @property
    def shown(self) -> str:
        """What it is, for people, without a password."""
        ...

    def page(self, filters: Filters, identity: Identity, size: int = PAGE) -> Page:
        """The newest records that answer, and that somebody may see.

        Raises:
            FilterError: a filter cannot be understood.
            OSError, AuditEmitError: they cannot be read.
        """
        ...

    def times(self, filters: Filters, identity: Identity, size: int) -> tuple[list[int], bool]:
        """When the newest records were that answer, and whether there are more; see ``page``."""
        ...

    def tops(self, filters: Filters, identity: Identity, size: int = 0) -> tuple[Tops, list[bytes]]:
        """What occurs most among the newest records that answer, and the first ``size`` lines."""
        ...

    def find(self, name: str, identity: Identity) -> Found | None:
        """The record with an id, at ``CHAIN:SEQ``, or of a receipt (``CHAIN:SEQ:HASH``).

        Returns:
            ``None`` where he sees none, and where it is another one than that of the receipt.
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
    """What asks for the record with an id, at ``CHAIN:SEQ``, or of a receipt; ``None``: no name."""
    place = _PLACE.fullmatch(name)
    if place is not None:
        named = {"seq": place[2], "chain": place[1], **({"hash": place[3]} if place[3] else {})}
        return tuple(Term((name,), value) for name, value in named.items())
    return (Term(("id",), name),) if _ID.fullmatch(name) else None
