"""The quick way of a payload: plain values in which nothing is secret, straight to their JSON.

It gives the text that the walk would give (``walk``), or none. What it does not know (a name that
was never met, a text with a keyword in it) it asks, one by one; where the answer is that something
has to be changed, other than by the name of a secret, the whole payload takes the full way.
"""

from __future__ import annotations

from typing import Any

from msgspec.json import Encoder

from audit_emit._fields.plain_copy import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_INT,
    MAX_ITEMS,
    MAX_TABLE,
    MAX_TEXT,
    Copy,
)
from audit_emit._fields.verdicts import Known, Look
from audit_emit._redaction import table
from audit_emit._redaction.redactor import Redactor

__all__ = ["Plain"]

_encode = Encoder().encode


class Plain:
    """The quick way under one redactor. Safe to share between threads.

    Args:
        redactor: the rules.
        compiled: the compiled part's ``Table``; ``None`` without it.
    """

    def __init__(self, redactor: Redactor, compiled: type[Any] | None = None) -> None:
        self.known: Known = Known(redactor)
        self.table: Any = None
        if compiled is not None:
            tables, self.known.letters = table.made(redactor.engine)
            self.table = compiled(
                **tables,
                max_bytes=MAX_BYTES,
                max_text=MAX_TEXT,
                max_items=MAX_ITEMS,
                max_depth=MAX_DEPTH,
                max_table=MAX_TABLE,
                max_int=MAX_INT,
                encode=_encode,
                sizeof_dict=dict.__sizeof__,
            )

    def encode(self, fields: object, secret_event: bool) -> tuple[str, int] | None:
        """The JSON of a payload, and how many values its names hold back.

        ``None`` where the full way has to be taken.
        """
        names = self.known.names[secret_event]
        if self.table is None:
            copied = Copy(Look(self.known, names, secret_event), names)
            return copied.json(fields)
        made = self.table.encode_plain(fields, names, None)
        if made is None:
            return None
        if type(made) is str:
            return made, 0
        return self.judged(fields, secret_event)

    def judged(self, fields: object, secret_event: bool) -> tuple[str, int] | None:
        """The same, where the compiled part has asked for somebody who judges."""
        names = self.known.names[secret_event]
        look = Look(self.known, names, secret_event)
        made = self.table.encode_plain(fields, names, look)
        if type(made) is not str or not look.is_nowhere_else(made):
            return None
        return made, look.redacted
