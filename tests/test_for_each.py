"""``support.for_each``: one test for many cases, which tells those that do not hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.for_each import for_each


def test_every_case_that_does_not_hold_is_told() -> None:
    @for_each("number", [1, 2, 3, 4])
    def is_odd(number: int) -> None:
        assert number % 2, "even"

    with pytest.raises(ExceptionGroup, match="2 of 4 cases") as caught:
        is_odd()
    assert [error.__notes__ for error in caught.value.exceptions] == [["for 2"], ["for 4"]]


def test_without_cases_it_fails() -> None:
    with pytest.raises(AssertionError, match="no cases"):
        for_each("number", [])(lambda number: None)()


@for_each("one, other", [(1, 2), pytest.param(3, 4, id="second")])
def test_several_arguments_and_fixtures_are_given(one: int, other: int, tmp_path: Path) -> None:
    assert other - one == 1
    assert tmp_path.is_dir()
