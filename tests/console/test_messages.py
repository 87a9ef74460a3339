"""All texts of the pages are in the catalogue, and all that are in it are used."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.console_client import client, console, log_in

from audit_emit.console import messages
from audit_emit.console.messages import Catalogue, catalogue, chosen
from audit_emit.console.rendering import TEMPLATES

HERE = messages.DIRECTORY.parent
TEMPLATE_FILES = sorted((HERE / "templates").iterdir())
MODULES = sorted((HERE / "static").glob("*.js"))
SOURCES = sorted(HERE.glob("*.py"))

WORDS = re.compile(r"[^\W\d_]{2,}[,;:.!?…]? +[^\W\d_]{2,}|^[A-Z][a-z]+[.…]?$")
"""Two words in a row, or one that begins like a sentence."""

NAMES = {
    *("Home", "End", "Ed25519"),
    "audit_emit removal of records, version 1",
    "audit_emit change of key, version  ",
}
"""What looks like a text, and is a name of the platform's or a part of what is signed."""

TELLS = {
    "HTTPException",
    "SignInError",
    "FilterError",
    "ValueError",
    "Response",
    "PlainTextResponse",
}
"""What says something to people, and so takes texts of the catalogue only."""


class Texts(HTMLParser):
    """What a person reads of a template, in which every expression is a space."""

    SHOWN = ("alt", "aria-label", "title")
    NOT_LANGUAGE = ("code", "kbd", "script", "style")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if value and name in self.SHOWN]
        self.found += [
            value for name, value in attrs if value and name == "placeholder" and " " in value
        ]
        if tag in self.NOT_LANGUAGE:
            self._within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._within:
            self._within.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.found.append(data)


def strange_in_template(source: str) -> list[str]:
    plain, expressions, depth = "", [], 0
    for _, kind, value in TEMPLATES.lex(source):
        if kind in {"variable_begin", "block_begin"}:
            depth += 1
        elif kind in {"variable_end", "block_end"}:
            depth -= 1
            plain += " "
        elif kind == "data":
            plain += value
        elif kind == "string" and depth:
            expressions.append(value[1:-1])
    named = (one.replace("audit-emit", "").replace("audit_emit", "") for one in Texts(plain).found)
    shown = [one for one in named if re.search(r"[^\W\d_]{2,}", one)]
    return [*shown, *(one for one in expressions if WORDS.search(one))]


def strange_in_module(source: str) -> list[str]:
    """Texts in a module: no comment, no selector of an element, and no name of an import."""
    kept = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    kept = re.sub(r"^\s*//.*$|^import .*$", "", kept, flags=re.MULTILINE)
    kept = re.sub(r"(querySelector(All)?|closest)\((\"[^\"]*\"|'[^']*')\)", "", kept)
    kept = re.sub(r"//[^\"`]*$", "", kept, flags=re.MULTILINE)
    literals = re.findall(r"\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`", kept)
    plain = [re.sub(r"\$\{[^}]*\}", " ", one[1:-1]) for one in literals]
    return [one for one in plain if WORDS.search(one) and one not in NAMES]


