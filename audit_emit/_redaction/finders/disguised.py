"""Names of secrets that are spelled so that no list of words has them: ``p@ssw0rd``, ``t o k e n``.

The names are put in their usual letters where they stand, so that the places of all else remain,
and the rules for names with values look at that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.disguises import undisguised
from audit_emit._redaction.finders.assignments import assignments
from audit_emit._redaction.finders.extent import Span
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
"""Characters before a name that may belong to it: other words of it."""


def values(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """What has such a name."""
    said = _APART.sub(_joined, _SPELLED.sub(lambda match: undisguised(match.group()), text))
    if said == text:
        return
    # What is before the first of them was looked at as it stands.
    first = max(0, next(at for at in range(len(text)) if said[at] != text[at]) - _BEFORE)
    said = said[first:]
    for find in (assignments, sentences):
        for start, end in find(said, is_secret):
            yield start + first, end + first


def _joined(match: re.Match[str]) -> str:
    """The letters without what is between them, at the end of where they stand."""
    spaced = match.group()
    return undisguised(spaced[:: len(match.group(1)) + 1]).rjust(len(spaced))
