"""Values on the quick way that are held back by their names: what stands there instead of them."""

from __future__ import annotations

from typing import Any

from audit_emit._fields.repeated import SHORTEST, parts_of
from audit_emit._fields.subject import Subject
from audit_emit._format import encode
from audit_emit._redaction.finders.prose import may_be_plain
from audit_emit._redaction.redactor import Redactor

__all__ = ["fill", "hold", "is_nowhere_else"]


def hold(redactor: Redactor, value: object, found: list[str]) -> str | None:
    """What stands in the place of a value, without quotes; ``None`` for the full way.

    Args:
        redactor: the rules.
        value: what has the name of a secret.
        found: is given the value, unless that was held back before.
    """
    if type(value) is not str or may_be_plain(value):
        return None
    if redactor.is_held_back(value):
        return value
    found.append(value)
    return redactor.held_back(value)


def is_nowhere_else(found: list[str], made: str) -> bool:
    """Whether nothing that was held back is in the JSON of the payload (``spread``)."""
    for value in found:
        if len(value) >= SHORTEST:
            if _is_in(value, made):
                return False
            if " " in value or "@" in value:
                for part in parts_of(value):
                    if len(part) >= SHORTEST and _is_in(part, made):
                        return False
    return True


def _is_in(text: str, made: str) -> bool:
    if text in made:
        return True
    # Such a text is the same in JSON; this is ``text.plain_size`` without a call for each secret.
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return False
    return encode.text(text)[1:-1] in made


def fill(redactor: Redactor, pieces: list[Any]) -> int | None:
    """Put what stands instead in the place of what is held back; how many values that is.

    ``None`` for the full way.

    Args:
        redactor: the rules.
        pieces: as ``encode_plain`` gives them, changed in place: JSON and what is left out in turn.
            That is a value that is held back; or a ``Subject``, and behind its JSON its name.
    """
    found: list[str] = []
    at = 1
    while at < len(pieces):
        value = pieces[at]
        if type(value) is Subject:
            at += 4
            continue
        instead = hold(redactor, value, found)
        if instead is None:
            return None
        pieces[at] = f'"{instead}"'
        at += 2
    if not found:
        return 0
    texts = [one for one in pieces if type(one) is str]
    return len(found) if is_nowhere_else(found, "".join(texts)) else None
