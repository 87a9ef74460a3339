"""What occurs most."""

from __future__ import annotations

from support.chain_builder import MadeChain
from support.console_client import markup

from audit_emit.console.filters import Filters
from audit_emit.console.tops import SHOWN, Tops, tops_of


def counted(tops: Tops, title: str) -> list[tuple[str, int]]:
    found = dict(tops.lists).get(title, [])
    return [(one.value, one.records) for one in found]


def lines() -> list[bytes]:
    """Newest first: two of carol's about B, then three of bob's about A."""
    chain = MadeChain().add(3, user_id="bob", fields={"key": "A"})
    chain.add(2, event_type="auth.login", user_id="carol", fields={"key": "B"})
    return chain.lines[::-1]


def test_values_are_counted_the_most_frequent_first() -> None:
    tops = tops_of(lines(), Filters({}))
    assert counted(tops, "actors") == [("bob", 3), ("carol", 2)]
    assert counted(tops, "targets") == [("A", 3), ("B", 2)]
    assert counted(tops, "types") == [("secret.set", 3), ("auth.login", 2)]
    assert (tops.records, tops.cut) == (5, False)
    assert tops.first < tops.last


def test_only_the_newest_are_counted_and_that_is_said() -> None:
    tops = tops_of(lines(), Filters({}), most=2)
    assert (counted(tops, "actors"), tops.cut) == ([("carol", 2)], True)


def test_a_list_has_so_many_values() -> None:
    chain = MadeChain()
    for number in range(SHOWN + 5):
        chain.add(1, user_id=f"u-{number}")
    assert len(counted(tops_of(chain.lines, Filters({})), "actors")) == SHOWN


def test_each_value_is_a_filter_more() -> None:
    tops = tops_of(lines(), Filters({"type": "secret.*", "where": "n=1"}))
    queries = {one.value: one.query for _, found in tops.lists for one in found}
    assert queries["bob"] == "type=secret.%2A&where=n%3D1&actor=bob"
    assert queries["A"] == "type=secret.%2A&where=n%3D1+key%3DA"


def test_what_no_filter_can_name_is_text_only() -> None:
    tops = tops_of([markup(), b"no record"], Filters({}))
    assert tops.records == 1
    assert {one.query for _, found in tops.lists for one in found} == {""}
