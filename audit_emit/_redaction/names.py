"""Which names hold a secret: the key rule of redaction.

A name is split into lower-case tokens (``accessToken``, ``x-api-key`` and ``DB.Pass`` all become
what they say) and judged on them. What a name is about stands last in English, so a secret word
followed by ``_count``, ``_id`` or ``_changed_at`` is about something else; everything else that
has a secret word in it is held back. In doubt a name is secret: a value too little in the record
can be asked for, one too much cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from audit_emit._redaction import words
from audit_emit._redaction.alphabet import folded_text, plain_letters
from audit_emit._redaction.disguises import undisguised
from audit_emit._runtime.lazy import Pattern

__all__ = [
    "MAX_NAME",
    "STEMS",
    "depends_on_value",
    "fold",
    "has_descriptions",
    "is_counted",
    "is_described",
    "is_secret_name",
    "is_secret_value",
    "is_weak",
    "looks_random",
    "split_name",
]

MAX_NAME = 1024
MAX_TOKENS = 32
"""Longer names, and names of more tokens, are not looked at: they count as secret."""

_MAX_CACHED_NAME = 64

_SPLIT = Pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def split_name(name: str) -> list[str]:
    """The lower-case tokens of a name: ``xAPIKey-2`` gives ``x``, ``api``, ``key``, ``2``.

    At most one more than ``MAX_TOKENS``.
    """
    if not name.isascii():
        parts = (part for word in _compatible(name).split("_") if word for part in _parts(word))
        return list(islice(parts, MAX_TOKENS + 1))
    return [match.group().lower() for match in islice(_SPLIT.finditer(name), MAX_TOKENS + 1)]


def _compatible(name: str) -> str:
    """The name in the letters that are read, with ``_`` for what is none."""
    from unicodedata import category  # noqa: PLC0415 - only names beyond ASCII need it

    read = plain_letters(name[:MAX_NAME])[:MAX_NAME]  # one letter may stand for eighteen
    return "".join(char if category(char)[0] in "LNM" else "_" for char in read)


def _parts(word: str) -> list[str]:
    if word.isascii():
        return [token.lower() for token in _SPLIT.findall(word)]
    return [folded_text(word)]


def fold(name: str) -> str:
    """The one form in which names are compared: ``Old_Value``, ``old-value`` are ``oldvalue``."""
    return _fold(name[:64])


@lru_cache(maxsize=4096)
def _fold(name: str) -> str:
    if name.isascii():
        return "".join(filter(str.isalnum, name)).lower()
    return "".join(split_name(name))


def is_secret_name(name: str, *, secret_event: bool = False) -> bool:
    """Whether a value of this name must not be shown.

    Args:
        name: the name, in any spelling.
        secret_event: the event is about a secret, so ``value`` and its like are secret, too.
    """
    if len(name) > MAX_NAME:
        return True
    tokens = split_name(undisguised(name))
    if not tokens:
        return False
    if len(tokens) > MAX_TOKENS:
        return True
    joined = "".join(tokens)
    if secret_event and joined in words.FIELD_VALUES:
        return True
    if len(tokens) > 3 and len(joined) == len(tokens):  # s p a c e d
        tokens = [joined]
    if joined.endswith("last4"):
        return False
    while len(tokens) > 1 and tokens[-1].isdigit():
        tokens.pop()
    if joined in words.HARMLESS_WHOLE or name in _OF_AWS:
        return False
    if joined in words.SECRET_WHOLE or joined in _SPELLED:
        return True
    return not _harmless(tokens) and _has_secret_word(tokens, joined)


_OF_AWS = ("clientToken", "ClientToken")
"""Which request this is, spelled as AWS does; ``client_token`` of Vault is a secret."""


def _harmless(tokens: list[str]) -> bool:
    last = tokens[-1]
    if last in ("id", "ids", "uid") and tokens[-2:-1] in (["session"], ["sessions"]):
        return False
    if tokens[-2:] == ["session", "response"]:
        return True
    if _tells_outcome(tokens):
        return True
    if last in ("hash", "hashes") and not _OF_WINDOWS.isdisjoint(tokens):
        return False  # it opens what the password opens
    if "verification" in tokens and last == "token":
        return False
    if last in ("map", "layout", "mapping") and tokens[-2:-1] in (["pin"], ["pins"]):
        return True
    if last in ("pin", "pins") and len(tokens) > 1 and tokens[-2] in words.NOT_A_PIN:
        return True
    if len(tokens) > 1 and last in ("token", "tokens"):
        if not words.NOT_A_SECRET_TOKEN.isdisjoint(tokens):
            return True
        if last == "tokens":
            return not words.TOKENS_OF.isdisjoint(tokens)
    return len(tokens) > 1 and (last in words.HARMLESS_LAST or tokens[0] in words.HARMLESS_FIRST)


def _tells_outcome(tokens: list[str]) -> bool:
    """``authorization_failed``, ``token_error_message``, ``pin_attempts_left``: what came of it."""
    if tokens[-1] in ("message", "reason"):
        return not _OF_FAILURES.isdisjoint(tokens)
    if tokens[-1] in ("left", "remaining"):  # attempts; alone it is one side of a comparison
        return len(tokens) > 2 and tokens[-2] in words.HARMLESS_LAST
    return tokens[-1] in ("failed", "denied", "granted") and tokens[-2:-1] in _OF_ACCESS


_OF_ACCESS = (["auth"], ["authentication"], ["authorization"])
_OF_FAILURES = frozenset(("failure", "error"))
_OF_WINDOWS = frozenset(("nt", "lm", "ntlm"))


def _has_secret_word(tokens: list[str], joined: str) -> bool:
    if tokens[-1] in words.SECRET_LAST or joined.endswith(_SECRET_WITH_DIGITS):
        return True
    if joined in words.SECRET or not words.SECRET.isdisjoint(tokens):
        return tokens[0] != "session" or _about_session(tokens)
    if ("key" in tokens or "keys" in tokens) and not words.KEY_OF.isdisjoint(tokens):
        return "public" not in tokens
    if ("code" in tokens or "codes" in tokens) and not words.CODE_OF.isdisjoint(tokens):
        return True
    if any(a in tokens and b in tokens for a, b in words.PAIRS):
        return True
    if joined.endswith(_SPELLED):
        return True
    return any(map(_is_secret_word, tokens)) or _is_secret_word(joined)


_OF_HAN = tuple(word for word in words.SECRET if all("\u3040" <= char <= "\u9fff" for char in word))
_SECRET_WITH_DIGITS = tuple(word for word in words.SECRET_LAST if not word.isalpha())


_SPELLED = tuple("".join(filter(str.isalnum, word)) for word in words.SPELLED)


def _about_session(tokens: list[str]) -> bool:
    rest = set(tokens) - {"session"}
    return not rest or not rest.isdisjoint(words.SECRET | {"id", "ids", "key", "data", "value"})


def _is_secret_word(token: str) -> bool:
    token = token.rstrip("0123456789")
    if token in words.SECRET:
        return True
    # Chinese and Japanese have no spaces: ``您的密码是``
    if not token.isascii() and token.rstrip("\u662f\u4e3a").endswith(_OF_HAN):
        return True
    if token in words.NOT_STEMS:
        return False
    if token.endswith(words.ENDINGS) or any(stem in token for stem in words.STEMS):
        return True
    if token.endswith(words.PASS_ENDINGS) and not token.endswith(words.NOT_PASS):
        return len(token) > 3
    if token.endswith("key"):
        return token[:-3] in words.KEY_OF
    return token.endswith("code") and token[:-4] in words.CODE_OF


def is_weak(name: str) -> bool:
    """Whether a secret name is also that of a thing with descriptions: ``token``, ``session``."""
    return _last(name) in words.WEAK


def is_counted(name: str) -> bool:
    """Whether a small number under a secret name says how many, or which: ``sessions``, ``pat``."""
    last = _last(name)
    return last in words.WEAK or last in words.SECRET_LAST


def has_descriptions(name: str) -> bool:
    """Whether a dict of this name, a secret's, is looked into: ``is_weak``, and a key."""
    return is_weak(name) or _last(name) in ("key", "keys")


