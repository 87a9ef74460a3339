"""Filters of a page: from its address to a ``Question`` to the log, and back to an address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from audit_emit._facade.queries import Question, Term, checked, instant
from audit_emit._facade.records import ns_of
from audit_emit.console.messages import text
from audit_emit.console.paging import Cursor
from audit_emit.errors import FilterError

NAMES = ("type", "where", "actor", "workspace", "correlation", "changed", "since", "until")
"""The filters, which are those of ``audit-emit query``."""

_LONGEST = 500


class Filters(NamedTuple):
    """The filters of a page, as they were typed.

    Attributes:
        given: the filters that are not empty, by name.
        before: where the page before this one ended; ``None`` for the first.
    """

    given: Mapping[str, str]
    before: Cursor | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """The filters of an address.

        Raises:
            FilterError: ``before`` is no place, or a filter is too long.
        """
        given = {name: query[name].strip() for name in NAMES if query.get(name, "").strip()}
        for name, value in given.items():
            if len(value) > _LONGEST:
                raise FilterError(text("error.longest", name=name, most=_LONGEST))
        before = query.get("before", "")
        try:
            return cls(given, Cursor.parse(before) if before else None)
        except ValueError as error:
            raise FilterError(text("error.before", why=error)) from None

    def question(self, workspaces: tuple[str, ...] = ()) -> Question:
        """The filters as a ``Question``.

        Args:
            workspaces: only of these; empty for all.

        Raises:
            FilterError: a filter cannot be understood.
        """
        given = self.given
        try:
            return Question(
                types=tuple(map(checked, given.get("type", "").replace(",", " ").split())),
                terms=tuple(map(Term.parse, given.get("where", "").split())),
                actor=checked(given.get("actor", "")),
                workspace=checked(given.get("workspace", "")),
                correlation=checked(given.get("correlation", "")),
                changed=checked(given.get("changed", "")),
                since=_time(given.get("since", "")),
                until=_time(given.get("until", "")),
                workspaces=workspaces,
            )
        except ValueError as error:
            raise FilterError(str(error)) from None

    def query(self, **more: str | int) -> str:
        """The part of an address after ``?``, with changes; an empty value removes a filter."""
        values: dict[str, str | int] = {**self.given, **more}
        return urlencode({name: value for name, value in values.items() if value != ""})


def _time(text: str) -> int | None:
    return None if not text else max(0, ns_of(instant(text, datetime.now(UTC))))
