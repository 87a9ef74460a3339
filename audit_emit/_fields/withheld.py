"""What is held back on the quick way, by a name or in a text: what stands there instead of it."""

from __future__ import annotations

from typing import Any

from audit_emit._fields.pieces import MAX_STRING
from audit_emit._fields.repeated import SHORTEST, parts_of
from audit_emit._fields.subject import Subject
from audit_emit._format import encode
from audit_emit._redaction.finders.prose import may_be_plain
from audit_emit._redaction.finders.words_of_prose import STRONG
from audit_emit._redaction.redactor import Redactor, Scrubbed

__all__ = ["MAX_BYTES", "fill", "hold", "in_json", "is_nowhere_else"]

MAX_BYTES = 16384
"""The most bytes of a payload on the quick way: the full way reads and shows at least these."""


def hold(redactor: Redactor, value: object, found: list[str]) -> str | None:
    """What stands in the place of a value, in quotes; ``None`` for the full way.

    Args:
        redactor: the rules.
        value: what has the name of a secret.
        found: is given the value, unless that was held back before.
    """
    if type(value) is not str or may_be_plain(value):
        return None
    if redactor.is_held_back(value):
        return f'"{value}"'
    found.append(value)
    return f'"{redactor.held_back(value)}"'


def is_nowhere_else(found: list[str], made: str) -> bool:
    """Whether nothing that was held back is in the JSON of the payload (``spread``)."""
    for value in found:
        if len(value) >= SHORTEST:
            if _is_in(value, made):
                return False
            if " " in value or "@" in value or ":" in value:
                _, sign, last = value.rpartition(":")
                for part in (*parts_of(value), last) if sign else parts_of(value):
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


def in_json(scrubbed: Scrubbed, found: list[str]) -> str | None:
    """What is left of a text, as JSON; ``None`` for the full way, which cuts it.

    Args:
        scrubbed: the text, with what is secret in it held back.
        found: is given what of that is a secret wherever else it stands (``Pieces``).
    """
    text = scrubbed.text
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        made = f'"{text}"'
    else:
        made = encode.text(text)
    if len(made if made.isascii() else made.encode()) - 2 > MAX_STRING:
        return None
    found += filter(STRONG.match, scrubbed.secrets)
    return made


def fill(redactor: Redactor, pieces: list[Any]) -> int | None:
    """Put what stands instead in the place of what is held back; how many values that is.

    ``None`` for the full way.

    Args:
        redactor: the rules.
        pieces: as ``encode_plain`` gives them, changed in place: JSON and what is left out in turn.
            That is a value that is held back, or a text with something in it that is; or a
            ``Subject``, and behind its JSON its name.
    """
    found: list[str] = []
    held = length = 0
    at = 1
    while at < len(pieces):
        value = pieces[at]
        if type(value) is Subject:
            at += 4
            continue
        known = len(found)
        if type(value) is Scrubbed:
            instead = in_json(value, found)
            length += value.length
            held += 1
        else:
            instead = hold(redactor, value, found)
            held += len(found) - known
        if instead is None:
            return None
        pieces[at] = instead
        at += 2
    if not held:
        return 0
    texts = "".join([one for one in pieces if type(one) is str])
    if length and length + len(texts.encode()) > MAX_BYTES:
        return None
    return held if is_nowhere_else(found, texts) else None
