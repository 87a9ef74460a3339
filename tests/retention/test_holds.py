"""Legal holds: what they hold, and that the chain alone says which are in force."""

from __future__ import annotations

from typing import Any

import pytest
from support.chain_builder import MadeChain, altered

from audit_emit._readers.memory import MemoryReader
from audit_emit._retention.holds import (
    PLACED,
    RECORD,
    RELEASED,
    Hold,
    Holds,
    fields_of,
)
from audit_emit._signing.trusted_keys import KeyRing


def holds_of(*fields: Any) -> Holds:
    """What a log says that has these records of holds."""
    chain = MadeChain()
    for one in fields:
        chain.add(event_type=RECORD, fields=one)
    return Holds.of(MemoryReader(chain.lines), KeyRing())


def placed(name: str, first: int = 1, last: int | None = None) -> dict[str, Any]:
    return fields_of(PLACED, Hold(name, first, last, "lawsuit"), "")


def released(name: str) -> dict[str, Any]:
    return fields_of(RELEASED, Hold(name), "")


def names(holds: Holds) -> list[str]:
    return [one.name for one in holds.all]


def test_a_log_without_such_records_holds_nothing() -> None:
    assert holds_of().is_held(1, 1000) is None


@pytest.mark.parametrize(("first", "last", "held"), [(1, 9, False), (1, 10, True), (20, 30, True)])
def test_a_hold_is_on_every_range_that_has_one_of_its_records(
    first: int, last: int, *, held: bool
) -> None:
    assert (holds_of(placed("case-7", 10, 20)).is_held(first, last) is not None) is held


def test_a_hold_without_an_end_holds_what_is_still_to_come() -> None:
    holds = holds_of(placed("case-7", 10))
    assert holds.is_held(10**12, 10**12) is not None
    assert holds.is_held(1, 9) is None


def test_a_hold_comes_back_as_it_was_placed() -> None:
    (hold,) = holds_of(placed("case-7", 10, 20)).all
    assert hold == Hold("case-7", 10, 20, "lawsuit", "2026-05-19T20:00:00.000000000Z")


def test_a_released_hold_holds_nothing_and_the_others_still_do() -> None:
    holds = holds_of(placed("a", 1, 5), placed("b", 4, 9), released("a"))
    assert holds.is_held(1, 3) is None
    assert names(holds) == ["b"]
    assert holds.released == {"a"}


def test_a_hold_is_not_made_smaller_by_placing_it_again() -> None:
    assert holds_of(placed("a", 1, 900), placed("a", 5, 5)).is_held(800, 800) is not None


def test_a_hold_that_is_placed_after_its_release_holds() -> None:
    assert names(holds_of(placed("a"), released("a"), placed("a"))) == ["a"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"action": "placed"},
        {"action": "placed", "hold": "a", "first_seq": 5, "last_seq": 4},
        {"action": "placed", "hold": "a", "first_seq": True},
        {"action": "paused", "hold": "a"},
    ],
)
def test_what_cannot_be_understood_holds_everything(fields: Any) -> None:
    holds = holds_of(fields)
    assert holds.is_held(1, 1) is not None
    assert holds.is_held(10**12, 10**12) is not None


def test_what_cannot_be_understood_is_released_by_the_name_that_it_is_shown_by() -> None:
    (hold,) = holds_of({}).all
    assert holds_of({}, released(hold.name)).all == ()


def test_a_release_that_was_altered_releases_nothing() -> None:
    chain = MadeChain().add(event_type=RECORD, fields=placed("a"))
    chain.add(event_type=RECORD, fields=released("a"))
    lines = [chain.lines[0], altered(chain.lines[1])]
    assert names(Holds.of(MemoryReader(lines), KeyRing())) == ["a"]


def test_an_event_of_the_application_releases_nothing() -> None:
    """Its type is another one, whatever its fields say: no application can use this one."""
    chain = MadeChain().add(event_type=RECORD, fields=placed("a"))
    chain.add(event_type="secret.set", fields={**released("a"), "event_type": RECORD})
    assert names(Holds.of(MemoryReader(chain.lines), KeyRing())) == ["a"]
