"""What each letter beyond ASCII means to the keywords that count in any spelling.

Python's own tables of characters are asked, for 64 characters at a time when one of them is met
for the first time: most processes meet a few of these pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from unicodedata import combining, normalize

from audit_emit._format import encode
from audit_emit._redaction.alphabet import folded_text
from audit_emit._redaction.readings import escaped

__all__ = ["LETTER", "LOOK", "OTHER", "SIZE", "UNKNOWN", "Letters"]

UNKNOWN, LETTER, OTHER, LOOK = 0, 1, 2, 255
"""What a byte of ``known`` says besides a column: not asked yet; a letter of no keyword; what else
is in no keyword; what may stand for other characters, so that Python has to look at the text."""

SIZE = 0x20000
"""Characters from here on are rare, and always looked at by Python."""

_PAGE = 64


class Letters:
    """The bytes, and how they become known.

    Args:
        columns: the column of each character of a keyword; more than ``OTHER``, less than ``LOOK``.
        marks: what else means something to a rule.

    Attributes:
        known: a byte for each character: one of the above, or the column of what it folds to.
    """

    def __init__(self, columns: Mapping[str, int], marks: Iterable[str]) -> None:
        self.known: bytearray = bytearray(SIZE)
        self._columns = columns
        self._meant = set(marks) | set(columns)
        self._parts = {part for char in columns for part in normalize("NFKD", char)}

    def learn(self, code: int) -> None:
        """Make a character known, with its neighbours."""
        start = code - code % _PAGE
        page = bytes(self._meaning(chr(code)) for code in range(start, start + _PAGE))
        self.known[start : start + _PAGE] = page

    def _meaning(self, char: str) -> int:
        if "\ud800" <= char <= "\udfff" or escaped(char) or encode.safe(char) != char:
            return LOOK
        folded = folded_text(char)
        if not folded:
            return LOOK  # an accent, which belongs to the letter before it
        if folded in self._columns and char.isalpha():
            return self._columns[folded]
        readings = {*_readings(char), folded}
        if char in self._meant or any(not self._parts.isdisjoint(one) for one in readings):
            return LOOK
        if any(not self._meant.isdisjoint(one) for one in readings):
            return LOOK
        if char.isnumeric() or any(part.isnumeric() for one in readings for part in one):
            return LOOK
        return LETTER if char.isalpha() and not combining(char) else OTHER


def _readings(char: str) -> set[str]:
    """What a character may be read as where case and form of letters do not count."""
    compatible = normalize("NFKC", char)
    upper = char.upper()
    return {
        char.lower(),
        compatible.lower(),
        normalize("NFKC", char.lower()),
        upper.lower() if len(upper) == 1 else char.lower(),
    }
