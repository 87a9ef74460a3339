"""Private keys: PEM, plain or in base64, PuTTY's, JSON Web Keys."""

from __future__ import annotations

import binascii
from collections.abc import Iterator

from audit_emit._fields.extent import HELD, Span
from audit_emit._fields.keys import JWK_NAMES
from audit_emit._lazy import Pattern

__all__ = ["keys", "suspicious"]

_ENCODED_MARK = "LS0tLS1CRUdJTi"
"""``-----BEGIN`` in base64."""
_PUTTY_MARK = "Private-Lines:"


def suspicious(text: str) -> bool:
    """Whether ``keys`` has to look: False only when it would find nothing."""
    return "PRIVATE KEY" in text or _ENCODED_MARK in text or _PUTTY_MARK in text or "kty" in text


def keys(text: str) -> Iterator[Span]:
    """Where private keys are, whole or cut."""
    if "PRIVATE KEY" in text:
        yield from _pem(text)
    if _ENCODED_MARK in text:
        yield from _encoded(text)
    if _PUTTY_MARK in text:
        for match in _PUTTY.finditer(text):
            if not HELD.fullmatch(match.group(1)):
                yield match.span(1)
    if "kty" in text and _KEY_TYPE.search(text):
        for match in _MEMBER.finditer(text):
            if not HELD.fullmatch(match.group(1)):
                yield match.span(1)


_PUTTY = Pattern(r"Private-Lines:[ \t]{0,4}[0-9]{0,6}\s{0,4}((?:(?!\s{0,4}Private-MAC)[\s\S])+)")
_KEY_TYPE = Pattern(r"[\"']kty\\{0,7}[\"']\s{0,4}:")
_MEMBER = Pattern(
    rf"[\"'](?:{'|'.join(sorted(JWK_NAMES))})\\{{0,7}}[\"']\s{{0,4}}:\s{{0,4}}\\{{0,7}}[\"']([\w\-]+)"
)
_BASE64 = Pattern(r"[A-Za-z0-9+/_=\-]*")
_HEAD = 88


def _encoded(text: str) -> Iterator[Span]:
    """PEM in base64, unless its head says that it is something else: a certificate is public."""
    at = text.find(_ENCODED_MARK)
    while at >= 0:
        end = _BASE64.match(text, at).end()  # type: ignore[union-attr]
        head = text[at : min(end, at + _HEAD)]
        if _is_private(head):
            yield at, end
        at = text.find(_ENCODED_MARK, end)


def _is_private(head: str) -> bool:
    try:
        known = binascii.a2b_base64(head[: len(head) // 4 * 4])
    except binascii.Error:  # padded in the middle: nobody knows what it is
        return True
    return b"PRIVATE" in known or len(known) < 30


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
