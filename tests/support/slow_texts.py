"""Texts that take the rules long, and how many times as long as a harmless one of their length."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from support.counted_calls import calls_of
from support.processor_time import cost

from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.redactor import Redactor
from audit_emit._redaction.rules import RULES

__all__ = ["BETWEEN", "LENGTH", "SLOW_ONCE", "WORDS", "calls", "growth", "ratio", "repeated"]

REDACTOR = Redactor()
LENGTH = 8192
SHORTER = LENGTH // 8
HARMLESS = ("the quick brown fox jumps over a lazy dog, and again " * 200)[:LENGTH]

WORDS = sorted(
    {word for rule in GRAMMAR for word in rule.keywords}
    | {word for rule in RULES for word in rule.keywords}
    | {text for rule in GRAMMAR for text in rule.examples}
)
DASHES = "-" * 5
BETWEEN = [
    *"=:,;|<>[](){}'\"\\&@/-.$!\n\t",
    *(": ", " = ", "->", '("', "='", '":"', "=[", "={", "\\'", '\\\\"', "://", "--", " - "),
    *(" from ", " to ", " is ", " for ", " in (", ") values (", " like '", "arn:a:", "a", "1"),
    *("%3d", "%253d", "&#61;", "\\u003d", "&amp;#37;3d", "\x1b[1m", "\uff1a", "\u00e9", "\u0131"),
    *("|\n  ", "=\n  - ", "<!--", "'''"),
]

SLOW_ONCE = [
    "/magic" + "(" * 200,
    "53cre71\uff1a=gh secret is fio-u->",
    '=("53cre71\uff1a=gh secret is fio-u->',
    "('a',",
    "$ecr3tt.o.k.e='(\"auth\t=) values (\u0131",
    "{'$3cr3t='jks: ",
    "|\npass =\n  - kind: Secret\ndata:\n  a: aHVudGVyMg==>GOCSPX-) values (",
    '[{"token":true},',
    "netloc='",
    "cred:00!\uff1a",
    "token like $1 s.SG..",
    "kek={",
    "iban to ",
    "key=",
    "key=['",
    "key-> to ",
    "token='\\",
    'variable "a" {',
    '=[\u5bc6\u7801--=[ to \uff1a\u5bc6\u7801("',
    "=[,Invalid token 'ab12' is =[&amp;#37;3a WHERE token LIKE 'ab12%'requirepass in (",
    "'loc': ('password',), 'input': ",
    "arn:aws:secretsmanager:x ",
    "(a) values (",
    "<a name='password'>",
    "_",
    "duplicate entry 'a ",
    "duplicate entry 'a' for key 'token",
    "pin in (1 ",
    "(a,pin)values(",
    "(a,pin)values('a','b'),",
    "(" + "a," * 100,
    "token like ",
    "index 'a' key value is ",
    "'input':'loc':('password',),'input':",
    'type="password" ',
    "--password {",
    "@-bearer {",
    "${--password ",
    f"{DASHES}BEGIN ",
    f"{DASHES}BEGIN PRIVATE KEY",
    f"{DASHES}END PRIVATE KEY",
    f"{DASHES}BEGIN " + "A" * 40,
    "eyJ",
    "eyJaaaaaaaa",
    "eyJaaaaaa.",
    "ghp_",
    "sk-",
    "sk-aaaaaaaaaaaaaaa ",
    "xoxb-",
    "SG.",
    "://",
    "http://a:b@",
    "@",
    "x://" + "a:" * 100,
    "bearer ",
    "basic a",
    "=",
    "token=",
    "a=b&",
    "token=a,",
    "password=a ",
    'token="',
    'token="a" ',
    'token=\\"',
    "\\",
    '"',
    "token=[",
    "--token ",
    "--",
    "<",
    "<token>",
    "a",
    "a.",
    "-",
    "token",
    "4",
    "4 ",
    "41 ",
    "4111 ",
    "41-1",
    "4111111111111111 ",
    "deadbeef-dead-",
    "[parameters: ",
    " ",
    "token=,",
    "-u a:b ",
    "-u",
    "a:@tcp",
    "a:b@tcp( ",
    "token=&a",
    "411 ",
    '"name":"password",',
    '"value":"x",',
    '"value":"x","name":"password",',
    '["password","x"],',
    "(('password',",
    "value=(",
    "value=( name=pin ",
    "value='value=\\\"",
    "password '",
    "password for ",
    'form-data; name="password"\r\na',
    'form-data; name="password"\r\n\r\n',
    "hooks.slack.com/a/",
    "%5B%5D",
    "://a:",
    "://@",
    "://a:b'",
    "://a:b'x ://@",
    "//a:",
    "token=a)\"'",
    "token=" + ")" * 100,
    "token='a'b",
    "token=a<b ",
    "token=<b",
    "<a a",
    "token=a,'",
    "token=a&b",
    "://a:'@b ",
    "sqlplus a/",
    "@jdbc:oracle:thin:a/",
    "invalid token 'aaaa ",
    "invalid token ",
    "key provided: ",
    "sbp_",
    "whsec_",
    "npm_",
    "xprv",
    "dapi0",
    "M" + "a" * 24 + ".",
    "aaaaaaaaaaaaaa.atlasv1.",
    "aaa1Q~",
    "Private-Lines: 1",
    "Private-MAC",
    '"kty":"d":"',
    "LS0tLS1CRUdJTi",
    "1//0",
    "pscale_tkn_",
    "token: |\n a\n",
    "\n a",
    "tokens:\n- a\n",
    "passphrase=a ",
    "phrase a ",
    "<token><",
    "<token><![CDATA[]",
    "<key>token</key>",
    "4111.",
    "4111.1111.1111.1111 ",
    "4111\t1111\t",
    "mysql ",
    "mysql -p",
    "mysql -p'",
    "'mysql','-p",
    "docker login -p ",
    " -token",
    "%",
    "%25",
    "token%3D%22",
    "failing row contains (",
    "(token)=(",
    "(token)=(a) already ",
    "'loc':('password',),",
]
"""Fragments that were slow when repeated, before the rules took linear time."""


def repeated(fragments: Sequence[str], head: str = "", length: int = LENGTH) -> str:
    """A text of ``length`` characters that begins with ``head`` and repeats some fragments."""
    fragment = "".join(fragments)
    return (head + fragment * (length // len(fragment) + 1))[:length]


def scrub(text: str) -> None:
    """Look for secrets in a text, whatever the quick way says of it."""
    REDACTOR.engine.find(text, REDACTOR.is_secret_key)


def taken(text: str, times: int) -> float:
    """Seconds of the processor: the least of some times, so that other processes do not count."""
    return min(cost(lambda: REDACTOR.scrub(text)) for _ in range(times))


def ratio(text: str, most: float = float("inf")) -> float:
    """How many times as long as the harmless text; measured again while it is more than ``most``.

    On the clock of the processor, so for the benchmark: what the tests ask is ``growth``.
    """
    found = taken(text, 1) / taken(HARMLESS, 3)
    attempts = 0
    while found > most and attempts < 5:
        attempts += 1
        found = min(found, taken(text, 3) / taken(HARMLESS, 5))
    return found


def growth(fragment: str, most: float) -> float:
    """How many times as long eight times the text takes; measured again while that is too much.

    8 where time is linear, 64 where it is quadratic.
    """
    shorter, longer = (repeated([fragment], "token=: ", length) for length in (512, 4096))
    few = many = float("inf")
    for _ in range(8):
        # What is short is measured often: a stray millisecond counts there.
        few = min(few, *(cost(lambda: scrub(shorter)) for _ in range(3)))
        many = min(many, cost(lambda: scrub(longer)))
        if many <= most * few:
            break
    return many / few


def calls(text: str) -> int:
    """How many functions the rules call for a text, those of the interpreter in C among them."""
    return calls_of(lambda: scrub(text))


if __name__ == "__main__":
    # In a process of its own, which holds nothing that makes allocations slow.
    print({fragment: growth(fragment, float(sys.argv[1])) for fragment in SLOW_ONCE})
