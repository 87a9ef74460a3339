"""How much of what leaks is found, and how much of what is harmless stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from made_tokens import FORMATS, tokens

from audit_emit.redact import Redactor

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