def strange_in_source(source: str) -> list[str]:
    """Texts that a person is told, in Python."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in TELLS:
            for given in (*node.args, *(one.value for one in node.keywords if one.arg == "title")):
                inside = (one for one in ast.walk(given) if isinstance(one, ast.Constant))
                found += [one.value for one in inside if isinstance(one.value, str)]
        elif isinstance(node, ast.keyword) and node.arg in {"title", "said"}:
            found += [str(node.value.value)] if isinstance(node.value, ast.Constant) else []
    return [one for one in found if WORDS.search(one)]


def used() -> Iterator[str]:
    """Names of texts, as templates, modules and sources have them; ``*`` for what is computed."""
    for path in TEMPLATE_FILES:
        for name, more in re.findall(r'(?<!\w)"(\w+\.\w*)"( ~)?', path.read_text("utf-8")):
            if not name.endswith(".html"):
                yield name + ("*" if more else "")
    for path in MODULES:
        for name in re.findall(r'(?<!\w)"(\w+)"', path.read_text("utf-8")):
            yield f"js.{name}"
    for path in SOURCES:
        source = path.read_text("utf-8")
        found = re.findall(r'"((?:error|sign_in|event|settings|report)\.(?!html)\w+)"', source)
        yield from (*found, *(f"page.{one}" for one in re.findall(r'page="(\w+)"', source)))


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.name)
def test_a_template_has_no_text_of_its_own(path: Path) -> None:
    assert strange_in_template(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_has_no_text_of_its_own(path: Path) -> None:
    assert strange_in_module(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_an_error_has_no_text_of_its_own(path: Path) -> None:
    assert strange_in_source(path.read_text("utf-8")) == []


def test_a_text_outside_of_the_catalogue_is_found() -> None:
    for template in (
        "<p>Older records</p>", '<a title="Older">{{ x }}</a>', '{{ "no record" if x else "" }}',
        "<b>{{ x }} records</b>",
    ):  # fmt: skip
        assert strange_in_template(template), template
    for module in (
        '// What it says.\nsay("Not now");',
        "say(`${count} records found`);",
        'b.textContent = "Pause";',
    ):
        assert strange_in_module(module), module
    for source in ('raise HTTPException(404, f"no {x} is there")', 'rendered(title="Top lists")'):
        assert strange_in_source(source), source


def test_every_name_is_a_text_and_every_text_is_named() -> None:
    there, named = set(catalogue().texts), set(used())
    whole = {one for one in named if not one.endswith("*")}
    begun = tuple(one[:-1] for one in named if one.endswith("*"))
    tables = {one.partition(".")[0] for one in there} - {"js"}
    # A page of the console's own events may have another name than its title.
    assert {one for one in whole if one.partition(".")[0] in tables - {"page"}} <= there
    # Of a module every word in quotes may be a name, so only what is a call is looked at there.
    called = {
        f"js.{name}"
        for path in MODULES
        for name in re.findall(r'(?<!\w)t\("(\w+)"', path.read_text("utf-8"))
    }
    assert called <= there
    assert {one for one in there if one not in whole and not one.startswith(begun)} == set()


def test_another_language_is_a_file_and_what_it_lacks_is_english(tmp_path: Path) -> None:
    english = (messages.DIRECTORY / "en.toml").read_text("utf-8")
    (tmp_path / "en.toml").write_text(english)
    (tmp_path / "de.toml").write_text('[page]\nevents = "Ereignisse"\n')
    for accepted, language in (
        ("de", "de"), ("de-CH,en;q=0.9", "de"), ("en,de;q=0.5", "en"), ("fr, de;q=0.3", "de"),
        ("de;q=0", "en"), ("", "en"), ("de;q=x", "en"), ("../../etc", "en"),
        ("x," * 9000 + "de", "en"),
    ):  # fmt: skip
        assert chosen(accepted, tmp_path).language == language, accepted
    german = catalogue("de", tmp_path)
    assert german.text("page.events") == "Ereignisse"
    assert german.text("page.alerts") == "Alerts"


def test_a_value_is_text_and_spelled_out() -> None:
    made = Catalogue("en", {"a": {"b": "`{x}` is *not* {y} <b>"}})
    assert made.markup("a.b", x="<i>{y}\u202e", y=1) == (
        "<code>&lt;i&gt;{y}\\u202e</code> is <em>not</em> 1 &lt;b&gt;"
    )


def test_texts_have_no_markup_and_values_with_names() -> None:
    for name, text in catalogue().texts.items():
        assert "<" not in text, name
        assert text.count("`") % 2 == 0, name
        fields = [one[1] for one in string.Formatter().parse(text) if one[1] is not None]
        assert all(one.isidentifier() for one in fields), name


def test_the_modules_get_their_texts_and_no_others(tmp_path: Path) -> None:
    answer = client(console(log_in(tmp_path / "log"))).get("/messages.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["vary"] == "Accept-Language"
    assert '"waiting": "Waiting for records' in answer.text
    assert "Top lists" not in answer.text
