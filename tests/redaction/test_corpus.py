"""How much of what leaks is found, and how much of what is harmless stays."""

from __future__ import annotations

import pytest
from support.redaction_figures import (
    PLACES,
    altered_logs,
    altered_records,
    altered_values,
    formats_held_back,
)


@pytest.mark.thorough
@pytest.mark.parametrize("place", PLACES)
def test_tokens_with_letters_of_their_own_are_held_back(place: str) -> None:
    share, shown = formats_held_back(place)
    assert share >= 0.97, shown


@pytest.mark.thorough
def test_records_of_a_cloud_stay_as_they_are() -> None:
    share, found = altered_records()
    assert share < 0.01, found


def test_harmless_values_stay_as_they_are() -> None:
    share, found = altered_values()
    assert share < 0.0015, found


@pytest.mark.thorough
def test_lines_of_ordinary_logs_stay_as_they_are() -> None:
    share, found = altered_logs()
    assert share < 0.003, found
