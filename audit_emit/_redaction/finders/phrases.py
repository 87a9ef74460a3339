"""Passwords of several words: ``password: correct horse battery staple``, ``otp: 123 456``."""

from __future__ import annotations

from audit_emit._redaction.finders.prose import is_word_of_prose
from audit_emit._runtime.lazy import Pattern

__all__ = ["phrase_end"]

_OF_SEVERAL = Pattern(
    r"(?:pass(?:word|wd|phrase|code)?s?|pwd|pw|otp|totp|pin|[\w\-]{0,32}code|[\w\-]{0,32}pass"
    r"(?:word|wd|phrase)?)\Z"
)
_NEXT = Pattern(
    r"[ \t]{1,2}([^\s\"'`,;:=@/\\(){}\[\]<>|&#]{1,32}(?:['\u2019][^\W\d_]{1,3})?)"
    r"(?![^\s\"'`,;:=@/\\(){}\[\]<>|&]|[=:@/\\({\[])"
)
_END = Pattern(r"[.!?]?[ \t]{0,4}(?:[\r\n\"'`,;)\]}<|]|\\|\Z)")
_MAX_WORDS = 12
_OTHERS = frozenset(
    """
    user username login host port server email status error attempt attempts account ip address id
    line after before when while because but via using expires expired valid typed entered sent
    seen found tried here there then see check try again more less than what which who please thanks
    """.split()
)


def phrase_end(text: str, end: int, name: str) -> int:
    """Where a password ends whose first word ends at ``end``, as far as more words belong to it.

    They do when they reach to the end of the line, or are three at least, and none is what prose
    says of a password.
    """
    if _OF_SEVERAL.search(name) is None:
        return end
    last, words = end, 1
    for _ in range(_MAX_WORDS):
        match = _NEXT.match(text, last)
        if match is None:
            break
        word = match.group(1).lower().rstrip(".!?")
        if word in _OTHERS or is_word_of_prose(word):
            return last if words > 2 else end
        last, words = match.end(), words + 1
    return last if words > 2 or _END.match(text, last) is not None else end
