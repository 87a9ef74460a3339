"""The quick way of a payload: plain values in which nothing is secret, straight to their JSON.

It gives the text that the walk would give (``walk``), or none. What it does not know (a name that
was never met, a text with a keyword in it) it asks, one by one; where the answer is that something
has to be changed, other than by the name of a secret, the whole payload takes the full way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec.json import Encoder

from audit_emit._fields.plain_copy import (
    MAX_DEPTH,
    MAX_INT,
    MAX_ITEMS,
    MAX_TABLE,
    MAX_TEXT,
    Copy,
)
from audit_emit._fields.subject import Subject
from audit_emit._fields.verdicts import HARMLESS, Known, Look
from audit_emit._fields.withheld import MAX_BYTES, fill
from audit_emit._redaction import table
from audit_emit._redaction.redactor import Redactor
from audit_emit._runtime.failure import Counters

__all__ = ["Encode", "Made", "Plain"]

Made = str | list[Any] | Literal[False] | None
Encode = Callable[[object, dict[str, int], object], Made]
"""The ``encode_plain`` of the compiled part."""

_encode = Encoder().encode
_ANY = {"": HARMLESS}
"""What is known of the name of a text that is looked at by itself."""
ASKED = ("name", "letters", "text", "tells", "other", "value")
"""The methods of ``Look``, and what a ``Subject`` has its value in, in the order in which the
compiled part knows them."""


class Plain:
    """The quick way under one redactor. Safe to share between threads.

    Args:
        redactor: the rules.
        compiled: the compiled part's ``encoder``; ``None`` without it.
        counters: count what is held back here.
    """

    def __init__(
        self,
        redactor: Redactor,
        compiled: Callable[..., Encode] | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._counters = counters or Counters()
        self._report = redactor.report
        self.known: Known = Known(redactor)
        self._looks = tuple(Look(self.known, secret_event=about) for about in (False, True))
        self.encode_plain: Encode | None = None
        """Of the compiled part."""
        if compiled is not None:
            tables, self.known.letters = table.made(redactor.engine)
            limits = (MAX_BYTES, MAX_TEXT, MAX_ITEMS, MAX_DEPTH, MAX_TABLE, MAX_INT)
            persons = Subject if redactor.seals else None
            made = compiled(*tables.values(), *limits, _encode, dict.__sizeof__, persons, ASKED)
            self.encode_plain = made
            redactor.engine.passes = lambda text: type(made({"": text}, _ANY, None)) is str

    def encode(self, fields: object, secret_event: bool) -> tuple[str, int] | None:
        """The JSON of a payload, and how many values are held back in it; they are not counted.

        ``None`` where the full way has to be taken.
        """
        if self.encode_plain is None:
            return Copy(self._looks[secret_event]).json(fields)
        made = self.encode_plain(fields, self.known.names[secret_event], None)
        pieces, held = self._filled(made, fields, secret_event)
        return None if pieces is None else ("".join(pieces), held)

    def text(self, fields: object, secret_event: bool) -> str | None:
        """The JSON of a payload; ``None`` where the full way has to be taken."""
        done = self.encode(fields, secret_event)
        return done[0] if done is not None and self._counted(done[1]) else None

    def finished(self, made: Made, fields: object, secret_event: bool) -> str | None:
        """The same, of what ``encode_plain`` has made where that is no text."""
        pieces = self.pieces(made, fields, secret_event)
        return None if pieces is None else "".join(pieces)

    def pieces(self, made: Made, fields: object, secret_event: bool) -> list[Any] | None:
        """The same as a list, in which values of persons are still to be sealed (``fill``)."""
        if made is None:
            return None
        pieces, held = self._filled(made, fields, secret_event)
        return pieces if self._counted(held) else None

    def _filled(
        self, made: Made, fields: object, secret_event: bool
    ) -> tuple[list[Any] | None, int]:
        """What ``encode_plain`` has made, with somebody who judges, and who holds back."""
        if made is False:
            made = self.asked(fields, secret_event)
        if type(made) is list:
            held = fill(self.known.redactor, made)
            return (None, 0) if held is None else (made, held)
        return ([made], 0) if type(made) is str else (None, 0)

    def _counted(self, held: int) -> bool:
        """Whether the record needs not say which rules held back what: the full way knows."""
        if held and self._report:
            return False
        self._counters.redacted += held
        return True

    def asked(self, fields: object, secret_event: bool) -> Made:
        """What the compiled part makes of a payload when it has somebody who judges."""
        assert self.encode_plain is not None  # noqa: S101 - for the type checker
        look = self._looks[secret_event]
        return self.encode_plain(fields, look.names, look)
