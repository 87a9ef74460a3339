"""Command lines: options with secret names, and what some programs take without naming it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from audit_emit._redaction.finders.extent import PLACEHOLDER, QUOTED, Span, value
from audit_emit._runtime.lazy import Pattern

__all__ = ["PROGRAMS", "flags", "programs", "secret_words", "users"]

_FLAG = Pattern(
    r"-(?<![\w\-]-)-?([A-Za-z][\w\-]{1,63})"
    r"(?:[ \t]{1,4}(?:\\\r?\n[ \t]{0,16})?|[\"'],[ \t]{0,4})(?!-)(?![\"']-)"
)
_USER = Pattern(r"-(?<![\w\-]-)(?:u|-user)(?:[\"'],)?[ \t=]{0,4}[\"']?[^\s:\"']{0,256}:([^\s\"']+)")


def flags(text: str, is_secret: Callable[[str], bool]) -> Iterator[Span]:
    """``--password x``, ``-storepass x``."""
    done = 0
    for match in _FLAG.finditer(text):
        at = match.end()
        # What begins in brackets ends there; only a quote may reach further.
        if (at < done and QUOTED.match(text, at) is None) or not is_secret(match.group(1)):
            continue
        start, end = value(text, at, "", "")
        if end > start and not _is_metavariable(match.group(1), text[start:end]):
            done = max(done, end)
            yield start, end


def _is_metavariable(option: str, word: str) -> bool:
    """``--password PASSWORD``, ``--password string``: what a help text has there."""
    return word.strip("[]<>") in (option.upper().replace("-", "_"), "string", "STRING", "TEXT")


def users(text: str, _: Callable[[str], bool]) -> Iterator[Span]:
    """``curl -u name:x``."""
    for match in _USER.finditer(text):
        yield from _unless_held(text, *match.span(1))


# Programs, by their names or the beginnings of them, with the options whose value is secret. An
# option may have its value in the same word; with ``attached`` it has it there only.

_MYSQL = ("-p",)
_BEGINNINGS = ("mysql", "mariadb")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "sshpass": ("-p",),
    "redis-cli": ("-a",),
    "valkey-cli": ("-a",),
    "keydb-cli": ("-a",),
    "mongo": ("-p",),
    "mongosh": ("-p",),
    "mongodump": ("-p",),
    "mongorestore": ("-p",),
    "mongoexport": ("-p",),
    "mongoimport": ("-p",),
    "ldapsearch": ("-w",),
    "ldapmodify": ("-w",),
    "ldapadd": ("-w",),
    "ldapdelete": ("-w",),
    "ldappasswd": ("-w", "-s", "-a"),
    "ldapwhoami": ("-w",),
    "sqlcmd": ("-P",),
    "bcp": ("-P",),
    "isql": ("-P",),
    "mosquitto_pub": ("-P",),
    "mosquitto_sub": ("-P",),
    "zip": ("-P", "-eP"),
    "unzip": ("-P",),
    "ipmitool": ("-P",),
    "snmpget": ("-A", "-X", "-c"),
    "snmpwalk": ("-A", "-X", "-c"),
    "useradd": ("-p",),
    "usermod": ("-p",),
    "ssh-keygen": ("-N", "-P"),
    "veracrypt": ("-p",),
    "steghide": ("-p",),
    "snowsql": ("-p",),
    "cqlsh": ("-p",),
    "doctl": ("-t",),
    "rdesktop": ("-p",),
    "twine": ("-p",),
    "conan": ("-p",),
    "certutil": ("-p",),
    "swift": ("-K",),
}
_LOGIN: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oras", "crane", "az", "oc", "cf"),
    ("-p",),
)
"""These log in where ``login`` is among their arguments; elsewhere ``-p`` is a port or the like."""
_MAX_WORDS = 24

_PROGRAM = Pattern(
    r"(?<![\w.\-])(?:(?:mysql|mariadb)[\w\-]{0,32}|"
    + "|".join(sorted((*_OPTIONS, *_LOGIN), key=len, reverse=True))
    + r")(?![\w.\-=])"
)
_NEXT = Pattern(
    r"(?:,?[ \t]{1,8}|\\?[\"'],[ \t]{0,4}(?=\\?[\"']))(?:\\?([\"']))?"
    r"((?(1)(?:[^\"'\\]|\\(?![\"']))+"
    r"|(?:[^\s\"'|;&,]|,(?!\s)|(?<=-[A-Za-z])(?:\"[^\"]*\"|'[^']*'))+))"
)
_NETRC = Pattern(
    r"\blogin\s{1,8}(?!(?:with|using|by|via)\s{1,8}password\s{1,8}[^\s0-9]{1,64}(?:\s|\Z))"
    r"\S{1,128}\s{1,8}password\s{1,8}(\S+)"
)
_OPTION = Pattern(r"-(?<!\w-)-?[A-Za-z]")
PROGRAMS = (*_BEGINNINGS, *_OPTIONS, "login")
"""What a text has in it that ``programs`` has to look at."""


def programs(text: str) -> Iterator[Span]:
    """What some programs take without naming it: ``mysql -px``, ``sshpass -p x``, netrc.

    As a shell has it, and as the text of a list of words.
    """
    if _OPTION.search(text) is not None:
        done = 0
        for program in _PROGRAM.finditer(text):
            if program.start() < done:
                continue
            places = [(program.group(), program.start())]
            at = program.end()
            while len(places) < _MAX_WORDS and (found := _NEXT.match(text, at)):
                places.append((found.group(2), found.start(2)))
                done = at = found.end()
            for index, start in secret_words([word for word, _ in places]):
                word, place = places[index]
                yield from _unless_held(text, place + start, place + len(word))
    if "login" in text and "password" in text:
        for match in _NETRC.finditer(text):
            yield from _unless_held(text, *match.span(1))


def secret_words(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Which words of a command line are secret, and from which character on.

    Args:
        words: the program's name or path, and its arguments.
    """
    name = words[0].rpartition("/")[2]
    attached = name.startswith(_BEGINNINGS)
    options = _MYSQL if attached else _OPTIONS.get(name, ())
    first = 0
    if name in _LOGIN and "login" in words:
        options, first = _LOGIN[name], words.index("login")
    if not options:
        return
    for at, word in enumerate(words):
        for option in options if at >= first else ():
            if word == option:
                if not attached and at + 1 < len(words):
                    yield at + 1, 0
            elif word.startswith(option):
                yield at, len(option)


def _unless_held(text: str, start: int, end: int) -> Iterator[Span]:
    if end > start and not PLACEHOLDER.fullmatch(text, start, end):
        yield start, end
