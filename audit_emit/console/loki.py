"""Records from Loki: the same pages as for a log, but nothing is verified.

Loki has copies; ``audit-emit reconcile`` compares them with the log. There are no pages about a
whole log (integrity, checkpoints, archive).
"""

from __future__ import annotations

import os
import re
import time

from audit_emit._facade.loki import from_environment
from audit_emit._facade.queries import Question, Term, ask_loki
from audit_emit._facade.records import Head, head_of, ns_of
from audit_emit._facade.text import visible
from audit_emit.console.access import Identity
from audit_emit.console.filters import Filters
from audit_emit.console.messages import text
from audit_emit.console.paging import Cursor, Page
from audit_emit.console.place import PAGE, Found, named_by
from audit_emit.console.tops import LOOKED_AT, Tops, tops_of
from audit_emit.errors import FilterError

_DAY = 86_400 * 10**9
_LATEST = 2**63 - 1
"""The latest time that Loki can represent, in nanoseconds since 1970."""

_MOST_AT_ONCE = 5000
"""Records of one time that Loki hands out (``LokiClient``): no page ends behind more."""

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7")
_MOST_NEW = 1000
"""Records that one look for new ones returns at most."""


class LokiSource:
    """The records of one tenant in one Loki, newest first by their time.

    Args:
        url: of Loki; credentials are those of the environment.
        tenant: the ``X-Scope-OrgID``.

    Raises:
        ConfigError: the address or a credential cannot be used.
    """

    is_log: bool = False
    poll_seconds: float = 2.0

    def __init__(self, url: str, tenant: str | None = None) -> None:
        from audit_emit._facade.loki_client import LokiClient  # noqa: PLC0415 - an extra

        self._tenant = tenant
        self._url = url
        self._options = from_environment(os.environ)
        with LokiClient(url, tenant=tenant, **self._options) as client:
            self.shown: str = visible(f"Loki at {client.url}")

    def page(self, filters: Filters, identity: Identity, size: int = PAGE) -> Page:
        """The newest records that answer, and that somebody may see.

        A page ends at a time (nanoseconds since 1970), and behind so many records of it.

        Raises:
            FilterError: a filter cannot be understood.
            LokiError: Loki gives no usable answer.
        """
        question = filters.question(identity.workspaces)
        after = filters.before
        if after is not None:
            if after.seq >= _LATEST or after.beside > _MOST_AT_ONCE:
                raise FilterError(text("error.before", why=text("error.no_loki_place")))
            ends = [after.seq + 1, *([question.until] if question.until is not None else [])]
            question = question._replace(until=min(ends))
        skipped = after.beside if after is not None else 0
        lines = self._newest(question, size + skipped + 1)
        newest = next(filter(None, map(head_of, lines)), None) if after is None else None
        lines = lines[skipped:]
        if len(lines) <= size:
            return Page(lines, None, newest)
        lines = lines[:size]
        last = _time_of(question, lines[-1])
        same = sum(_time_of(question, line) == last for line in lines)
        if after is not None and last == after.seq:
            same += skipped
        return Page(lines, Cursor(last, same), newest)

    def times(self, filters: Filters, identity: Identity, size: int) -> tuple[list[int], bool]:
        """When the newest records were that answer, and whether there are more; see ``page``."""
        question = filters.question(identity.workspaces)
        lines = self._newest(question, size + 1)
        return [_time_of(question, line) for line in lines[:size]], len(lines) > size

    def tops(self, filters: Filters, identity: Identity, size: int = 0) -> tuple[Tops, list[bytes]]:
        """What occurs most among the newest records that answer, and the first of their lines."""
        lines = self._newest(filters.question(identity.workspaces), LOOKED_AT + 1)
        return tops_of(lines, filters), lines[:size]

    def find(self, name: str, identity: Identity) -> Found | None:
        """The record with an id, at ``CHAIN:SEQ``, or of a receipt; see ``Source.find``.

        Loki is asked about the day of an id, and about the last 30 days for a place.
        """
        terms = named_by(name)
        if terms is None:
            return None
        line = self._one(terms, identity, *_around_id(name))
        head = head_of(line) if line is not None else None
        if line is None or head is None:
            return None if line is None else Found(line, b"", b"")
        near = _around(ns_of(head.ts))
        beside = [
            self._one((Term(("seq",), str(seq)), Term(("chain",), head.chain)), identity, *near)
            or b""
            for seq in (head.seq - 1, head.seq + 1)
        ]
        return Found(line, *beside)

    def lines_after(self, after: Head | None) -> list[bytes]:
        """Records after one, in the order of time, chain and number; at most the newest 1,000.

        Records that reach Loki late are missing: their time is earlier.
        """
        since = ns_of(after.ts) if after is not None else None
        lines = self._newest(Question(since=since), _MOST_NEW)[::-1]
        if after is None:
            return lines
        seen = (after.ts, after.chain, after.seq)
        heads = [(head_of(line), line) for line in lines]
        return [line for head, line in heads if head and (head.ts, head.chain, head.seq) > seen]

    def head(self) -> Head | None:
        """The newest record's place."""
        return next(filter(None, map(head_of, self._newest(Question(), 1))), None)

    def _newest(self, question: Question, limit: int) -> list[bytes]:
        from audit_emit._facade.loki_client import LokiClient  # noqa: PLC0415 - an extra

        with LokiClient(self._url, tenant=self._tenant, **self._options) as client:
            return ask_loki(question, client, time.time_ns(), limit).lines[::-1]

    def _one(
        self, terms: tuple[Term, ...], identity: Identity, since: int | None, until: int | None
    ) -> bytes | None:
        question = Question(terms=terms, workspaces=identity.workspaces, since=since, until=until)
        return next(iter(self._newest(question, 1)), None)


def _time_of(question: Question, line: bytes) -> int:
    found = question.match(line)
    return found.ts if found is not None else 0


def _around(ns: int) -> tuple[int, int]:
    return max(0, ns - _DAY), ns + _DAY


def _around_id(name: str) -> tuple[int | None, int | None]:
    """The times between which a record with an id is, as a UUIDv7 says them (RFC 9562)."""
    found = _UUID7.match(name)
    return (None, None) if found is None else _around(int(found[1] + found[2], 16) * 10**6)
