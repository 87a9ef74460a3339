"""Which names hold a secret: the key rule of redaction.

A name is split into lower-case tokens (``accessToken``, ``x-api-key`` and ``DB.Pass`` all become
what they say) and judged on them. What a name is about stands last in English, so a secret word
followed by ``_count``, ``_id`` or ``_changed_at`` is about something else; everything else that
has a secret word in it is held back. In doubt a name is secret: a value too little in the record
can be asked for, one too much cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from audit_emit._lazy import Pattern

__all__ = [
    "JWK_NAMES",
    "MANIFEST_NAMES",
    "NAME_NAMES",
    "STEMS",
    "TOGETHER_NAMES",
    "TYPED_NAMES",
    "TYPE_NAMES",
    "VALUE_NAMES",
    "is_secret_name",
    "split_name",
]

MAX_NAME = 1024
MAX_TOKENS = 32
"""Longer names, and names of more tokens, are not looked at: they count as secret."""

_SPLIT = Pattern(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SECRET = _words(
    """
    pass passwd password passphrase passcode passkey passwort pwd pswd psw pw secret secrets token
    apikey apitoken privatekey secretkey accesskey authkey credential credentials cred creds
    cookie cookies auth authorization authorisation bearer jwt csrf xsrf otp totp hotp pin pins
    pincode cvv cvc cvn csc ssn iban mnemonic sessionid sessid phpsessid jsessionid sessionkey
    session webauthn kennwort contrasena contraseña motdepasse senha passcodes passwords
    connectionstring connstr pgpass keytab keypass storepass trustpass pword passw psk mdp pwrd
    passwrd wachtwoord haslo hasło пароль 密码 密碼 パスワード 비밀번호 пароли
    """
)
_SECRET_LAST = _words("dsn pat dek kek")
"""Secret where nothing follows: ``sentry_dsn``, and not ``pat_count``."""
_STEMS = (
    "password passwd passphrase passcode passwort secret credential apikey privatekey accesskey "
    "authtoken sessionid sessid connectionstring"
).split()
_ENDINGS = tuple(
    """
    token tokens pwd dbpass userpass mypass dbpw cookie apikeys encryptionkey decryptionkey
    signingkey masterkey sharedkey accountkey deploykey sshkey hostkey storagekey licensekey
    servicekey clientkey serverkey hmackey sessionkey webhookkey cardnumber cardno ccnumber
    """.split()
)
_NOT_STEMS = _words("secretary secretaries secretariat secretion passwordless secretless")

_KEY_OF = _words(
    """
    api private priv secret access encryption encrypt encrypted decryption decrypt signing sign
    signature auth account service db database client master ssh hash hmac session shared symmetric
    aes rsa dsa des ec ecdsa ed25519 pgp gpg tls ssl webhook subscription functions deploy app
    application server admin root jwt jws jwe jwk crypto cipher security developer recovery license
    wrapping kek dek live test prod production sandbox bot stripe openai anthropic aws azure gcp
    google sendgrid twilio github gitlab slack mailgun datadog sentry heroku cloudflare
    digitalocean huggingface cohere mistral gemini groq paypal square plaid algolia mapbox
    preshared consumer kms wifi wlan wpa wep storage host
    """
)
_CODE_OF = _words(
    """
    mfa otp totp 2fa fa verification verify security recovery backup auth access sms login one
    reset activation pass pin device authorization confirmation unlock verifier
    """
)
_PAIRS = (
    ("card", "number"),
    ("card", "no"),
    ("card", "num"),
    ("cc", "number"),
    ("cc", "num"),
    ("cc", "no"),
    ("security", "number"),
    ("security", "no"),
    ("parola", "chiave"),
    ("connection", "string"),
    ("conn", "string"),
    ("conn", "str"),
    ("connect", "sid"),
    ("seed", "phrase"),
    ("recovery", "phrase"),
    ("key", "material"),
    ("key", "pem"),
    ("account", "number"),
    ("pass", "phrase"),
    ("mot", "passe"),
    ("account", "no"),
    ("routing", "number"),
    ("security", "answer"),
    ("saml", "response"),
    ("saml", "assertion"),
    ("magic", "link"),
    ("sso", "ticket"),
)

_HARMLESS_LAST = _words(
    """
    count counts id ids uuid name names hash hashes hashed digest digests fingerprint checksum
    type types kind method methods mode at on by expires expiry expiration expired expire ttl
    length len size limit used usage version versions policy policies status state scope scopes
    prefix url uri endpoint path file created changed updated rotated deleted revoked reset
    enabled disabled required valid invalid verified present missing exists set provider
    providers algorithm alg format issuer audience age index timeout days hours minutes seconds
    ms min max strength score attempts retries failures rules field label arn ref store manager
    operation action event owner source reason last4 bits rotation
    lifetime duration interval created_at domain samesite consent budget rate price cost user
    username masked redacted
    """
)
_HARMLESS_FIRST = _words("is has had needs need requires require uses use allow allows can should")
_TOKENS_OF = _words(
    """
    prompt completion max min total input output cached reasoning remaining used num n avg mean
    thinking context cache read write creation count estimated
    """
)
_VALUES = _words(
    """
    value values oldvalue oldvalues newvalue newvalues plaintext plaintexts cleartext rawvalue
    currentvalue previousvalue prevvalue plainvalue clearvalue
    """
)


NAME_NAMES = frozenset(
    "name key field header param parameter variable var env k n setting attribute attr property "
    "option column label secret_name secret_key path loc parametername parameter_name headername "
    "header_name fieldname field_name settingname setting_name variablename variable_name "
    "attributename attribute_name propertyname property_name".split()
)
VALUE_NAMES = frozenset(
    "value values val v content data old new before after from to default current previous text "
    "raw old_value new_value oldvalue newvalue was input ctx parametervalue parameter_value "
    "headervalue header_value fieldvalue field_value settingvalue setting_value variablevalue "
    "variable_value attributevalue attribute_value propertyvalue property_value".split()
)
"""``{"name": "password", "value": "x"}``: what the first names, the second holds."""
TYPE_NAMES = frozenset(("type", "kind", "id"))
TYPED_NAMES = frozenset(("value", "values", "val"))
"""``{"type": "password", "value": "x"}``: what has a type has many other members besides."""
JWK_NAMES = frozenset(("d", "k", "p", "q", "dp", "dq", "qi", "oth"))
"""The private members of a JSON Web Key (RFC 7518 section 6), which ``kty`` tells."""
MANIFEST_NAMES = TYPED_NAMES | {"data", "stringdata", "string_data"}
"""``{"kind": "Secret", "data": {…}}``, as Kubernetes has it, and its clients."""
TOGETHER_NAMES = VALUE_NAMES | MANIFEST_NAMES | {"kty", "netloc"}
"""Names whose values, or whose neighbours, are judged by more than their own name and text."""


def split_name(name: str) -> list[str]:
    """The lower-case tokens of a name: ``xAPIKey-2`` gives ``x``, ``api``, ``key``, ``2``.

    At most one more than ``MAX_TOKENS``.
    """
    if not name.isascii():
        words = "".join(char if char.isalnum() else "_" for char in _compatible(name)).split("_")
        parts = (part for word in words if word for part in _split_word(word))
        return list(islice(parts, MAX_TOKENS + 1))
    return [match.group().lower() for match in islice(_SPLIT.finditer(name), MAX_TOKENS + 1)]


def _compatible(name: str) -> str:
    """The name in the letters that are read: full-width ones are Latin ones, too."""
    from unicodedata import normalize  # noqa: PLC0415 - only names that are not ASCII need it

    return normalize("NFKC", name[:MAX_NAME])[:MAX_NAME]  # one letter may stand for eighteen


def _split_word(word: str) -> list[str]:
    if word.isascii():
        return [token.lower() for token in _SPLIT.findall(word)]
    return [word.lower()]


def is_secret_name(name: str, *, secret_event: bool = False) -> bool:
    """Whether a value of this name must not be shown.

    Args:
        name: the name, in any spelling.
        secret_event: the event is about a secret, so ``value`` and its like are secret, too.
    """
    if len(name) > MAX_NAME:
        return True
    tokens = split_name(name)
    if not tokens:
        return False
    if len(tokens) > MAX_TOKENS:
        return True
    if secret_event and "".join(tokens) in _VALUES:
        return True
    while len(tokens) > 1 and tokens[-1].isdigit():
        tokens.pop()
    lower = name.lower() if name.isascii() else _compatible(name).lower()
    return not _harmless(tokens) and _has_secret_word(tokens, lower)


def _harmless(tokens: list[str]) -> bool:
    last = tokens[-1]
    if last in ("id", "ids") and "session" in tokens:
        return False
    if last == "tokens" and len(tokens) > 1:
        return not _TOKENS_OF.isdisjoint(tokens)
    return len(tokens) > 1 and (last in _HARMLESS_LAST or tokens[0] in _HARMLESS_FIRST)


def _has_secret_word(tokens: list[str], lower: str) -> bool:
    if tokens[-1] in _SECRET_LAST:
        return True
    if lower in _SECRET or not _SECRET.isdisjoint(tokens):
        return tokens[0] != "session" or _about_session(tokens)
    if ("key" in tokens or "keys" in tokens) and not _KEY_OF.isdisjoint(tokens):
        return "public" not in tokens
    if ("code" in tokens or "codes" in tokens) and not _CODE_OF.isdisjoint(tokens):
        return True
    if any(a in tokens and b in tokens for a, b in _PAIRS):
        return True
    return any(map(_is_secret_word, tokens)) or _is_secret_word(lower)


def _about_session(tokens: list[str]) -> bool:
    rest = set(tokens) - {"session"}
    return not rest or not rest.isdisjoint(_SECRET | {"id", "ids", "key", "data", "value"})


def _is_secret_word(token: str) -> bool:
    token = token.rstrip("0123456789")
    if token in _SECRET:
        return True
    if token in _NOT_STEMS:
        return False
    return token.endswith(_ENDINGS) or any(stem in token for stem in _STEMS)


def _least(words: Iterable[str]) -> tuple[str, ...]:
    """The words that hold no other one of them: a text with any of them has one of these."""
    known: list[str] = []
    for word in sorted(words, key=len):
        if not any(shorter in word for shorter in known):
            known.append(word)
    return tuple(sorted(known))


STEMS = _least(
    {*_SECRET, *_SECRET_LAST, *_STEMS, *_ENDINGS, "key", "code", *_VALUES}
    | {first for first, _ in _PAIRS}
)
"""Texts in lower case, one of which is in each name that ``is_secret_name`` finds secret."""
