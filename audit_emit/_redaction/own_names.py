"""Names that a user says are secret, or safe: ``email``, ``exact:email``, ``acme_*``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from audit_emit._redaction.names import fold, split_name
from audit_emit._redaction.words import HARMLESS_LAST

__all__ = ["OwnNames"]

_EXACT = "exact:"


class OwnNames:
    """Some names, each as a user has written it.

    A plain name is matched as the built-in ones are: ``email`` is also in ``user_email``,
    ``userEmail`` and ``emails``, and not in ``email_count``, which is about something else.
    ``exact:email`` is that name alone, in any spelling; ``*`` and ``?`` are those of a shell.

    Args:
        names: what the user gave.
        exact: whether plain names, too, are those names alone.

    Attributes:
        parts: texts in lower case, one of which is in each name that matches.
    """

    def __init__(self, names: Iterable[str], *, exact: bool = False) -> None:
        self._whole: set[str] = set()
        self._tokens: list[tuple[str, ...]] = []
        self._globs: list[re.Pattern[str]] = []
        self.parts: set[str] = set()
        for name in names:
            given = name.removeprefix(_EXACT)
            if "*" in given or "?" in given:
                self._globs.append(re.compile(_pattern(given.lower().replace("-", "_"))))
                literal = max(re.split(r"[*?\[\]_.\- ]+", given.lower()), key=len)
                # Without a literal text every name may be one.
                self.parts |= {literal} if len(literal) > 1 else {"=", ":", "-", "<", "'", '"'}
                continue
            tokens = tuple(split_name(given))
            if not tokens:
                continue
            self._whole.add(fold(given))
            self.parts.add(max(tokens, key=len).rstrip("s") or tokens[0])
            if not exact and given == name:
                self._tokens.append(tokens)

    def holds(self, name: str) -> bool:
        """Whether a name is one of them."""
        if not self._whole and not self._globs:
            return False
        if fold(name) in self._whole:
            return True
        lower = name.lower().replace("-", "_")
        if any(glob.match(lower) for glob in self._globs):
            return True
        tokens = split_name(name) if self._tokens else []
        if len(tokens) > 1 and tokens[-1] in HARMLESS_LAST:
            return False
        return any(_within(own, tokens) for own in self._tokens)


def _pattern(glob: str) -> str:
    return re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") + r"\Z"


def _within(own: tuple[str, ...], tokens: list[str]) -> bool:
    """Whether the parts of a name stand in those of another, singular or plural."""
    size = len(own)
    return any(all(map(_same, own, tokens[at : at + size])) for at in range(len(tokens) - size + 1))


def _same(one: str, other: str) -> bool:
    return one == other or other in (one + "s", one + "es") or one == other + "s"
