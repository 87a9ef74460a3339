"""Names of secrets that are spelled so that no list of words has them: ``p@ssw0rd``, ``t o k e n``.

The names are put in their usual letters where they stand, so that the places of all else remain,
and the rules for names with values look at that.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from audit_emit._redaction.disguises import undisguised
from audit_emit._redaction.finders.assignments import assignments
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.named_places import SecretNames
from audit_emit._redaction.finders.unpunctuated import sentences
from audit_emit._runtime.lazy import Pattern

__all__ = ["values"]

_BEHIND = r"(?=[\"'`\])}*]{0,4}[ \t]{0,8}(?:[:=]|[-~]>|(?:is|was|lautet)[ \t:]))"
_SPELLED = Pattern(r"(?<![\w.\-@$!])[\w.\-@$!]{2,64}" + _BEHIND)
_APART = Pattern(
    r"(?<![A-Za-z0-9])[A-Za-z0-9@$!]((?: {1,3}|[._\-*/+]))[A-Za-z0-9@$!]"
    r"(?:\1[A-Za-z0-9@$!]){1,30}(?![A-Za-z0-9])" + _BEHIND
)


_BEFORE = 512
"""Characters before the first of them that are looked at, too."""
_MEANT = 192
"""Characters from where such a name begins to the end of the last word that may belong to it."""
_SIGN = Pattern("[:=]")
_LONGEST = 64
"""Characters of a name."""


def values(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """What has such a name."""
    changed: list[int] = []

    def undone(match: re.Match[str]) -> str:
        name = match.group()
        usual = undisguised(name)
        if usual != name:
            changed.append(match.start())
        return usual

    def joined(match: re.Match[str]) -> str:
        changed.append(match.start())
        return _joined(match)

    said = _APART.sub(joined, _SPELLED.sub(undone, text))
    if not changed:
        return
    changed.sort()
    # What is before the first of them was looked at as it stands, and what is far behind each.
    first = max(0, changed[0] - _BEFORE)
    said = said[first:]

    def is_changed(end: int) -> bool:
        """Whether such a name, or a word that may belong to it, ends there: no sign is between."""
        at = bisect_right(changed, end + first) - 1
        start = changed[at] - first if at >= 0 else 0
        if 0 <= end - start <= _MEANT and _SIGN.search(said, start, end) is None:
            return True
        # Another one further on, without a sign: ``t0ken: x, and the t0ken y``.
        word = said[max(0, end - _LONGEST) : end].rpartition(" ")[2]
        return undisguised(word) != word

    names = is_secret if isinstance(is_secret, SecretNames) else SecretNames(is_secret)
    for find in (assignments, sentences):
        for start, end in find(said, names, is_changed):
            yield start + first, end + first
    last = names.looked_at(said)
    if last < len(said):
        yield last + first, len(text)


def _joined(match: re.Match[str]) -> str:
    """The letters without what is between them, at the end of where they stand."""
    spaced = match.group()
    return undisguised(spaced[:: len(match.group(1)) + 1]).rjust(len(spaced))
