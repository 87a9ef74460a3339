"""Legal holds: what they hold, and that a damaged file never means that nothing is held."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audit_emit._retention.holds import FILE, Hold, Holds
from audit_emit.errors import NotRegularError, RetentionError


def test_without_a_file_nothing_is_held(tmp_path: Path) -> None:
    assert Holds.of(str(tmp_path)).is_held(1, 1000) is None


@pytest.mark.parametrize(("first", "last", "held"), [(1, 9, False), (1, 10, True), (20, 30, True)])
def test_a_hold_is_on_every_range_that_has_one_of_its_records(
    first: int, last: int, *, held: bool
) -> None:
    holds = Holds([Hold("case-7", 10, 20)])
    assert (holds.is_held(first, last) is not None) is held


def test_a_hold_without_an_end_holds_what_is_still_to_come() -> None:
    holds = Holds([Hold("case-7", 10)])
    assert holds.is_held(10**12, 10**12) is not None
    assert holds.is_held(1, 9) is None


def test_holds_come_back_as_they_were_saved(tmp_path: Path) -> None:
    holds = Holds(
        [Hold("case-7", 10, 20, "lawsuit", "2026-05-19T20:00:00.000000000Z"), Hold("all")]
    )
    holds.save(str(tmp_path))
    assert Holds.of(str(tmp_path)).all == holds.all


def test_a_released_hold_holds_nothing_and_the_others_still_do() -> None:
    holds = Holds([Hold("a", 1, 5)]).placed(Hold("b", 4, 9)).released("a")
    assert holds.is_held(1, 3) is None
    assert holds.is_held(5, 5) == Hold("b", 4, 9)


def test_a_hold_that_is_not_there_cannot_be_released() -> None:
    with pytest.raises(LookupError):
        Holds().released("case-7")


@pytest.mark.parametrize(
    "holds", [[Hold("a"), Hold("a")], [Hold("")], [Hold("a", 5, 4)], [Hold("a", 0)]]
)
def test_holds_that_mean_nothing_are_refused(holds: list[Hold]) -> None:
    with pytest.raises(RetentionError):
        Holds(holds)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"v":1}',
        b'{"v":2,"holds":[]}',
        b'{"v":1,"holds":[{"nme":"a"}]}',
        b"\xff",
    ],
)
def test_a_damaged_file_is_an_error_and_never_no_holds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RetentionError):
        Holds.of(str(tmp_path))


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    Holds().save(str(tmp_path))
    os.rename(tmp_path / FILE, tmp_path / "elsewhere")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotRegularError):
        Holds.of(str(tmp_path))
