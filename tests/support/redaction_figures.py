"""How much of what leaks is found, and how much of what is harmless stays: shares of 0 to 1.

The texts are made up (``token_generator`` by what vendors document of their tokens in
``tests/redaction/formats.txt``, ``harmless_texts`` by the schemas of records), not from the rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from support.harmless_texts import cloudtrail, harmless_value, log_line
from support.token_generator import FORMATS, tokens

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import Redactor

__all__ = [
    "PLACES",
    "altered_logs",
    "altered_records",
    "altered_values",
    "evasions_held_back",
    "formats_held_back",
]

REDACTOR = Redactor()
PLACES: dict[str, Callable[[str], str]] = {
    "a whole value": str,
    "a sentence": "u-17 typed {} into the form, twice".format,
    "JSON": lambda token: json.dumps({"note": token, "n": 1}),
    "a URL": lambda token: f"https://example.com/a?q={quote(token, safe='')}&b=1",
}
_EVASIONS = Path(__file__).parent.parent / "redaction" / "evasions.jsonl"


def formats_held_back(place: str, each: int = 10) -> tuple[float, list[str]]:
    """The share of formats of which every token is held back in a place, and the others."""
    shown = [
        layout
        for layout in FORMATS
        if any(
            token in (REDACTOR.scrub(PLACES[place](token)) or token)
            for token in tokens(layout, each)
        )
    ]
    return 1 - len(shown) / len(FORMATS), shown


def evasions_held_back(secret: str = "Hunter2") -> float:
    """The share of the ways to write a secret down that do not get past the rules."""
    normaliser = Normaliser(Redactor())
    lines = [json.loads(line) for line in _EVASIONS.read_text().splitlines()]
    made = [line if isinstance(line, dict) else {"x": line} for line in lines]
    held = [secret not in json.dumps(normaliser.full("a.b", one).value) for one in made]
    return sum(held) / len(held)


def _altered(made: Iterable[object], number: int) -> tuple[float, list[Any]]:
    normaliser = Normaliser(Redactor())
    found = [one for one in made if normaliser.full("a.b", {"x": one}).redacted]
    return len(found) / number, found[:3]


def altered_records(number: int = 1000) -> tuple[float, list[Any]]:
    """The share of a cloud's records that are altered, though nothing is secret in them."""
    random = Random(1)
    return _altered((cloudtrail(random) for _ in range(number)), number)


def altered_values(number: int = 4000) -> tuple[float, list[Any]]:
    """The same of values that look a little like secrets."""
    random = Random(2)
    return _altered((harmless_value(random) for _ in range(number)), number)


def altered_logs(number: int = 2000) -> tuple[float, list[Any]]:
    """The same of lines of ordinary logs."""
    random = Random(3)
    return _altered((log_line(random) for _ in range(number)), number)
