"""What is known of names and texts that payloads had before, and the answers where nothing is.

For the quick way (``plain``): each question is asked once of a name or a text, not once an event.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from audit_emit._fields.pieces import MAX_STRING
from audit_emit._fields.text import MAX_KEY, plain_size
from audit_emit._fields.values import of_date, of_datetime
from audit_emit._fields.walk import RESERVED, Walk
from audit_emit._format import encode
from audit_emit._redaction.marks import MARK, SENSITIVE
from audit_emit._redaction.names import depends_on_value, fold
from audit_emit._redaction.redactor import Redactor, Scrubbed
from audit_emit._redaction.siblings import SECRET_BY_OTHERS
from audit_emit._redaction.words import TELLING_NAMES
from audit_emit._runtime.interrupts import let_through

if TYPE_CHECKING:
    from audit_emit._redaction.letters import Letters

__all__ = ["BESIDE", "FULL", "HARMLESS", "SECRET", "Known", "Look", "Shape"]

HARMLESS, BESIDE, SECRET, FULL = 1, 2, 3, 4
"""What is known of a name: its values are shown; they are where nothing beside them says otherwise;
they are held back; they are for the full way."""

Shape = tuple[bool, tuple[str, ...]]
"""Of names that are together: whether a value counts as one by what is beside it, and which of
them are names of secrets."""

MAX_NAME = 64
_MAX_NAMES = 4096
_MAX_QUIET = 512
_MAX_QUIET_LENGTH = 256

_TEXTS: dict[str, Callable[[Any], str]] = {
    "datetime.datetime": of_datetime,
    "datetime.date": of_date,
    "uuid.UUID": str,
}
"""Types of the standard library whose values are texts."""
_as_text: dict[int, Callable[[Any], str]] = {}
"""The same by the ``id`` of the type, of those that were met."""


def _text_maker(kind: type) -> Callable[[Any], str] | None:
    """What makes the text of a value of a type; by identity: a metaclass may define equality."""
    known = _as_text.get(id(kind))
    if known is None:
        for place, as_text in _TEXTS.items():
            module, _, name = place.partition(".")
            if kind is getattr(sys.modules.get(module), name, None):
                _as_text[id(kind)] = known = as_text
    return known


class Known:
    """What events had before. Safe to share between threads.

    Attributes:
        redactor: the rules.
        names: what is known of names, in other events and in those about a secret.
        quiet: texts in which nothing is secret, and that tell nothing: events have many in common.
        telling: the same of texts that may say what stands beside them, by kind of event.
        shown: the JSON of texts with a keyword and no secret in them, by kind of event.
        shapes: what is known of names that were met together, by kind of event.
        letters: the characters that the compiled part knows; ``None`` without it.
    """

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.names: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self.quiet: set[str] = set()
        self.telling: tuple[set[str], set[str]] = (set(), set())
        self.shown: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
        self.shapes: tuple[dict[tuple[str, ...], Shape], dict[tuple[str, ...], Shape]] = ({}, {})
        self.letters: Letters | None = None


class Look:
    """Answers what is not known, in events of one kind.

    Args:
        known: what events had before.
        secret_event: whether they are about a secret.

    Attributes:
        redactor: the rules.
        names: what is known of names.
        shapes: names that were met together, as ``Known.shapes`` has them.
        quiet: texts that were met, in which nothing is secret in any event, and that tell nothing.
        telling: texts that were met, in which nothing is secret, and that name another value.
        shown: the JSON of texts that the compiled part asked about, in which nothing is secret.
        may_tell: whether a text of several, put together, may say what another one is.
    """

    __slots__ = (
        "_known",
        "_secret_event",
        "may_tell",
        "names",
        "quiet",
        "redactor",
        "shapes",
        "shown",
        "telling",
    )

    def __init__(self, known: Known, *, secret_event: bool) -> None:
        self._known = known
        self._secret_event = secret_event
        self.redactor: Redactor = known.redactor
        self.names: dict[str, int] = known.names[secret_event]
        self.shapes: dict[tuple[str, ...], Shape] = known.shapes[secret_event]
        self.quiet: set[str] = known.quiet
        self.telling: set[str] = known.telling[secret_event]
        self.shown: dict[str, bytes] = known.shown[secret_event]
        self.may_tell: Callable[[str], bool] = known.redactor.engine.folded.may_tell

    def name(self, name: str) -> int:
        """What is known of a name from now on."""
        kind = self._judge(name)
        if len(name) <= MAX_NAME:
            if len(self.names) >= _MAX_NAMES:
                self.names.clear()
            self.names[name] = kind
        return kind

    def _judge(self, name: str) -> int:
        redactor = self._known.redactor
        folded = fold(name)
        if len(name) > MAX_NAME or not plain_size(name) or name in RESERVED:
            return FULL
        if name.endswith(SENSITIVE) or name.startswith(MARK):
            return FULL
        if redactor.suspicious(name) or folded in TELLING_NAMES or depends_on_value(name):
            return FULL
        if redactor.is_secret_key(name, self._secret_event):
            return SECRET
        if folded in SECRET_BY_OTHERS:
            return BESIDE
        if not redactor.is_secret_key(name, secret_event=True):
            if len(redactor.harmless) >= _MAX_NAMES:
                redactor.harmless.clear()
            redactor.harmless.add(name)
        return HARMLESS

    def letters(self, text: str) -> bool:
        """Make the characters of a text known to the tables."""
        letters = self._known.letters
        if letters is not None:
            for code in map(ord, text):
                if 128 <= code < len(letters.known) and not letters.known[code]:
                    letters.learn(code)
        return True

    def text(self, text: str) -> bytes | Scrubbed | bool:
        """The JSON of a text that is not cut; what is left where something in it is held back.

        False for the full way.
        """
        # Events have many texts in common, and a look at one takes as long as ten quick events.
        known = self.shown.get(text)
        if known is not None:
            return known
        if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            return False
        scrubbed = self._known.redactor.scrub_by(text, self._secret_event)
        if scrubbed is not None:
            return scrubbed
        made = encode.text(text).encode()
        if len(made) - 2 > MAX_STRING:
            return False
        if len(text) <= _MAX_QUIET_LENGTH:
            if len(self.shown) >= _MAX_QUIET:
                self.shown.clear()
            self.shown[text] = made
        return made

    def tells(self, text: str) -> bool:
        """Whether a text is the name of a secret, so that what stands beside it may be one."""
        return len(text) <= MAX_KEY and self._known.redactor.is_secret_key(text, self._secret_event)

    def is_clean(self, text: str) -> bool:
        """Whether nothing in a text is secret in any event: in those about secrets more is."""
        if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
            return False
        return self._known.redactor.scrub(text, secret_event=True) is None

    def remember_telling(self, text: str) -> None:
        """Add to ``telling``."""
        telling = self.telling
        if len(telling) >= _MAX_QUIET:
            telling.clear()
        if len(text) <= _MAX_QUIET_LENGTH:
            telling.add(text)

    def remember(self, texts: list[str], length: int) -> None:
        """Add to ``quiet``; ``length``: at least that of each of them."""
        quiet = self._known.quiet
        if len(quiet) >= _MAX_QUIET:
            quiet.clear()
        if length <= _MAX_QUIET_LENGTH:
            quiet.update(texts)
        else:
            quiet.update(text for text in texts if len(text) <= _MAX_QUIET_LENGTH)

    def suspects(self, together: str, *, telling: bool) -> list[Callable[[str], bool]]:
        """Questions that tell which of some texts have to be looked at more closely."""
        return self._known.redactor.engine.suspects(together, by_context=telling)

    def tells_anything(self, text: str) -> bool:
        """Whether a text says what another one may be."""
        folded = self._known.redactor.engine.folded
        if text[:1] == "-":
            return True
        return folded.may_tell(text) and (folded.tells(text) or self.tells(text))

    def other(self, value: object) -> str | bytes | None:
        """A text that a value is, or its JSON; ``None`` for the full way."""
        kind = type(value)
        if kind is not int and kind is not float:
            as_text = _text_maker(kind)
            try:
                return as_text(value) if as_text is not None else None
            except Exception as error:  # noqa: BLE001 - a UUID that was never given its number
                let_through(error)
                return None
        walk = Walk(self._known.redactor, secret_event=self._secret_event)
        plain = walk.scalar(value)
        return None if walk.redacted or walk.cut else encode.to_json(plain).encode()
