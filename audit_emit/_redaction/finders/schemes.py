"""Credentials that are told by the scheme before them, or by a complaint of them."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from audit_emit._redaction.finders.extent import PLACEHOLDER, Span
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.lazy import Pattern

__all__ = ["COMPLAINED", "SCHEMES", "complaints", "schemes"]

_CREDENTIAL = Pattern(r"(,[ \t]|\s{1,8})([^\s\"',;<>]+)")
_BASE64 = Pattern(r"[A-Za-z0-9+/_\-]{4,1024}")
_NOT_CREDENTIAL = frozenset(
    "token tokens auth authentication authorization scheme is was of or and required must not "
    "missing invalid header headers credential credentials format error expected type method "
    "[redacted]".split()
)


SCHEMES = ("bearer", "basic", "apikey", "flyv1", "ssws", "glsa")


def schemes(text: str) -> Iterator[Span]:
    """``Bearer x``, ``Basic dTpw``: what follows the scheme."""
    lower = text.lower()
    if len(lower) != len(text):
        # A few characters grow when lowered; the places must stay the same.
        lower = text.encode("ascii", "replace").decode().lower()
    for scheme in SCHEMES:
        at = lower.find(scheme)
        while at >= 0:
            at += len(scheme)
            match = _CREDENTIAL.match(text, at)
            before = lower[max(0, at - len(scheme) - 2) : at - len(scheme)].rstrip()
            if match is not None and _is_behind(scheme, before[-1:], *match.groups()):
                yield match.span(2)
            at = lower.find(scheme, at)


def _is_behind(scheme: str, before: str, between: str, word: str) -> bool:
    """Whether a word behind a scheme is a credential.

    Behind a comma one with digits is, and on the next line where a header ends with the scheme.
    """
    # What is indented on it goes on with the header (RFC 9112, section 5.2).
    ended = between[-1:] == "\n" and before in (":", "=")
    if ("," in between or ended) and not any(char.isdigit() for char in word):
        return False
    return _is_credential(scheme, word)


def _is_credential(scheme: str, word: str) -> bool:
    if scheme != "basic":
        if scheme != "bearer" and not any(char.isdigit() for char in word):
            return False
        return word.lower().rstrip(".:!?)") not in _NOT_CREDENTIAL and not word.startswith("realm=")
    match = _BASE64.match(word)
    return match is not None and _is_login(match.group())


def _is_login(word: str) -> bool:
    """Whether base64, of either alphabet and with or without its padding, is ``user:password``."""
    word = word.replace("-", "+").replace("_", "/")
    if len(word) % 4 == 1:
        word = word[:-1]
    data = binascii.a2b_base64(word + "=" * (-len(word) % 4))
    user, colon, password = data.partition(b":")
    # A word of prose may decode to a colon and junk; a name is text, and without one all of it is.
    if not colon or (not user and len(password) < 8):
        return False
    try:
        shown = (user or password).decode()
    except UnicodeDecodeError as error:
        let_through(error)
        return False
    return shown.isprintable()


_COMPLAINT = Pattern(
    r"\b(?:invalid|wrong|incorrect|bad|unknown|expired)\s{1,4}(?:\w{1,16}\s{1,4})?"
    r"(?:password|passphrase|passcode|token|api[ _\-]?key|secret|pin|otp|credential)s?:?"
    r"(?:\s{1,4}(?:provided|given|supplied|value|is|was)\b:?)?\s{1,4}"
    r"(\\{0,7}[\"'`])([^\s\"'`\\]{4,256})(?=\1)"
    r"|(?:password|token|key|secret|credential)s?\s{1,4}(?:provided|given|supplied):\s{1,4}"
    r"[\"'`]?([^\s\"'`,;]+)",
    re.IGNORECASE,
)


COMPLAINED = tuple("invalid wrong incorrect bad unknown expired provided given supplied".split())


def complaints(text: str) -> Iterator[Span]:
    """``Invalid token 'x'``, ``API key provided: x``: what was refused, as far as it is quoted."""
    lower = text.lower()
    if any(word in lower for word in COMPLAINED):
        for match in _COMPLAINT.finditer(text):
            group = 2 if match.group(2) else 3
            word = match.group(group)
            # A parser's complaint: ``invalid token 'WHERE'``.
            if "token" in match.group().lower() and word.isalpha() and len(word) < 12:
                continue
            if not PLACEHOLDER.match(word):
                start, end = match.span(group)
                yield start, end - (group == 3 and text[end - 1] == ".")
