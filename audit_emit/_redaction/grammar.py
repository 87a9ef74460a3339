"""Rules that need more than a pattern: names with values, markup, statements, command lines.

Each is a function of a text and of ``is_secret``, which says whether a name is that of a secret.
Its keywords are a necessary condition like those of any rule: where a rule asks for the name of a
secret, they are the parts that every such name has one of (``names.STEMS``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from audit_emit._redaction.disguises import SPACED, SPELLINGS
from audit_emit._redaction.finders import (
    assignments,
    calls,
    cards,
    cells,
    changes,
    database,
    disguised,
    infrastructure,
    logins,
    markup,
    name_value,
    private_keys,
    programs,
    schemes,
    shell,
    unpunctuated,
    urls,
)
from audit_emit._redaction.names import STEMS
from audit_emit._redaction.rule import Span

__all__ = ["GRAMMAR", "Grammar", "IsSecret"]

IsSecret = Callable[[str], bool]
_SPACE = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
_QUOTES = "'\"`"
_BY_VALUE = tuple(f"{word}{sign}" for word in ("sid", "pan", "tan", "2fa") for sign in ":='\"")
"""Short names that are in other words, too, with what stands behind a name."""
_NAMES = (*STEMS, "netloc", "sig", "input_value", *_BY_VALUE)


class Grammar:
    """How one kind of secret is recognised by what stands around it.

    Args:
        id: as in ``Rule``.
        keywords: as in ``Rule``, in lower case where ``ignore_case``; spaces are allowed.
        find: gives the spans of a text that holds one of the keywords.
        marks: characters, one of which is in the text besides; all texts have an empty one.
        ignore_case: whether keywords count in any spelling.
        needs: what is in the text besides. It spares a call of ``find`` only: whether a text has to
            be looked at is told by the keywords and the marks.
        placed: whether it finds only what stands beside the end of the name of a secret
            (``SecretNames.places``).
        named: whether the keywords are parts of names, so that a user's names count as well.
        alone: whether it says nothing of other texts: those beside it in a list, or in a dict.
        digits: whether, instead of keywords, ``digits.enough`` decides.
        examples: texts that are held back whole or in part.
    """

    def __init__(
        self,
        name: str,
        keywords: tuple[str, ...],
        find: Callable[[str, IsSecret], Iterable[Span]],
        *,
        marks: str = "",
        needs: str = "",
        placed: bool = False,
        ignore_case: bool = False,
        named: bool = False,
        alone: bool = False,
        digits: bool = False,
        examples: tuple[str, ...] = (),
    ) -> None:
        self.id = name
        self.keywords = keywords
        self.marks = marks
        self.needs = needs
        self.placed = placed
        self.ignore_case = ignore_case
        self.named = named
        self.alone = alone
        self.digits = digits
        self.examples = examples
        self.spans: Callable[[str, IsSecret], Iterable[Span]] = find
        """Where secrets of this kind are in a text."""


def _without_names(find: Callable[[str], Iterable[Span]]) -> Callable[[str, IsSecret], Any]:
    return lambda text, _: find(text)


def _of_names(
    name: str,
    find: Callable[[str, IsSecret], Iterable[Span]],
    marks: str,
    examples: tuple[str, ...],
    **further: Any,
) -> Grammar:
    return Grammar(
        name,
        _NAMES,
        find,
        marks=marks,
        ignore_case=True,
        named=True,
        examples=examples,
        **further,
    )


GRAMMAR: tuple[Grammar, ...] = (
    Grammar(
        "private-key",
        ("PRIVATE KEY", "Private-Lines:", "kty"),
        _without_names(private_keys.keys),
        marks=_SPACE + _QUOTES,
        examples=("-----BEGIN RSA PRIVATE KEY-----\nMIIE",),
    ),
    Grammar(
        "url-password",
        ("//", "\\/", "@tcp(", "@unix(", "oracle:", "sqlplus", "sip:", "sips:"),
        _without_names(urls.users),
        marks="@",
        alone=True,
        examples=("postgres://user:hunter2@db/app",),
    ),
    Grammar(
        "authorization-scheme",
        schemes.SCHEMES,
        _without_names(schemes.schemes),
        marks=_SPACE,
        ignore_case=True,
        examples=("got Bearer abc123def",),
    ),
    Grammar(
        "refused-credential",
        schemes.COMPLAINED,
        _without_names(schemes.complaints),
        marks=_SPACE,
        ignore_case=True,
        examples=("Invalid token 'ab12' in request",),
    ),
    _of_names(
        "assignment",
        assignments.assignments,
        assignments.SIGNS,
        ("password=hunter2", 'os.environ["DB_PASSWORD"] = "hunter2"', "API key: hunter2"),
    ),
    Grammar(
        "disguised-name",
        (*SPELLINGS, *SPACED),
        disguised.values,
        marks=assignments.SIGNS + _SPACE,
        ignore_case=True,
        examples=("p@ssw0rd: hunter2", "t o k e n = hunter2"),
    ),
    _of_names(
        "call", calls.calls, _QUOTES + "=", ('setPassword("hunter2")', '#define PASSWORD "hunter2"')
    ),
    _of_names(
        "change",
        changes.changes,
        _SPACE + "(=>:\u2192\u21d2",
        ("changed password from 'hunter1' to 'hunter2'",),
    ),
    _of_names(
        "sentence",
        unpunctuated.sentences,
        _SPACE + "\u662f",
        ("Your password is hunter2",),
        placed=True,
    ),
    _of_names("line", cells.lines, "\n\t", ("Password\nhunter2",)),
    _of_names("cell", cells.cells, cells.BARS + "&.;,\t\n" + _QUOTES, ("| password | hunter2 |",)),
    Grammar(
        "login-call",
        tuple(calls.LOGINS),
        _without_names(calls.logins),
        marks=_QUOTES,
        ignore_case=True,
        examples=('login("bob", "hunter2")',),
    ),
    Grammar(
        "callback-code",
        ("code=", "ticket=", "token=", "?key=", "&key=", *unpunctuated.LINKS),
        _without_names(unpunctuated.callbacks),
        alone=True,
        examples=("https://a.example/callback?code=SplxlOBeZQQYbYS6WxSbIA&state=x",),
    ),
    _of_names("name-and-value", name_value.pairs, _QUOTES, ("('password', 'hunter2')",)),
    _of_names("refused-input", name_value.inputs, _QUOTES, ()),
    _of_names("option", programs.flags, _SPACE + _QUOTES, ("run --password hunter2",), needs="-"),
    Grammar(
        "user-option",
        ("-u",),
        programs.users,
        marks=":",
        alone=True,
        examples=("curl -u bob:hunter2 x",),
    ),
    Grammar(
        "program",
        programs.PROGRAMS,
        _without_names(programs.programs),
        marks=_SPACE + _QUOTES,
        examples=("mysqldump -u root -phunter2 db",),
    ),
    Grammar(
        "command",
        shell.KEYWORDS,
        shell.commands,
        marks=_SPACE + "=:]",
        examples=("vault login hunter2", "requirepass hunter2"),
    ),
    Grammar(
        "user-and-password",
        logins.OPTIONS,
        _without_names(logins.options),
        marks="-/",
        examples=("rdesktop -u bob -p hunter2 host",),
    ),
    Grammar(
        "signed-in",
        logins.SIGNED_IN,
        _without_names(logins.signed_in),
        marks=_SPACE + ":",
        ignore_case=True,
        examples=("login with bob / hunter2x", "AUTH PLAIN AGJvYgBodW50ZXIy"),
    ),
    Grammar(
        "typed-in",
        logins.TYPED,
        _without_names(logins.typed),
        marks="<|",
        examples=("passwd --stdin bob <<< hunter2",),
    ),
    Grammar(
        "variable",
        (*_NAMES, "sensitive"),
        infrastructure.variables,
        marks="{",
        ignore_case=True,
        named=True,
        examples=('variable "db_password" {\n  default = "hunter2"\n}',),
    ),
    Grammar(
        "manifest",
        ("kind:",),
        _without_names(infrastructure.manifests),
        marks="\n{",
        alone=True,
        examples=("kind: Secret\ndata:\n  a: aHVudGVyMg==",),
    ),
    _of_names("element", markup.elements, "<", ("<password>hunter2</password>",)),
    _of_names("form-part", markup.parts, "\n", ()),
    Grammar(
        "statement",
        (*_NAMES, "identified", *database.FUNCTIONS),
        database.statements,
        marks=_QUOTES + "(" + _SPACE,
        ignore_case=True,
        named=True,
        examples=("WHERE token LIKE 'ab12%'", "CREATE USER u IDENTIFIED BY 'hunter2'"),
    ),
    _of_names("refused-key", database.keys, _QUOTES + "(", ("Key (token)=(ab12) already exists.",)),
    Grammar(
        "refused-row",
        database.SAID,
        _without_names(database.rows),
        ignore_case=True,
        examples=("DETAIL:  Failing row contains (1, hunter2).",),
    ),
    Grammar("card-number", (), _without_names(cards.cards), digits=True, examples=()),
)