_RANDOM = Pattern(r"[A-Za-z0-9+/_\-]{16,256}={0,2}")
_DIGITS_TOO = Pattern(r"(?=[^0-9]{0,64}[0-9])(?=[^A-Za-z]{0,64}[A-Za-z])")
_MIXED = Pattern(r"(?=.*[a-z])(?=.*[A-Z])(?=(?:[^0-9]*[0-9]){2})|[0-9a-f]{24}|(?:[^0-9]*[0-9]){5}")
_LONG_WORD = Pattern("[A-Za-z]{9}")
_RISES = Pattern("[a-z][A-Z]")
_NOT_RANDOM = Pattern(r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-|[/_\-][a-z]{3,}[/_\-]|[0-9]+-")


def depends_on_value(name: str) -> bool:
    """Whether ``is_secret_value`` has to be asked: a value tells what the name alone does not."""
    lower = name.lower().rstrip("0123456789")
    if not lower.endswith(_VALUE_DECIDES):
        return False
    tokens = split_name(name)
    if lower.endswith("key"):
        return len(name) > 3 and words.HARMLESS_KEYS.isdisjoint(set(tokens) - {"primary"})
    return "".join(tokens[-2:]) in _DECIDED or (tokens[-1] in _DECIDED if tokens else False)


_DECIDED = words.OF_DIGITS | words.OF_NUMBER | words.BY_VALUE | words.OF_STRIPE
_VALUE_DECIDES = ("key", "track", *sorted(_DECIDED))


def is_described(name: str) -> bool:
    """Whether a name says what a secret is like: ``expires_at``, ``id``, ``scope``."""
    if name[-5:].lower() in ("last4", "ast_4"):
        return True
    if name in ("in", "on", "at", "by") or name[:1] == "$":  # an operator, as of MongoDB
        return False
    return _last(name) in words.DESCRIPTIONS


def _last(name: str) -> str:
    """The last token of a name, which says what it is about; empty for one of too many."""
    return (_cached_last if len(name) <= _MAX_CACHED_NAME else _last_token)(name)


def _last_token(name: str) -> str:
    tokens = split_name(name)
    return tokens[-1] if 0 < len(tokens) <= MAX_TOKENS else ""


_cached_last = lru_cache(maxsize=1024)(_last_token)


def is_secret_value(name: str, value: str) -> bool:
    """Whether a name that is not one of a secret has one: ``acme_key`` with what looks random.

    A key of a cache or a row does not look so.
    """
    if not depends_on_value(name) or not 4 <= len(value) <= 256:
        return False
    tokens = split_name(name)
    for token in (tokens[-1], "".join(tokens[-2:])):
        if token in words.OF_DIGITS:
            return value.isdigit() and len(value) <= 10
        if token in words.OF_STRIPE:
            return _STRIPE.search(value) is not None
        if token in words.OF_NUMBER:
            digits = sum(map(str.isdigit, value))
            return 10 <= len(value) <= 23 and digits >= 4 and value.replace(" ", "").isalnum()
    if len(value) < 16:
        return False
    if tokens[-1] in words.BY_VALUE:
        return looks_random(value) and _ACCOUNT.fullmatch(value) is None
    if tokens[-1] != "key" or len(tokens) < 2 or not words.HARMLESS_KEYS.isdisjoint(tokens):
        return tokens in (["primary", "key"], ["secondary", "key"]) and _is_azure_key(value)
    return looks_random(value)


_STRIPE = Pattern(r"[0-9]{12,19}[=^D]")
"""A card's number and what ends it (ISO/IEC 7813)."""
_ACCOUNT = Pattern(r"[A-Z]{2}[0-9a-f]{32}")
"""An id of Twilio, which they call ``sid``."""


def looks_random(value: str) -> bool:
    """Whether a text looks drawn at random: at least 16 letters and digits, and no words."""
    if _RANDOM.fullmatch(value) is None or _NOT_RANDOM.search(value) is not None:
        return False
    if _is_jumbled(value):
        return True
    return (
        _DIGITS_TOO.match(value) is not None
        and _MIXED.match(value) is not None
        and _LONG_WORD.search(value) is None
    )


def _is_jumbled(value: str) -> bool:
    """Whether letters of both cases follow each other as they do in no words, and in base64."""
    capitals = sum(map(str.isupper, value))
    small = sum(map(str.islower, value))
    return (
        capitals + small >= 12
        and 3 * capitals >= small
        and 3 * small >= capitals
        and 6 * len(_RISES.findall(value)) >= capitals + small
    )


def _is_azure_key(value: str) -> bool:
    if _RANDOM.fullmatch(value) is None or _NOT_RANDOM.search(value) is not None:
        return False
    if len(value) >= 24 and value.isalpha():
        return _is_jumbled(value)
    if len(value) < 32:
        return False
    return _is_jumbled(value) or (
        _DIGITS_TOO.match(value) is not None and _LONG_WORD.search(value) is None
    )


def _least(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts that hold no other one of them: what has any of them in it has one of these."""
    known: list[str] = []
    for text in sorted(texts, key=len):
        if not any(shorter in text for shorter in known):
            known.append(text)
    return tuple(sorted(known))


STEMS = _least(
    {
        *words.SECRET,
        *words.SECRET_LAST,
        *words.STEMS,
        *words.ENDINGS,
        "key",
        "code",
        *words.VALUES,
        *words.SPELLED,
        *words.SECRET_WHOLE,
        *words.OF_STRIPE,
    }
    | {*words.PASS_ENDINGS, *(first for first, _ in words.PAIRS)}
)
"""Texts in lower case, one of which is in each name that ``is_secret_name`` finds secret."""
