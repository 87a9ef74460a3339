"""Results of buttons, for the page that is shown next, whose address has the number of the result.

The text itself is never in an address: otherwise a link could make a page show any text, and these
pages say whether a log verifies.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict

_KEPT = 200
_LONGEST = 500


class Notes:
    """The newest answers of one console."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def keep(self, said: str, name: str) -> str:
        """Keep one; the number that names it.

        Args:
            said: the answer.
            name: of the user whom it was given.
        """
        number = secrets.token_urlsafe(9)
        with self._lock:
            self._kept[number] = (name, said[:_LONGEST])
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return number

    def of(self, number: str, name: str) -> str:
        """The answer of that number to a user; empty where there is none (any more)."""
        with self._lock:
            whose, said = self._kept.get(number, ("", ""))
        return said if whose == name else ""
