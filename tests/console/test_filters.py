"""The address of a page as a question."""

from __future__ import annotations

import pytest

from audit_emit._query.question import Term
from audit_emit.console.filters import Filters
from audit_emit.errors import FilterError


def test_every_filter_is_part_of_the_question() -> None:
    given = {
        "type": "secret.* auth.login",
        "actor": "u-17",
        "workspace": "acme",
        "correlation": "c",
        "changed": "K",
        "where": "a.b=1 service!=x",
        "since": "2026-05-19T20:00",
        "until": "2026-05-20",
    }
    found = Filters.of(given).question(("acme",))
    assert found.types == ("secret.*", "auth.login")
    assert (found.actor, found.workspace, found.correlation) == ("u-17", "acme", "c")
    assert found.changed == "K"
    assert found.terms == (Term.parse("a.b=1"), Term.parse("service!=x"))
    assert found.since == 1779220800 * 10**9
    assert found.workspaces == ("acme",)


def test_an_address_becomes_itself_again() -> None:
    filters = Filters.of({"type": "a.b", "actor": "x y&z", "nonsense": "1", "until": " "})
    assert filters.query() == "type=a.b&actor=x+y%26z"
    assert filters.query(before="7") == "type=a.b&actor=x+y%26z&before=7"


@pytest.mark.parametrize("text", ["17", "17.2", "0.3"])
def test_a_page_begins_where_the_one_before_it_ended(text: str) -> None:
    assert str(Filters.of({"before": text}).before) == text


@pytest.mark.parametrize(
    "query",
    [
        {"since": "nonsense"},
        {"where": "no-equals"},
        {"before": "x"},
        {"before": "-1"},
        {"before": "9" * 40},
        {"actor": "x" * 501},
        {"actor": "[z-a]"},
        {"actor": "\ud800"},
    ],
)
def test_what_cannot_be_understood_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(FilterError):
        Filters.of(query).question()
