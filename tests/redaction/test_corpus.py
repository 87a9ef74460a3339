"""How much of what leaks is found, and how much of what is harmless stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random
from urllib.parse import quote

import pytest
from support.harmless_texts import cloudtrail, harmless_value, log_line
from support.token_generator import FORMATS, tokens

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import Redactor

REDACTOR = Redactor()
PLACES: dict[str, Callable[[str], str]] = {
    "a whole value": str,
    "a sentence": "u-17 typed {} into the form, twice".format,
    "JSON": lambda token: json.dumps({"note": token, "n": 1}),
    "a URL": lambda token: f"https://example.com/a?q={quote(token, safe='')}&b=1",
}


@pytest.mark.parametrize("place", PLACES)
def test_tokens_with_letters_of_their_own_are_held_back(place: str) -> None:
    shown = [
        layout
        for layout in FORMATS
        if any(
            token in (REDACTOR.scrub(PLACES[place](token)) or token) for token in tokens(layout, 10)
        )
    ]
    assert len(shown) <= 0.03 * len(FORMATS), shown


def altered(made: Iterable[object]) -> list[object]:
    normaliser = Normaliser(Redactor())
    return [one for one in made if normaliser.full("a.b", {"x": one}).redacted]


def test_records_of_a_cloud_stay_as_they_are() -> None:
    random = Random(1)
    found = altered(cloudtrail(random) for _ in range(1000))
    assert len(found) < 10, found[:3]


def test_harmless_values_stay_as_they_are() -> None:
    random = Random(2)
    found = altered(harmless_value(random) for _ in range(4000))
    assert len(found) < 6, found


def test_lines_of_ordinary_logs_stay_as_they_are() -> None:
    random = Random(3)
    found = altered(log_line(random) for _ in range(2000))
    assert len(found) < 6, found
