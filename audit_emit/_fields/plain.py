"""The quick way of a payload: plain values in which nothing is secret, straight to their JSON.

It gives the text that the walk would give (``walk``), or none. What it does not know (a name that
was never met, a text with a keyword in it) it asks, one by one; where the answer is that something
has to be changed, other than by the name of a secret, the whole payload takes the full way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Raw
from msgspec.json import Encoder

from audit_emit._fields.repeated import SHORTEST
from audit_emit._fields.siblings import HELD_NAMES, SENSITIVE
from audit_emit._fields.text import MAX_KEY, plain_size
from audit_emit._fields.values import of_date, of_datetime
from audit_emit._fields.walk import RESERVED, Walk
from audit_emit._format import encode
from audit_emit._redaction import table
from audit_emit._redaction.finders.prose import may_be_plain
from audit_emit._redaction.names import fold, is_some_key
from audit_emit._redaction.redactor import Redactor
from audit_emit._redaction.words import TELLING_NAMES
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.lazy import Pattern

if TYPE_CHECKING:
    from audit_emit._redaction.letters import Letters

__all__ = ["BESIDE", "FULL", "HARMLESS", "SECRET", "Plain"]

HARMLESS, BESIDE, SECRET, FULL = 1, 2, 3, 4
"""What is known of a name: its values are shown; they are where nothing beside them says otherwise;
they are held back; they are for the full way."""

MAX_NAME = 64
MAX_TEXT = 4096
MAX_BYTES = 16384
MAX_ITEMS = 256
MAX_DEPTH = 12
MAX_TABLE = 65536
"""Bytes of a dict that is copied: a table keeps the places of what was deleted."""
MAX_INT = 10**12
_MAX_NAMES = 4096
_MAX_QUIET = 512
_MAX_QUIET_LENGTH = 256

_MAY_BE_JSON = Pattern("(?:^|\0)[{\\[\ufeff \t\r\n]")
_OPTION = Pattern("(?:^|\0)-")
_encode = Encoder().encode
_TEXTS: dict[str, Callable[[Any], str]] = {
    "datetime.datetime": of_datetime,
    "datetime.date": of_date,
    "uuid.UUID": str,
}
"""Types of the standard library whose values are texts."""


class Plain:
    """The quick way under one redactor. Safe to share between threads.

    Args:
        redactor: the rules.
        compiled: the compiled part's ``Table``; ``None`` without it.
    """

    def __init__(self, redactor: Redactor, compiled: type[Any] | None = None) -> None:
        self.redactor = redactor
        self.names: tuple[dict[str, int], dict[str, int]] = ({}, {})
        """What is known of names, in other events and in those about a secret."""
        self.quiet: set[str] = set()
        """Texts in which nothing is secret: events have many in common. For the way in Python."""
        self.letters: Letters | None = None
        self.table: Any = None
        if compiled is not None:
            tables, self.letters = table.made(redactor.engine)
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
        names = self.names[secret_event]
        if self.table is None:
            copied = Copy(Look(self, names, secret_event), names)
            return copied.json(fields)
        made = self.table.encode_plain(fields, names, None)
        if made is None:
            return None
        if type(made) is str:
            return made, 0
        look = Look(self, names, secret_event)
        made = self.table.encode_plain(fields, names, look)
        if type(made) is not str or not look.is_nowhere_else(made):
            return None
        return made, look.redacted


def _begins(text: str) -> bool:
    return _MAY_BE_JSON.match(text) is not None


def _small(value: Any, kind: type) -> bool:
    return (kind is int or kind is float) and -MAX_INT < value < MAX_INT


class _Full(Exception):  # noqa: N818 - no error: something needs the full way
    pass


class Copy:
    """What the compiled part does, in Python: a copy that is looked at, and then encoded."""

    __slots__ = ("_beside", "_items", "_look", "_names", "_texts")

    def __init__(self, look: Look, names: dict[str, int]) -> None:
        self._look = look
        self._names = names
        self._texts: list[str] = []
        self._beside = False
        self._items = 0

    def json(self, fields: object) -> tuple[str, int] | None:
        """As ``Plain.encode``."""
        if type(fields) is not dict:
            return None
        try:
            plain = self._dict(fields, 1)
        except _Full:
            return None
        if not self._harmless():
            return None
        try:
            out = encode.safe(_encode(plain).decode())
        except UnicodeEncodeError as error:  # a surrogate
            let_through(error)
            return None
        if len(out) > MAX_BYTES or not self._look.is_nowhere_else(out):
            return None
        return out, self._look.redacted

    def _dict(self, given: dict[Any, Any], depth: int) -> dict[str, Any]:
        if len(given) > MAX_ITEMS or given.__sizeof__() > MAX_TABLE:
            raise _Full
        plain = given.copy()
        names, look = self._names, self._look
        for name, value in plain.items():
            # The exact type first: a name of another one may only claim to equal a known one.
            if type(name) is not str:
                raise _Full
            known = names.get(name) or look.name(name)
            if known != HARMLESS:
                if known == SECRET:
                    plain[name] = self._held(value)
                    continue
                if known != BESIDE:
                    raise _Full
                self._beside = True
            kind = type(value)
            if kind is str:
                self._texts.append(value)
            elif value is not None and kind is not bool and not _small(value, kind):
                plain[name] = self._other(value, kind, depth)
        self._items += len(plain)
        return plain

    def _list(self, given: Any, depth: int) -> list[Any]:
        if len(given) > MAX_ITEMS:
            raise _Full
        plain = list(given)
        self._beside = True
        for at, value in enumerate(plain):
            kind = type(value)
            if kind is str:
                self._texts.append(value)
            elif value is not None and kind is not bool and not _small(value, kind):
                plain[at] = self._other(value, kind, depth)
        self._items += len(plain)
        return plain

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        if kind is dict or kind is list or kind is tuple:
            if depth >= MAX_DEPTH or self._items > MAX_ITEMS:
                raise _Full
            return (self._dict if kind is dict else self._list)(value, depth + 1)
        said = self._look.other(value)
        if said is None:
            raise _Full
        if type(said) is bytes:
            return Raw(said)
        self._texts.append(str(said))
        return said

    def _held(self, value: object) -> Raw:
        said = self._look.hold(value)
        if said is None:
            raise _Full
        return Raw(said)

    def _harmless(self) -> bool:
        """Whether nothing in the texts is secret."""
        if sum(map(len, self._texts)) > MAX_BYTES or self._items > MAX_ITEMS:
            return False
        look = self._look
        quiet = look.quiet
        texts = [text for text in self._texts if text not in quiet]
        if not texts:
            return True
        together = "\0".join(texts)
        if len(together) > MAX_TEXT and any(len(text) > MAX_TEXT for text in texts):
            return False
        telling = look.may_tell(together)
        suspects = look.suspects(together, telling=telling)
        if not suspects and not telling:
            look.remember(texts)
            return True
        for text in texts:
            clean = True
            if any(suspect(text) for suspect in suspects):
                clean = look.is_clean(text)
                if not clean and look.text(text) is False:
                    return False
            if telling and look.may_tell(text) and look.tells_anything(text):
                if self._beside:
                    return False
            elif clean:
                look.remember([text])
        return True


class Look:
    """Answers what is not known, for one event.

    Attributes:
        redacted: how many values were held back.
        held: those that must be nowhere else in the fields (``spread``).
    """

    __slots__ = ("_names", "_plain", "_secret_event", "held", "redacted")

    def __init__(self, plain: Plain, names: dict[str, int], secret_event: bool) -> None:
        self._plain = plain
        self._names = names
        self._secret_event = secret_event
        self.redacted = 0
        self.held: list[str] = []

    def is_nowhere_else(self, made: str) -> bool:
        """Whether nothing that was held back by its name is in the JSON of the payload."""
        return not any(held in made or encode.text(held)[1:-1] in made for held in self.held)

    def name(self, name: str) -> int:
        """What is known of a name from now on."""
        kind = self._judge(name)
        if len(name) <= MAX_NAME:
            if len(self._names) >= _MAX_NAMES:
                self._names.clear()
            self._names[name] = kind
        return kind

    def _judge(self, name: str) -> int:
        redactor = self._plain.redactor
        folded = fold(name)
        if len(name) > MAX_NAME or not plain_size(name) or name in RESERVED:
            return FULL
        if name.endswith(SENSITIVE):
            return FULL
        if redactor.suspicious(name) or folded in TELLING_NAMES or is_some_key(name):
            return FULL
        if redactor.is_secret_key(name, self._secret_event):
            return SECRET
        if folded in HELD_NAMES:
            return BESIDE
        if not redactor.is_secret_key(name, secret_event=True):
            if len(redactor.harmless) >= _MAX_NAMES:
                redactor.harmless.clear()
            redactor.harmless.add(name)
        return HARMLESS

    def letters(self, code: int) -> bool:
        """Make a character known to the tables."""
        letters = self._plain.letters
        if letters is not None:
            letters.learn(code)
        return True

    def text(self, text: str) -> bytes | bool:
        """The JSON of a text in which nothing is secret, else False."""
        if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            return False
        if self._plain.redactor.scrub(text, self._secret_event) is not None:
            return False
        return encode.text(text).encode()

    def tells(self, text: str) -> bool:
        """Whether a text is the name of a secret, so that what stands beside it may be one."""
        return len(text) <= MAX_KEY and self._plain.redactor.is_secret_key(text, self._secret_event)

    def is_clean(self, text: str) -> bool:
        """Whether nothing in a text is secret in any event: in those about secrets more is."""
        if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            return False
        return self._plain.redactor.scrub(text, secret_event=True) is None

    @property
    def quiet(self) -> set[str]:
        """Texts that were met, in which nothing is secret in any event, and that tell nothing."""
        return self._plain.quiet

    def remember(self, texts: list[str]) -> None:
        """Add to them."""
        quiet = self._plain.quiet
        if len(quiet) >= _MAX_QUIET:
            quiet.clear()
        quiet.update(text for text in texts if len(text) <= _MAX_QUIET_LENGTH)

    def suspects(self, together: str, *, telling: bool) -> list[Callable[[str], bool]]:
        """Questions that tell which of some texts have to be looked at more closely."""
        suspects = self._plain.redactor.engine.suspects(together, by_context=telling)
        if _MAY_BE_JSON.search(together) is not None:
            suspects.append(_begins)
        return suspects

    def may_tell(self, together: str) -> bool:
        """Whether a text of some may say what another one is."""
        folded = self._plain.redactor.engine.folded
        return _OPTION.search(together) is not None or folded.may_tell(together)

    def tells_anything(self, text: str) -> bool:
        """Whether a text says what another one may be."""
        tells = self._plain.redactor.engine.folded.tells
        return text[:1] == "-" or tells(text) or self.tells(text)

    def other(self, value: object) -> str | bytes | None:
        """A text that a value is, or its JSON; ``None`` for the full way."""
        kind = type(value)
        if kind is not int and kind is not float:
            for known, as_text in _TEXTS.items():
                module, _, name = known.partition(".")
                # By identity: a metaclass may define equality.
                if kind is getattr(sys.modules.get(module), name, None):
                    return as_text(value)
            return None
        walk = Walk(self._plain.redactor, secret_event=self._secret_event)
        plain = walk.scalar(value)
        return None if walk.redacted or walk.cut else encode.to_json(plain).encode()

    def hold(self, value: object) -> bytes | None:
        """What stands in the place of a secret, as JSON; ``None`` for the full way."""
        if type(value) is not str or may_be_plain(value):
            return None
        redactor = self._plain.redactor
        if not redactor.is_held_back(value):
            self.redacted += 1
            if len(value) >= SHORTEST:
                self.held.append(value)
            value = redactor.held_back(value)
        return f'"{value}"'.encode()
