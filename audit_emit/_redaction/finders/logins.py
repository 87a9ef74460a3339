"""A user beside a password: in command lines of any program, in prose, in protocols of mail."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit_emit._redaction.finders.extent import Span
from audit_emit._redaction.finders.words_of_prose import MARKED, is_fact, unless_redacted
from audit_emit._runtime.lazy import Pattern

__all__ = ["OPTIONS", "SIGNED_IN", "TYPED", "options", "signed_in", "typed"]

_WORD = r"[\"']?([^\s\"'|;&]{1,512})"
_USER = (
    r"(?<![\w\-])(?:--?(?:u|U|l|au|xu|user|username)[ \t=]{1,3}|/u(?:ser)?:)[\"']?[^\s\"']{1,128}"
)
_OPTION = r"(?<![\w\-])(?:-(?:p|P|w|ap|xp)[ \t]{1,3}|/p(?:ass)?:)"
_BESIDE = Pattern(rf"{_USER}[\"']?(?:[ \t][^\n|;]{{0,128}}?)?[ \t]{_OPTION}{_WORD}")
_BEFORE = Pattern(rf"{_OPTION}{_WORD}[\"']?[ \t]{{1,3}}(?:[^\n|;]{{0,128}}?[ \t])?{_USER}")
_PLACE = Pattern(r"[0-9][0-9.:,/\-]*(?:/(?:tcp|udp))?|[./~].*|-.*")
"""What ``-p`` takes elsewhere: ports, paths."""
_OTHER_P = Pattern(r"(?<![\w\-])(?:mysql|mariadb)[\w\-]{0,16}[ \t](?:[^\n|;&\"'`]{0,96}[ \t])?\Z")
"""Programs whose ``-p`` takes no password behind a space: what stands there is a database."""
OPTIONS = ("-u ", "-U ", "-l ", "-au ", "-xu ", "-user ", "-username ", "/u:", "/user:")
"""What a text has in it that ``options`` has to look at."""


def options(text: str) -> Iterator[Span]:
    """``-u bob -p x``: of which program does not matter."""
    for pattern in (_BESIDE, _BEFORE):
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 128) : match.start()]
            if not _PLACE.fullmatch(match.group(1)) and not _OTHER_P.search(before):
                yield from unless_redacted(text, *match.span(1))


_READERS = (
    r"(?:chpasswd|passwd|kinit|vncpasswd|sudo|su|cryptsetup|zfs|op|pass|p4|gh|bw|docker|podman|helm"
    r"|kubectl|ssh-add|gpg|openssl|smbpasswd|htpasswd|flyctl|wrangler|vault|az|npm|secret-tool)"
)
"""Programs that read a secret from standard input."""
_HERE = Pattern(rf"(?<![\w\-./]){_READERS}(?![\w\-.])[^\n|;<]{{0,128}}<<<[ \t]{{0,4}}{_WORD}")
_PIPED = Pattern(
    r"\b(?:echo|printf)[ \t]{1,4}(?:-\w{1,4}[ \t]{1,4})?[\"']?([^\n|\"']{1,256}?)[\"']?"
    rf"[ \t]{{0,4}}\|[ \t]{{0,4}}(?:sudo[ \t](?:-S[ \t])?)?(?:/[\w/]{{1,64}}/)?"
    rf"(?:{_READERS}(?![\w\-.])(?=[^\n|]{{0,128}}"
    r"(?:-S\b|stdin|secret|login|password|passphrase|-pass|luks|encrypt|load-key|auth|with-token|kinit|insert"
    r"|add|signin|[ \t]-\Z|[ \t]-[ \t]))|chpasswd|kinit)"
)
TYPED = ("<<<", "echo ", "printf ")
"""What a text has in it that ``typed`` has to look at."""


def typed(text: str) -> Iterator[Span]:
    """``kinit bob <<< x``, ``echo x | docker secret create name -``."""
    if "<<<" in text:
        for match in _HERE.finditer(text):
            yield from unless_redacted(text, *match.span(1))
    if "|" in text:
        for match in _PIPED.finditer(text):
            yield from unless_redacted(
                text, match.start(1), match.start(1) + len(match.group(1).rstrip())
            )


_VALUE = (
    r"(?=[^\s0-9]{0,64}[0-9])(?=[^\sA-Za-z]{0,64}[A-Za-z])"
    r"([^\s\"'`,;:()<>/\\\[\]{}|]{8,128})(?![^\s,;.!?)\"'])"
)
_PAIR = Pattern(
    r"\b(?:log(?:ged|ging)?[ _\-]?(?:in|on)|sign(?:ed|ing)?[ _\-]?(?:in|on)|credentials?|creds?)\b"
    r"(?:[ \t](?:with|as|using|for|of))?[ \t]?[: \t][ \t]?(?:the[ \t])?(?:user[ \t])?"
    r"[\"']?(?!(?:user|role|service|account|tenant|workspace|group|uid|id|client|app|team|org"
    rf"|email|host|realm|domain|arn|urn|https?|ldaps?):)[\w.@+\-]{{1,64}}(?::|[ \t]/[ \t]){_VALUE}",
    re.IGNORECASE,
)
_JOINED = Pattern(
    r"\b(?:login:[ \t]{0,2}|(?:credentials?|creds?)(?::[ \t]{0,2}|[ \t]{1,2}))[\w.@+\-]{1,64}"
    rf"/{_VALUE}",
    re.IGNORECASE,
)
_PROTOCOL = Pattern(
    r"\b(?:USER[ \t][^\s]{1,128}\s{1,4}(?:[^\n]{0,64}\n[^\n]{0,8}?)?PASS[ \t]"
    r"|AUTH(?:ENTICATE)?[ \t](?:PLAIN|LOGIN|XOAUTH2|OAUTHBEARER|CRAM-MD5)[ \t])([^\s\"']{4,1024})"
)
_PROMPT = r"(?:\A|[\r\n\"'`>]|\\[rn])[ \t]{0,8}"
_ALONE = Pattern(
    _PROMPT + r"(?P<sent>(?:[Cc](?:lient)?:|-{1,2}>|={1,2}>|>{1,3}|\w{0,8}>)[ \t]{0,2})?"
    r"(?:[\w.\-@~:]{0,64}[$#%][ \t]{1,2})?"
    r"(?:PASS|[Pp]asswd|PASSWD|pass)[ \t]{1,2}:?([^\s\"'`\\]{4,256})"
    r"(?=[ \t]{0,4}(?:[\r\n\"'`]|\\[rn]|\Z))"
)
"""``PASS x`` alone on its line, as FTP, POP3 and IRC have it; also as a log of them shows it."""
_A_TEST = Pattern(r"[/\\]|\.\w{1,4}\Z|test|spec", re.IGNORECASE)
"""What programs that run tests say has passed."""
_IMAP = Pattern(
    r"\b[A-Za-z]{1,4}[0-9]{1,6}[ \t]LOGIN[ \t]{1,2}[\"']?[^\s\"']{1,128}[\"']?[ \t]{1,2}"
    r"[\"']?([^\s\"']{4,256})"
)
_NICKSERV = Pattern(
    r"\bnickserv[ \t]{1,2}:?identify[ \t]{1,2}(?:\S{1,64}[ \t])?(\S{4,256})", re.IGNORECASE
)
_VERBS = ("log", "logged", "logging", "sign", "signed", "signing")
SIGNED_IN = (
    *(f"{verb}{sign}{end}" for verb in _VERBS for sign in " _-" for end in ("in", "on")),
    *(f"{verb}{end}" for verb in _VERBS for end in ("in", "on") if verb + end != "signin"),
    *("signin ", "signin\t", "signin:", "credential", "creds", "cred ", "cred\t", "cred:"),
    *("auth plain", "auth login", "auth xoauth2", "auth cram", "oauthbearer", "auth\t"),
    *("authenticate plain", "authenticate login", "authenticate xoauth2", "authenticate cram"),
    *("authenticate\t", "pass ", "pass\t", "passwd ", "passwd\t", "nickserv"),
)
"""What a text has in it that ``signed_in`` has to look at, in lower case."""


def signed_in(text: str) -> Iterator[Span]:
    """``login with bob / x``, ``PASS x`` of a user (RFC 959), ``AUTH PLAIN x`` (RFC 4954)."""
    for pattern in (_PAIR, _JOINED):
        for match in pattern.finditer(text):
            if not is_fact(match.group(1)):
                yield from unless_redacted(text, *match.span(1))
    for pattern in (_PROTOCOL, _IMAP, _NICKSERV):
        for match in pattern.finditer(text):
            yield from unless_redacted(text, *match.span(1))
    for match in _ALONE.finditer(text):
        sent, said = match.groups()
        if sent or (MARKED.match(said) and not is_fact(said) and not _A_TEST.search(said)):
            yield from unless_redacted(text, *match.span(2))
