"""The part of LogQL that this project asks in, evaluated as Loki 3.7 was seen to do it.

A log query only: a selector, line filters, ``| json`` with expressions, label filters. What the
real one was measured to do where its documentation is silent: a member that is missing or null is
the empty string, an array is its JSON text without escapes, an object is its JSON text, U+FFFD
becomes a space, half a surrogate pair empties the value, and an expression that cannot be read
makes a query that finds nothing. ``test_loki_server.py`` asks the real one the same.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Labels = dict[str, str]
Test = Callable[[str], bool]
Stage = Callable[[str, Labels], bool]
"""Whether a line goes on; what it parses it adds to the labels."""


class LogQLError(Exception):
    """What Loki answers with status 400."""


class Query(NamedTuple):
    """A parsed query."""

    selects: Callable[[Mapping[str, str]], bool]
    stages: list[Stage]

    def run(self, line: str, labels: Mapping[str, str]) -> Labels | None:
        """The labels that the stages add to a line; ``None`` when it is filtered out."""
        known = dict(labels)
        if all(stage(line, known) for stage in self.stages):
            return {name: value for name, value in known.items() if labels.get(name) != value}
        return None


_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op>\|=|\|~|!=|!~|=~|==|>=|<=|[{}=,|()<>])""",
    re.VERBOSE,
)
_NUMERIC = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def parse(text: str) -> Query:
    """Parse a log query.

    Raises:
        LogQLError: it is not one, or not of the part that is known here.
    """
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise LogQLError(f"parse error at col {at + 1}: unexpected {text[at]!r}")
            if found.lastgroup != "space":
                self.tokens.append((str(found.lastgroup), found[0]))
            at = found.end()
        self.tokens.append(("end", "$end"))

    def take(self, *wanted: str) -> str:
        """The next token if it is of a kind, or is a text, that is wanted."""
        kind, text = self.tokens[0]
        if kind not in wanted and text not in wanted:
            raise LogQLError(f"parse error: unexpected {text}, expecting {' or '.join(wanted)}")
        self.tokens.pop(0)
        return text

    def next_is(self, *texts: str) -> bool:
        return self.tokens[0][1] in texts

    def query(self) -> Query:
        self.take("{")
        matchers = [self.matcher()]
        while self.next_is(","):
            self.take(",")
            matchers.append(self.matcher())
        self.take("}")
        if all(test("") for _, test in matchers):
            raise LogQLError(
                "queries require at least one regexp or equality matcher that does not have an "
                "empty-compatible value"
            )
        stages = []
        while not self.next_is("$end"):
            stages.append(self.stage())
        return Query(
            lambda labels: all(test(labels.get(name, "")) for name, test in matchers), stages
        )

    def matcher(self) -> tuple[str, Test]:
        name = self.take("name")
        return name, _test(self.take("=", "!=", "=~", "!~"), self.string())

    def string(self) -> str:
        text = self.take("string")
        return text[1:-1] if text[0] == "`" else _unquoted(text)

    def stage(self) -> Stage:
        if self.next_is("|=", "!=", "|~", "!~"):
            return self.line_filter()
        self.take("|")
        if self.next_is("json"):
            self.take("json")
            return self.json()
        return self.label_filter()

    def line_filter(self) -> Stage:
        op = self.take("op")
        wanted = [self.string()]
        while self.next_is("or"):
            self.take("or")
            wanted.append(self.string())
        if op in {"|=", "!="}:
            return lambda line, _: any(part in line for part in wanted) is (op == "|=")
        found = [re.compile(part) for part in wanted]
        return lambda line, _: any(part.search(line) for part in found) is (op == "|~")

    def json(self) -> Stage:
        wanted: list[tuple[str, list[str | int] | None]] = []
        while not wanted or self.next_is(","):
            if wanted:
                self.take(",")
            name = self.take("name")
            self.take("=")
            wanted.append((name, _path(self.string())))

        def stage(line: str, labels: Labels) -> bool:
            if any(path is None for _, path in wanted):
                return False
            if not line.startswith(("{", "[")):
                labels["__error__"] = "JSONParserErr"
                return True
            taken = set(labels)
            for name, path in wanted:
                value = _label(_walk(line, 0, path or []))
                if name not in taken or value:
                    labels[f"{name}_extracted" if name in taken else name] = value
            return True

        return stage

    def label_filter(self) -> Stage:
        either = [self.both()]
        while self.next_is("or"):
            self.take("or")
            either.append(self.both())
        return lambda line, labels: any(one(line, labels) for one in either)

    def both(self) -> Stage:
        every = [self.comparison()]
        while self.next_is("and", ","):
            self.take("and", ",")
            every.append(self.comparison())
        return lambda line, labels: all(one(line, labels) for one in every)

    def comparison(self) -> Stage:
        if self.next_is("("):
            self.take("(")
            inner = self.label_filter()
            self.take(")")
            return inner
        name = self.take("name")
        op = self.take("=", "==", "!=", "=~", "!~", ">", ">=", "<", "<=")
        if self.tokens[0][0] == "string":
            test = _test(op, self.string())
            return lambda _, labels: test(labels.get(name, ""))
        return _numeric(name, op, float(self.take("number")))


