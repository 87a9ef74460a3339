"""Private keys: PEM, PuTTY's, JSON Web Keys."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._redaction.words import JWK_NAMES
from audit_emit._runtime.lazy import Pattern

__all__ = ["keys"]

_PUTTY_MARK = "Private-Lines:"


def keys(text: str) -> Iterator[Span]:
    """Where private keys are, whole or cut."""
    if "PRIVATE KEY" in text:
        yield from _pem(text)
    if _PUTTY_MARK in text:
        for match in _PUTTY.finditer(text):
            if not PLACEHOLDER.fullmatch(match.group(1)):
                yield match.span(1)
    if "kty" in text and _KEY_TYPE.search(text):
        for match in _MEMBER.finditer(text):
            if not PLACEHOLDER.fullmatch(match.group(1)):
                yield match.span(1)


_PUTTY = Pattern(r"Private-Lines:[ \t]{0,4}[0-9]{0,6}\s{0,4}((?:(?!\s{0,4}Private-MAC)[\s\S])+)")
_KEY_TYPE = Pattern(r"[\"']kty\\{0,7}[\"']\s{0,4}:")
_MEMBER = Pattern(
    rf"[\"'](?:{'|'.join(sorted(JWK_NAMES))})\\{{0,7}}[\"']\s{{0,4}}:\s{{0,4}}\\{{0,7}}[\"']([\w\-]+)"
)
# A key without its end reaches to the end of the text, one without its beginning from the start
# of it: a cut key is still a key.

_BEGIN = Pattern(r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_END = Pattern(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-{0,5}")


def _pem(text: str) -> Iterator[Span]:
    at = 0
    begins = [match.start() for match in _BEGIN.finditer(text)]
    for end in _END.finditer(text):
        start = next((begin for begin in begins if at <= begin < end.start()), at)
        yield start, end.end()
        at = end.end()
        begins = [begin for begin in begins if begin >= at]
    if begins:
        yield begins[0], len(text)
