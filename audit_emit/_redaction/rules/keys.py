"""Signed and encrypted tokens, private keys: what is told by its form whoever made it.

Sources: RFC 7515 to 7519 (JOSE), PASETO, Fernet, RFC 7468 (PEM), RFC 5958 (DER), age, BIP 32.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

from audit_emit._redaction.rule import Rule, Span, sample, token
from audit_emit._runtime.lazy import Pattern

_HEADS = ("eyJ", "eyAi", "ewog", "ewoi", "ewoJ", "ew0K")
"""How ``{"`` begins in base64, with and without space in it."""
_HEAD = Pattern("|".join(_HEADS))
_JWT = Pattern(r"[A-Za-z0-9_\-=]{9,}\.[A-Za-z0-9_\-.=]*")
_JOINED = Pattern(r"eyJhbGciOi[A-Za-z0-9_\-=]{100,}")
_RUN = Pattern(r"[A-Za-z0-9_\-=]*")


def _jwt(text: str) -> Iterator[Span]:
    """JSON Web Tokens, whole or cut behind the first dot."""
    head = _HEAD.search(text)
    while head is not None:
        at = head.start()
        match = _JWT.match(text, at) or _JOINED.match(text, at)
        if match is not None:
            yield match.span()
            at = match.end()
        else:
            # Without a dot the run is no token, and neither is a later part of it.
            at = max(_RUN.match(text, at).end(), at + 1)  # type: ignore[union-attr]
        head = _HEAD.search(text, at)


_ENCODED = "LS0tLS1CRUdJTi"
"""``-----BEGIN`` in base64."""
_BASE64 = Pattern(r"[A-Za-z0-9+/_=\-]*")
_BEGINNING = 88


def _encoded(text: str) -> Iterator[Span]:
    """PEM in base64, unless its head says that it is something else: a certificate is public."""
    at = text.find(_ENCODED)
    while at >= 0:
        end = _BASE64.match(text, at).end()  # type: ignore[union-attr]
        head = text[at : min(end, at + _BEGINNING)]
        if _is_private(head):
            yield at, end
        at = text.find(_ENCODED, end)


def _is_private(head: str) -> bool:
    try:
        known = binascii.a2b_base64(head[: len(head) // 4 * 4])
    except binascii.Error:  # padded in the middle: nobody knows what it is
        return True
    return b"PRIVATE" in known or len(known) < 30


RULES: tuple[Rule, ...] = (
    Rule(
        id="jwt",
        keywords=_HEADS,
        find=_jwt,
        examples=lambda: (
            "eyJhbGciOiJIUzI1NiJ9." + sample("jwt", "word", 40) + "." + sample("j", "word", 43),
        ),
        non_examples=("eyJpZCI6MX0=",),
    ),
    Rule(
        id="jwt-in-base64",
        keywords=("ZXlK",),
        find=r"ZXlK(?<![A-Za-z0-9]ZXlK)[A-Za-z0-9+/_\-]{40,}={0,2}",
        examples=lambda: ("ZXlKaGJHY2lPaUpJVXpJMU5pSjku" + sample("jwt64", "base64", 60),),
        word_start=True,
    ),
    Rule(
        id="private-key-in-base64",
        keywords=(_ENCODED,),
        find=_encoded,
        examples=lambda: (
            _ENCODED + "BSU0EgUFJJVkFURSBLRVktLS0tLQpN" + sample("pem", "alnum", 80),
        ),
        non_examples=(_ENCODED + "BDRVJUSUZJQ0FURS0tLS0tCk1JSUM" + sample("c", "alnum", 80),),
    ),
    Rule(
        id="paseto",
        keywords=tuple(f"v{n}.{kind}." for n in "1234" for kind in ("local", "public")),
        find=r"v[1-4]\.(?:local|public)\.[\w\-]{16,}(?:\.[\w\-]{1,200})?",
        examples=lambda: (
            "v2.local." + sample("paseto", "word", 80),
            "v4.public." + sample("p", "word", 90),
        ),
    ),
    Rule(
        # Modular crypt format, as in /etc/shadow: who has a hash can guess at it.
        id="password-hash",
        keywords=(
            *(f"${kind}$" for kind in ("1", "5", "6", "7", "8", "9", "y", "gy")),
            *(f"$2{kind}$" for kind in "abxy"),
        ),
        find=(r"\$(?:[1-9y]|gy|2[abxy])\$(?:rounds=)?[./A-Za-z0-9=]{1,64}\$[./A-Za-z0-9$]{16,}"),
        examples=lambda: (
            "$2b$12$" + sample("bcrypt", "alnum", 53),
            "$6$" + sample("salt", "alnum", 12) + "$" + sample("sha512", "alnum", 86),
        ),
    ),
    Rule(
        id="password-hash-by-name",
        keywords=("$argon2", "$scrypt$", "$pbkdf2", "pbkdf2_sha", "{SSHA", "$krb5"),
        find=(
            r"(?:\$(?:argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9\-]{0,8}|krb5[a-z0-9]{2,8})\$"
            r"|pbkdf2_sha(?:1|256|512)\$|\{SSHA(?:256|384|512)?\})[A-Za-z0-9$=,+/.*@:\-]{20,}"
        ),
        examples=lambda: (
            "$argon2id$v=19$m=65536,t=3,p=4$" + sample("argon", "alnum", 22) + "$" + "aB3" * 14,
            "pbkdf2_sha256$600000$" + sample("dj", "alnum", 22) + "$" + "aB3" * 14 + "=",
            "{SSHA}" + sample("ssha", "alnum", 38) + "==",
        ),
    ),
    *token("secret-token-url", "secret-token:", "token", 30, least=6, anywhere=True),
    *token("fernet", "gAAAA", "base64url", 95, least=60),
    *token(
        "age-secret-key",
        "AGE-SECRET-KEY-1 AGE-SECRET-KEY-PQ-1",
        "upper",
        58,
        least=13,
        anywhere=True,
    ),
    *token("bip32-private-key", "xprv yprv zprv tprv", "alnum", 107, least=28),
    Rule(
        id="wallet-import-format",
        keywords=("5H", "5J", "5K"),
        find=r"(?<![A-Za-z0-9])5[HJK][1-9A-HJ-NP-Za-km-z]{49}(?![A-Za-z0-9])",
        examples=lambda: ("5J" + "aBc1dEf2gHi3" * 4 + "z",),
        word_start=True,
        long_run=True,
    ),
    Rule(
        # PKCS#8 and SEC 1 keys without their PEM header: SEQUENCE, version, algorithm.
        id="der-private-key",
        keywords=(
            "MIIEv",
            "MIIEo",
            "MIIEp",
            "MIIJQ",
            "MIIJK",
            "MIICd",
            "MIICX",
            "MC4CAQAwBQYDK2Vw",
            "MIGHAgEA",
            "MHcCAQEE",
            "MIGkAgEBBD",
            "MIG2AgEAMBAGByqGSM49",
        ),
        find=(
            r"(?:MII(?:Ev[A-Za-z0-9+/]IBADAN|Eo[A-Za-z0-9+/]IBAAKC|Ep[A-Za-z0-9+/]IBAAKC"
            r"|JQ[A-Za-z0-9+/]IBADAN|JK[A-Za-z0-9+/]IBAAKC|Cd[A-Za-z0-9+/]IBADAN"
            r"|CX[A-Za-z0-9+/]IBAAKB)|MC4CAQAwBQYDK2Vw|MIGHAgEA|MHcCAQEE|MIGkAgEBBD"
            r"|MIG2AgEAMBAGByqGSM49)[A-Za-z0-9+/=\r\n\\]{24,}"
        ),
        examples=lambda: (
            "MIIEvgIBADANBgkqhkiG9w0BAQEFAASC" + sample("der", "base64", 200),
            "MIIEowIBAAKCAQEA" + sample("rsa", "base64", 200),
            "MC4CAQAwBQYDK2VwBCIEI" + sample("ed", "base64", 43),
            "MHcCAQEEI" + sample("ec", "base64", 120),
        ),
    ),
)
