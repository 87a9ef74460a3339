"""Names with their values in code, without ``=`` and ``:``: calls, declarations, comparisons."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from audit_emit._redaction.finders.annotations import is_type
from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.named_places import places
from audit_emit._redaction.finders.words_of_prose import MARKED, STRONG, is_word, unless_redacted
from audit_emit._redaction.names import is_weak, split_name
from audit_emit._runtime.lazy import Pattern

__all__ = ["LOGINS", "calls", "logins"]

IsSecret = Callable[[str], bool]

_CALL = Pattern(
    r"(?<![\w.\-])((?:[\w]{1,64}\.){0,4}[\w.\-]{2,64})[ \t]{0,4}"
    r"(?:(?P<call>[({])[ \t]{0,4}|[ \t]{1,4}|(?=`))[bBrRuUfFL@N]{0,2}"
    r"(\\{0,7}[\"'`])(?=[^\"'`\\\s])([^\"'`\\\r\n]{1,256})(?=\3)"
)
_ARGUMENT = Pattern(
    r"\\{0,7}[\"'`][ \t]{0,4},[ \t]{0,4}(?:\w{1,32}[ \t]{0,2}[:=]{1,2}[ \t]{0,2})?"
    r"[bBrRuUfFL@N]{0,2}\\{0,7}[\"'`]([^\"'`\\\r\n]{1,256})(?=\\{0,7}[\"'`])"
)
_MAX_ARGUMENTS = 4
_OBJECT = Pattern(
    r"\\{0,7}[\"'`](?:,| is| was| has been| could not be)?[ \t]"
    r"(?:not found|already exists|does not exist|created|deleted|patched|configured"
    r"|unchanged|edited|rotated|forbidden|in namespace|in the namespace)\b"
)
"""What is said of a thing, by its name, as Kubernetes does of a ``secret``."""
_NAME_OF_OBJECT = Pattern(r"[a-z0-9][a-z0-9.\-/]{0,252}")
_METHODS = frozenset(
    "set update put equals equalsIgnoreCase compareTo compare append write assign store insert "
    "strip encode startswith push add".split()
)
_VERBS = frozenset(
    "set with change update reset put add store use new login authenticate save encrypt verify "
    "check hash compare".split()
)
_WORDS = Pattern(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")


def calls(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``password "x"``, ``#define PASSWORD "x"``, ``setPassword("x")``, ``"x" == password``."""
    for match in _CALL.finditer(text):
        of, _, name = match.group(1).rpartition(".")
        if name in _METHODS and of:
            name = of.rpartition(".")[2]
        if not is_secret(name):
            continue
        value = match.group(4)
        if match.group("call"):
            words = [word.lower() for word in _WORDS.findall(name)]
            if is_weak(name) and words[:1] and words[0] not in _VERBS and not STRONG.match(value):
                continue  # the name of a secret is asked for: getSecret("db")
            further = list(_arguments(text, match.end()))
            yield from further
            if further and is_word(value):
                continue  # setPassword("bob", "x")
        elif (
            is_weak(name) and _NAME_OF_OBJECT.fullmatch(value) and _OBJECT.match(text, match.end())
        ):
            continue  # secret "db-1" not found
        elif is_word(value) or (
            is_weak(name) and len(split_name(name)) == 1 and not MARKED.match(value)
        ):
            continue
        yield from unless_redacted(text, *match.span(4))
    yield from _declarations(text, is_secret)
    yield from _compared_with(text, is_secret)


def _arguments(text: str, at: int) -> Iterator[Span]:
    """The quoted arguments of a call that follow the one which ends at a place."""
    for _ in range(_MAX_ARGUMENTS):
        match = _ARGUMENT.match(text, at)
        if match is None:
            return
        if not is_word(match.group(1)):
            yield from unless_redacted(text, *match.span(1))
        at = match.end()


