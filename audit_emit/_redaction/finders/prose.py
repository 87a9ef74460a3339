"""What stands after the name of a secret and is none: prose, types, places, permissions."""

from __future__ import annotations

import re

from audit_emit._redaction.finders.annotations import is_type
from audit_emit._redaction.finders.extent import END
from audit_emit._redaction.finders.lookups import gives_value, is_lookup
from audit_emit._redaction.finders.references import is_reference
from audit_emit._redaction.finders.remarks import is_complaint, is_moment
from audit_emit._redaction.finders.words_of_prose import STRONG, is_before_marked
from audit_emit._redaction.names import is_counted, is_described, is_weak, split_name
from audit_emit._runtime.lazy import Pattern

__all__ = [
    "is_permission",
    "is_plain",
    "is_plain_number",
    "is_plain_value",
    "is_word_of_prose",
    "may_be_plain",
]

_NOTHING = frozenset(
    "true false null none nil undefined 0 1 yes no on off nan n/a ok asc desc *** **** ~ !!null "
    "on_create always never".split()
)
_EMPTY = frozenset(("", "true", "false", "null", "none", "0", "1"))
_LONGEST = 512
_PERMISSIONS = frozenset(
    "read write none admin list readonly read-only read_only readwrite read-write full manage "
    "* get delete create update all deny allow required optional enabled disabled inherit".split()
)
_METHODS = frozenset(
    "basic digest bearer oauth oauth1 oauth2 oidc openid saml saml2 ldap ldaps kerberos negotiate "
    "ntlm spnego gssapi mtls tls certificate cert password passwordless mfa totp webauthn passkey "
    "sso session cookie token api_key api-key apikey anonymous pam peer md5 scram-sha-256 radius "
    "iam workload_identity hmac sigv4 simple proxy plain".split()
)
"""How somebody is known: what ``auth`` and ``authentication`` say besides."""
_FACTORS = frozenset("otp totp hotp webauthn".split())
_STATES = frozenset("enabled disabled required optional".split())
_WORDS = _EMPTY | _PERMISSIONS | _METHODS | _STATES
_LONGEST_WORD = max(map(len, _WORDS))
_PROSE = frozenset(
    """
    a an the is was are were be been has have had must may can cannot should will would does do did
    not no none required missing invalid expired incorrect wrong bad changed reset updated rotated
    revoked failed failure denied refused rejected accepted success successful succeeded ok field
    follow enter please too at from to for of in on by with and or if this that your their its
    weak strong unchanged empty set unset unknown unsupported verified valid enabled disabled
    created deleted removed started stopped ended closed active inactive pending login logout user
    now still already currently never always only also being
    provided given generated issued requested granted used needs contains length rotation policy
    file permission authentication return raise
    """.split()
)
_REPORTED = frozenset(
    """
    loaded found present available ready used stored saved imported exported received configured
    detected matched copied creating creation refreshing modifying destroying destruction reading
    provisioning importing hashed sent
    """.split()
)
"""What is said of a secret if no value follows it: ``password: loaded from a file``."""
_WORD = Pattern(r"[^\W\d_]{1,24}(?:['\u2019-][^\W\d_]{1,12})?[.,;:!?)\]]{0,3}")
_NUMBER = Pattern(r"[0-9]{1,5}(?:\.[0-9]{1,5}){0,3}(?:-[a-z0-9]{1,12})?(?![\w])")
_FILE = Pattern(
    r"\.(?:py|go|js|ts|tsx|jsx|java|rb|c|h|cc|cpp|rs|kt|php|cs|sh|yml|yaml|json|log|conf|md)\Z",
)
_NUMBERS = Pattern(
    r"(?:pin|otp|cvv|cvc|csc|code|codes|passcode|password|passwd|pwd|pw|ssn|pass)s?\Z"
)
_PASSWORDS = Pattern(r"(?:password|passwd|pwd|pw|pass)\Z")
_MAX_PORT = 3
_CONNECTS = Pattern(
    r"(?:\b(?:to|at|host|server|dial|via|connect(?:ing)?)[ \t]{1,2}|//)\Z", re.IGNORECASE
)
_OF_TESTS = Pattern(r"[0-9]{1,3}\Z|test[s_/.]")
"""What follows ``pass`` where tests are reported."""
_TEST_OF_GO = Pattern(r"(?:test|example|benchmark|fuzz)")
_LOGFMT = Pattern(r"([a-z][a-z_]{1,32})=(?=\w)")
"""Another name with its value: ``auth: method=oidc``, as against the end of base64."""
_SMALLEST = 1000
_STATUS = Pattern(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
"""What mail servers call ``dsn``: the status of a delivery (RFC 3463), not a data source."""
_SEVERAL_NUMBERS = Pattern(
    r"[0-9]{1,12}(?:[_.\-][0-9]{1,12}){1,4}|[0-9]{1,4}(?:\.[0-9]{1,6})?(?:s|m|h|d|b)|[0-9]{1,6}(?:\.[0-9]{1,6})?(?:ns|us|ms|[kmg]b|%)"
)
"""Which session it is, as against its key: ``Session: 30546173_4261722401``; how long, how big."""
_OBJECT = Pattern(
    r"(?:[\w$]{1,64}\.){0,8}[A-Z][\w$]{0,64}(?:@[0-9a-f]{4,8}(?!\w)|\{[0-9a-f]{4,8}[ }])"
)
"""An object as Java prints it."""
_SMALL = Pattern(r"[0-9]{1,3}(?![\w.\-]*\w)")
"""A number that is no token: how many there are, which one it is."""
_ACTION = Pattern(r"[A-Z][a-z]+(?:[A-Z][A-Za-z0-9]*)+\*?(?![\w+/=])|\*(?!\w)")
_SCOPE = Pattern(
    r"(?:refresh|log_?(?:in|out|on)|sign_?(?:in|out)|start|stop|end|create|read|write|delete|list|issue"
    r"|revoke|rotate|validate|introspect|exchange|get|put|renew|verify|manage)(?![\w\-+/=.!@#$%^*~])",
    re.IGNORECASE,
)
"""What ``service:action`` and scopes have behind the colon."""
_TAG = Pattern(
    r"(?:v?[0-9][\w.\-]{0,32}|latest|stable|edge|nightly|main|master|dev|prod|staging)(?![\w+/=@])"
)
"""The tag of an image: ``registry/auth:latest``."""
_NAMED_TAG = Pattern(r"(?:latest|stable|edge|nightly)(?![\w+/=@.\-])")
"""Tags that no token, secret or session is called."""
_RESOURCE = Pattern(
    r"arn:aws[\w\-]{0,16}:(?:secretsmanager|ssm|kms|iam|sts|cognito-\w{1,16}):[\w\-]{0,32}:[0-9]{0,12}:"
    r"[\w+=,.@:/\-]{1,256}"
    r"|(?://secretmanager\.googleapis\.com/)?projects/[\w.:\-]{1,64}/(?:locations/[\w\-]{1,32}/)?secrets"
    r"/[\w\-]{1,255}(?:/versions/[\w\-]{1,64})?"
    r"|https://[a-z0-9\-]{1,64}\.vault\.azure\.net/secrets/[\w\-]{1,127}(?:/[0-9a-f]{32})?"
)
"""What the secret stores of AWS, Google and Azure call what they keep, as against its value."""
_PARAMETERS = Pattern(r"\([\w, .:\[\]|*]{0,128}\)[ \t]{0,2}->")
"""What the signature of a function is."""
_SCHEMA = Pattern(
    r"\{\s{0,8}\\{0,7}[\"']?type\\{0,7}[\"']?\s{0,4}[:=]\s{0,4}\\{0,7}[\"']?"
    r"(?:[sS]tring|integer|[nN]umber|[bB]oolean|object|array|null)\b"
)
"""A member of a JSON Schema: what a value is to be like."""
_OF_METHOD = Pattern(r"auth(?:entication|ori[sz]ation)?\Z", re.IGNORECASE)
_PATH = Pattern(r"(?:~|\.{1,2}|[A-Za-z]:)?(?:[/\\][A-Za-z_.][\w.\-]{0,40}){1,12}[/\\]?(?![\w+=])")
_OF_PATH = Pattern(
    r"(?:pwd|oldpwd|credentials?|keytab|pem|netrc|kubeconfig|cookies?|secrets?|tokens?|key)\Z"
)
_UUID = Pattern(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_UUID_SIZE = 36
_SHORT = 10
_IDENTIFIER = Pattern(r"[A-Za-z_][A-Za-z_.]*(?:\(\))?[:;,)]?(?![\w\-!$@#%^*+=~])")


def is_plain_value(name: str, value: str) -> bool:
    """Whether a field with the name of a secret holds none: nothing, a permission, a reference."""
    if len(value) > _LONGEST:
        return False
    lower = value.lower()
    if name in ("dsn", "DSN") and _STATUS.fullmatch(value) is not None:
        return True
    if lower in _EMPTY or is_reference(value):
        return True
    if _RESOURCE.fullmatch(value) is not None or is_complaint(value) or is_moment(name, value):
        return True
    if is_weak(name):
        if lower in _PERMISSIONS:
            return True
        if lower in _METHODS and _OF_METHOD.search(name) is not None:
            return True
    name = name.lower()
    if lower in _STATES and name in _FACTORS:
        return True
    if len(value) < _MAX_PORT and value.isdigit():  # which session of a machine it is
        return name.replace("_", "").endswith("sessionid")
    if name.replace("_", "") in ("clienttoken", "requesttoken"):  # of AWS: which request this is
        return _UUID.fullmatch(value) is not None
    return (
        _OF_PATH.search(name) is not None
        and _PATH.fullmatch(value) is not None
        and _looks_like_path(name, value)
    )


def may_be_plain(value: str) -> bool:
    """Whether ``is_plain_value`` holds for the value under some name."""
    size = len(value)
    if size > _LONGEST:
        return False
    if size <= _LONGEST_WORD and (value.isdigit() or value.lower() in _WORDS):
        return True
    if size == _UUID_SIZE and _UUID.fullmatch(value) is not None:
        return True
    if is_reference(value) or (size < _SHORT and _STATUS.fullmatch(value) is not None):
        return True
    # What each needs is asked first: a call takes longer than the answer for most values.
    if (" " in value and is_complaint(value)) or ("-" in value and is_moment("change", value)):
        return True
    # Paths and what secret stores call something: most values need no look at the patterns.
    if not ("/" in value or ":" in value or "\\" in value):
        return False
    return _PATH.fullmatch(value) is not None or _RESOURCE.fullmatch(value) is not None


def is_plain_number(name: str, value: int) -> bool:
    """Whether a number under the name of a secret is none: ``sessions: 3``, ``pat: 7``."""
    if value in (0, 1):
        return True
    # ``TokenFilter.java:88`` is a place in a file.
    return 0 < value < _SMALLEST and (is_counted(name) or _FILE.search(name) is not None)


def is_permission(word: str) -> bool:
    """Whether a word says what somebody may do: ``read``, ``admin``."""
    return word.lower() in _PERMISSIONS


def is_word_of_prose(word: str) -> bool:
    """Whether a word, in lower case, is one that prose says of a secret."""
    return word in _PROSE


def is_plain(text: str, span: tuple[int, int], name: str, sign: str) -> bool:
    """Whether what stands there, without quotes, after a name and a sign is no secret.

    Args:
        text: all of it.
        span: the value.
        name: the name, of a secret, in lower case.
        sign: what is between them: ``": "``, ``=``, ``:``.
    """
    start, end = span
    word = text[start:end]
    lower = word.lower().rstrip(".,;:!?) ")
    if lower in _NOTHING or is_type(word.rstrip(".,;:!?) ")) or lower == name.rpartition(".")[2]:
        return True
    before = text[max(0, start - len(sign) - len(name) - 16) : start - len(sign) - len(name)]
    weak = is_weak(name) and not name.endswith(_WHOLE)
    if _is_no_value(text, start, name, lower, weak=weak) or _is_number_of(text, start, name, sign):
        return True
    described = weak and sign.strip() == ":" and _is_description(word)
    if described or _is_of_code(text, start, name, sign, before) or is_moment(name, word):
        return True
    of_schema = _SCHEMA.match(word) is not None and not gives_value(word)
    if of_schema or is_lookup(word) or (_SMALL.fullmatch(word) and is_counted(name)):
        return True
    operator = sign.strip()
    if operator in ("==", "===", "!=", "!==", "=~", "~=") and _IDENTIFIER.fullmatch(word):
        return True
    within = text[max(0, start - len(sign) - len(name) - 1) : start].startswith("/")
    if sign == ":" and _is_place(text, start, name, within=within):
        return True
    if _OF_PATH.search(name) and _PATH.fullmatch(word) and _looks_like_path(name, word):
        return True
    if lower in _PERMISSIONS and (is_weak(name) or (sign == ":" and name.endswith("s"))):
        return True
    if lower in _METHODS and _OF_METHOD.search(name) is not None:
        return True
    return operator in (":", "") and sign[-1:] in " \t" and _is_prose(text, start, name)


def _is_of_code(text: str, start: int, name: str, sign: str, before: str) -> bool:
    """``string password = 2;`` of Protobuf, ``${PASSWORD:?required}``, ``No such secret: x``."""
    if name == "secret" and before.lower().endswith("no such ") and sign.strip() == ":":
        # What a store calls it. Of a token or a password it is the thing itself that is named.
        return STRONG.match(text[start : start + _LONGEST_NAME].split(None, 1)[0]) is None
    if sign == ":":
        return before.endswith("${") and text.startswith("?", start)
    return (
        sign.strip() == "="
        and _TAG_OF_FIELD.match(text, start) is not None
        and _TYPE_BEFORE.search(before) is not None
    )


_LONGEST_NAME = 256
_TAG_OF_FIELD = Pattern(r"[0-9]{1,2}(?: \[[^\]\n]{0,64}\])?;(?=\s|\Z)")
_TYPE_BEFORE = Pattern(r"\b(?:string|bytes|bool|u?int(?:32|64))[ \t]\Z")


def _is_number_of(text: str, start: int, name: str, sign: str) -> bool:
    """``Passwords: 12 checked``: how many, as against a code of digits."""
    counts = name[-1:] == "s" and not name.endswith("pass") and sign.strip() in (":", "")
    if not counts or text[start - 1 : start] != " ":
        return False
    found = _HOW_MANY.match(text, start)
    if found is None or is_before_marked(text, found.end()):
        return False
    if _OF_CODES.search(name) is None:
        return True
    return found.group(2) is not None and len(found.group(1)) < 3


_HOW_MANY = Pattern(r"([0-9]{1,3})(?: ([a-z]{2,20})\b|(?=[,;.]?(?:\s|\Z)))")
_OF_CODES = Pattern(r"(?:pin|otp|cvv|cvc|csc|code|tan|puk)s\Z")
_OF_A_CODE = Pattern(r"(?:pin|otp|cvv|cvc|csc|code|tan|puk|2fa|mfa)\Z")
_BEFORE_CODE = Pattern(r"[ \t,:\-]{1,8}(?:[^\s]{1,16}[ \t]{1,4}){0,3}[0-9]{3,10}\b")


def _is_no_value(text: str, start: int, name: str, word: str, *, weak: bool) -> bool:
    """What some name has that is no secret: tests that passed, a status, which session it is."""
    if name == "pass":
        return _OF_TESTS.match(word) is not None or (
            _TEST_OF_GO.match(word) is not None and text[max(0, start - 10) : start] == "--- PASS: "
        )
    if name == "dsn":
        return _STATUS.fullmatch(word) is not None
    if name.endswith("signature") and _PARAMETERS.match(text, start) is not None:
        return True
    if _RESOURCE.match(text, start) is not None:
        return True
    return weak and (
        _SEVERAL_NUMBERS.fullmatch(word) is not None or _OBJECT.match(text, start) is not None
    )


def _looks_like_path(name: str, word: str) -> bool:
    return name in ("pwd", "oldpwd") or word.count("/") + word.count("\\") > 1 or word[0] in "~."


def _is_description(word: str) -> bool:
    """Whether a word is what logs have behind ``auth:``, and tells no secret."""
    if word.startswith("pam_"):  # a module that logs
        return True
    other = _LOGFMT.match(word)
    return other is not None and is_described(other.group(1))


def _is_place(text: str, start: int, name: str, *, within: bool) -> bool:
    """``name:number`` is host and port, file and line, image and tag: in a path always."""
    if is_weak(name) and any(one.match(text, start) for one in (_ACTION, _SCOPE, _NAMED_TAG)):
        return True
    if within and _TAG.match(text, start):
        return True
    if text.startswith(":", start) and _FILE.search(name):  # test_token.py::test_refresh
        return True
    number = _NUMBER.match(text, start)
    if number is None:
        return False
    if within or _FILE.search(name) is not None or _NUMBERS.search(name) is None:
        return True
    # A host that is called so, and its port: no password has three digits only.
    if _PASSWORDS.search(name) is None:
        return False
    at = start - len(name) - 1
    return (
        len(number.group()) <= _MAX_PORT or _CONNECTS.search(text[max(0, at - 16) : at]) is not None
    )


def _is_prose(text: str, start: int, name: str) -> bool:
    if _ATTEMPTS.match(text, start) is not None:
        return True
    word = _WORD.match(text, start)
    after = "" if word is None else text[word.end() : word.end() + 1]
    closed = after in _CLOSING and word is not None and _CLOSED.match(text, word.end()) is not None
    if word is None or (after.strip() and not closed):
        return _counted(text, start, name)
    first = word.group().lower().rstrip(".,;:!?)]")
    of_words = name.endswith(_OF_WORDS)
    if (
        first in _THINGS
        and not name.endswith(_TAKES_WORDS)
        and _OF_PROSE.match(text, word.end()) is not None
        and not is_before_marked(text, word.end())
    ):
        return True
    ends = after in ("", "\n", "\r") or closed
    if ends and len(split_name(name)) > 1:
        # client_secret: all there is on its line
        return first in _PROSE or first in _REPORTED
    whole = name.endswith(_WHOLE) and "=" in text[start : (text.find("\n", start) + 1) or len(text)]
    if of_words and _is_phrase(text, word.end()):
        return False
    if is_weak(name) and not whole and not name.endswith("authorization") and len(first) < 15:
        return first.isalpha() or "-" in first or "'" in first
    if first in _PROSE:
        return True
    return (
        first in _REPORTED
        and not is_before_marked(text, word.end())
        and not (_OF_A_CODE.search(name) and _BEFORE_CODE.match(text, word.end()))
    )


_THINGS = frozenset("password passwords token tokens secret key session credential account".split())
_OF_PROSE = Pattern(r" [a-z]{2,24} [a-z]{2,24}\b| (?:for|of) '[\w.\-]{1,64}' [a-z]{2,24}\b")
"""``passwd: password expiry information changed``."""
_OF_WORDS = ("phrase", "mnemonic")
_TAKES_WORDS = (*_OF_WORDS, "authorization")
_FURTHER = Pattern(r"[ \t]([\w!$\-]{3,24})[ \t]([\w!$\-]{3,24})(?=[ \t]|[.\"'`]?(?:[\r\n]|\Z))")


def _is_phrase(text: str, end: int) -> bool:
    """Whether further words follow that prose does not have there: ``file river stone``."""
    further = _FURTHER.match(text, end)
    return further is not None and _PROSE.isdisjoint(map(str.lower, further.groups()))


_CLOSING = "\"'`\\"
"""Behind a word: the quotes around all of it, where they end something."""
_CLOSED = Pattern(END)
_ATTEMPTS = Pattern(
    r"[0-9]{1,3} (?:attempts?|tries|retries|digits?|char(?:acter)?s?|times|left|remaining)\b"
)
_WHOLE = ("authorization", "cookie", "cookies")
_COUNTED = Pattern(r"[0-9]{1,6} [a-z]{2,20}\b")


def _counted(text: str, start: int, name: str) -> bool:
    """``session: 17 active``."""
    return is_weak(name) and _COUNTED.match(text, start) is not None