def _numeric(name: str, op: str, wanted: float) -> Stage:
    def stage(_: str, labels: Labels) -> bool:
        if labels.get("__error__"):
            return True
        if name not in labels:
            return False
        try:
            return bool(_NUMERIC[op](float(labels[name]), wanted))
        except ValueError:
            labels["__error__"] = "LabelFilterErr"
            return True

    return stage


def _test(op: str, wanted: str) -> Test:
    if op in {"=", "!="}:
        return lambda value: (value == wanted) is (op == "=")
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise LogQLError(f"parse error: error parsing regexp: {error}") from None
    return lambda value: (pattern.fullmatch(value) is not None) is (op == "=~")


_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_SHORT = {**dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True)), "\\": "\\", '"': '"'}


def _unquoted(text: str) -> str:
    r"""A string of Go (without its octal escapes, and ``\x`` only for ASCII)."""

    def plain(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if code:
            return chr(int(code, 16))
        if match[4] not in _SHORT:
            raise LogQLError(f"parse error: invalid char escape \\{match[4]}")
        return _SHORT[match[4]]

    return _ESCAPE.sub(plain, text[1:-1])


_STEP = re.compile(
    r'\s*(?:(?P<dot>\.)?\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\[(?:"(?P<key>[^"\]]*)"|(?P<index>[0-9]+))\])\s*'
)


def _path(expression: str) -> list[str | int] | None:
    """The steps of a JSON expression; ``None`` for one that cannot be read."""
    steps: list[str | int] = []
    at = 0
    while at < len(expression):
        found = _STEP.match(expression, at)
        if found is None or (found["name"] is not None and bool(found["dot"]) is not bool(steps)):
            return None
        if found["index"] is not None:
            steps.append(int(found["index"]))
        else:
            steps.append(found["name"] if found["name"] is not None else found["key"])
        at = found.end()
    return steps or None


_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")


def _walk(text: str, at: int, path: list[str | int]) -> str:
    """The JSON text of the value at a path below the value that begins at ``at``, or nothing."""
    try:
        if not path:
            return text[at : _DECODER.raw_decode(text, at)[1]]
        for key, start in _members(text, at):
            if key == path[0] and type(key) is type(path[0]):
                return _walk(text, start, path[1:])
    except (ValueError, IndexError, RecursionError):
        pass
    return ""


def _members(text: str, at: int) -> Iterator[tuple[str | int, int]]:
    """Where the values in an object or array begin; nothing in anything else."""
    kind = text[at]
    if kind not in "{[":
        return
    number = 0
    while True:
        at = _skip(text, at + 1)
        if text[at] in "}]":
            return
        key: str | int = number
        if kind == "{":
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        yield key, at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        if text[at] != ",":
            return
        number += 1


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _label(raw: str) -> str:
    """The value of a label, from its JSON text."""
    if raw in {"", "null"} or raw.startswith("{"):
        return "" if raw == "null" else raw
    quoted = (
        raw if raw.startswith('"') else '"' + re.sub(r'(?<!\\)((?:\\\\)*)"', r'\1\\"', raw) + '"'
    )
    value: Any = json.loads(quoted, strict=False)
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return str(value).replace("\ufffd", " ")