_QUOTED = (
    r"=(?![=~])[ \t]{0,4}(?:<[\w.]{1,32}>[ \t]{0,4})?[bBrRuUfFL@N]{0,2}(\\{0,7}[\"'`])"
    r"(?=[^\"'`\\\r\n])"
)
_GIVEN = Pattern(_QUOTED)
_DECLARATION = Pattern(
    r"[ \t]{0,4}:?[ \t]{0,4}"
    # What is compared here once is given back to nothing: what follows begins with ``=``.
    r"(?=(\{[^{}\"'\n]{1,64}\}(?=[ \t]{0,4}:?=)|[^\"'\n=;()]{0,100}"
    r"(?:(?:\([^()\n]{0,64}\)|[\"']\w{1,16}[\"'])[^\"'\n=;()]{0,32}){0,4}))\1"
    rf"[ \t]{{0,4}}:?{_QUOTED}([^\"'`\\\r\n]{{1,256}})(?=\2)"
)

_MAX_TYPE = 512


def _declarations(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``Dim password As String = "x"``: a name, its type, a quoted value."""
    if "=" not in text:
        return
    done = 0
    given = _GIVEN.search(text)
    for place in places(text, is_secret):
        if place.end < done or not place.whole:
            continue
        if given is not None and given.start() < place.end:
            given = _GIVEN.search(text, place.end)
        if given is None:
            return
        if given.start() - place.end > _MAX_TYPE:
            continue
        match = _DECLARATION.match(text, place.end)
        if match is None:
            continue
        said = match.group(1).rstrip(" \t:")
        if not said or said[:1] == "{" or any(map(is_type, _WORD.findall(said))):
            done = match.end()
            yield from unless_redacted(text, *match.span(3))


_LOGIN = Pattern(
    r"(?:log_?in|sign_?in|authenticate|\bauth|credentials?|basic_?auth|digest_?auth"
    r"|PasswordAuthentication|AuthenticationToken|AuthProvider|create_?user|add_?user|DirectoryEntry"
    r"|\bPDO|\bmysqli(?:_connect)?|\bmysql_connect|\bimap_open|\.getConnection)"
    r"[ \t]{0,2}\([ \t]{0,4}[bBrRuUfFL@N]{0,2}\\{0,7}[\"'`][^\"'`\\\r\n]{0,256}"
    r"(?=\\{0,7}[\"'`][ \t]{0,4},)|\bsp_addlogin[ \t]{1,4}N?'[^'\r\n]{0,256}(?=')",
    re.IGNORECASE,
)
LOGINS = (
    "sp_addlogin login( log_in( signin( sign_in( authenticate( auth( credential( credentials( "
    "basicauth( basic_auth( digestauth( digest_auth( passwordauthentication( "
    "authenticationtoken( authprovider( createuser( create_user( adduser( add_user( directoryentry("
    " pdo( mysqli( mysqli_connect( mysql_connect( imap_open( getconnection("
).split()
"""What a text has in it, in lower case, that ``logins`` has to look at."""


def logins(text: str) -> Iterator[Span]:
    """``login("bob", "x")``: functions that take the name of a user and a password."""
    for match in _LOGIN.finditer(text):
        yield from _arguments(text, match.end())


_WORD = Pattern(r"[A-Za-z]\w{1,32}")
_REVERSED = Pattern(
    r"(?<![\w\\])(\\{0,7}[\"'`])([^\"'`\\\r\n]{1,256})\1"
    r"(?:[ \t]{0,2}[!=]={1,2}[ \t]{0,2}|\.(?:equals|compareTo|equalsIgnoreCase)\()"
    r"((?:\w{1,64}\.){0,3}\w{2,64})"
)


def _compared_with(text: str, is_secret: IsSecret) -> Iterator[Span]:
    """``"x" == password``, ``"x".equals(password)``."""
    if "==" in text or "!=" in text or ".equals" in text or ".compareTo" in text:
        for match in _REVERSED.finditer(text):
            if is_secret(match.group(3).rpartition(".")[2]):
                yield from unless_redacted(text, *match.span(2))
