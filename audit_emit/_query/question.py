r"""A question about an audit trail: which records answer it, and the same question as LogQL.

Pure. ``match`` and ``logql`` mean the same records, as Loki 3.7 was measured to read them:

1. A value is compared as the text that Loki's ``| json`` makes of it: a string as it is, a number
   or boolean as it is written (``1.10`` is not ``1.1``), an object as its JSON, an array as its
   JSON without escapes. What is missing or ``null`` is the empty text. U+FFFD counts as a space,
   and a text with half a surrogate pair as empty.
2. A wanted text is compared literally, or as a shell pattern (``*``, ``?``, ``[a-z]``, ``[!a-z]``).
3. The event type is the label of the record: ``other`` where its own is not well-formed.
4. A line filter only saves work. It looks for text that every JSON encoder writes as it is, or
   else as ``\u00`` and two digits, which it lets pass as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

from audit_emit._format.encode import text as quoted
from audit_emit._format.link import link_of
from audit_emit._format.record import SERVICE, parsed
from audit_emit._loki.json_stage import Path, value_at
from audit_emit._loki.labels import JOB, OTHER, UNKNOWN, Placement, placement_of
from audit_emit._query.patterns import (
    SPECIAL,
    WILD,
    alike,
    checked,
    literal,
    longest,
    pattern,
    regex,
)

MEMBERS = frozenset(
    """
    ts event_type workspace_id user_id actor_kind correlation_id fields v id service trace_id
    span_id chain seq prev_hash hash
    """.split()
)
"""Of a record; every other name is one of ``fields``."""

ESCAPED = b"\\u00"
"""How an encoder begins what it escapes though it need not."""

CHANGES = ("secret.*",)
UNCHANGED = (
    "access accessed check checked denied export exported failed get list listed read rejected "
    "requested revealed used verified view viewed"
).split()
"""Last words of the types of events that leave a secret as it is. What is not known to do that is
shown: a new word for a change must not hide the change."""

_UNCHANGED = f".+[._](?:{'|'.join(UNCHANGED)})"
_LEAST = 2
"""Bytes of a text that is worth looking for."""

_COLUMN = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")
_STEP = re.compile(
    r"""\.?([^.=!\[\]"][^.=!\[\]]*)|\[([0-9]{1,9})\]"""
    r"""|\["((?:\\["\\]|"(?!\])|[^"\\]|\\(?!["\\])|\\(?="\]))*?)"\]"""
)
"""No two of its ways take the same character: a text cannot make it try all of them in turn."""

_QUOTING = re.compile(r'\\(["\\])')
"""How a quoted name has a quote or a backslash; any other backslash is itself."""

_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Term(NamedTuple):
    """What one value of a record must be, or must not be.

    Attributes:
        path: from the record on: names, and numbers in arrays.
        wanted: a text or a shell pattern.
        differs: whether the value must be another one.
        other: a text that is as good as the wanted one; empty for none.
    """

    path: Path
    wanted: str
    differs: bool = False
    other: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        r"""``key=STRIPE_LIVE_KEY``, ``fields.a.b=1``, ``tags[0]=x``, ``fields["a.b"]!=c``.

        A name that is no member of a record is one of ``fields``. In a quoted name ``\"`` is a
        quote and ``\\`` a backslash.

        Raises:
            ValueError: it cannot be read.
        """
        steps: list[str | int] = []
        at = 0
        while found := _STEP.match(text, at):
            if found[1] is not None and (found[0][0] == ".") is not bool(steps):
                break
            name, number, key = found.groups()
            steps.append(
                int(number) if number else _QUOTING.sub(r"\1", key) if name is None else name
            )
            at = found.end()
        differs = text.startswith("!=", at)
        if not steps or not (differs or text.startswith("=", at)):
            raise ValueError(f"{text!r} is not NAME=VALUE or NAME!=VALUE")
        path = tuple(steps) if steps[0] in MEMBERS else ("fields", *steps)
        return cls(path, checked(text[at + 1 + differs :]), differs)

    def holds(self, line: bytes) -> bool:
        """Whether the record on a line is so."""
        value = value_at(line, self.path)
        found = alike(value, self.wanted) or (bool(self.other) and value == self.other)
        return found is not self.differs

    @property
    def expression(self) -> str | None:
        """The path as ``| json`` has it; ``None`` for a name that it has no way to write."""
        parts = []
        for step in self.path:
            if isinstance(step, int):
                parts.append(f"[{step}]")
            elif _WORD.fullmatch(step):
                parts.append(f".{step}")
            elif '"' in step or "]" in step:
                return None
            else:
                parts.append(f'["{step}"]')
        return "".join(parts).removeprefix(".")

    @property
    def comparison(self) -> str:
        """What follows the name of the label in LogQL."""
        if self.other:
            either = f"(?s)(?:{pattern(self.wanted)}|{SPECIAL.sub(literal, self.other)})"
            return f"=~{quoted(either)}"
        if not WILD.search(self.wanted):
            return f"{'!=' if self.differs else '='}{quoted(self.wanted)}"
        return f"{'!~' if self.differs else '=~'}{quoted('(?s)' + pattern(self.wanted))}"

    @property
    def is_needed(self) -> bool:
        """Whether the wanted text is in the line of every answer."""
        return not self.differs and not self.other

    @property
    def is_label(self) -> bool:
        """Whether the label ``service`` says the same: one that is well-formed is its own label."""
        exact = self.path == ("service",) and not self.differs and self.wanted != UNKNOWN
        return exact and SERVICE.fullmatch(self.wanted) is not None


class Question(NamedTuple):
    """Which records are wanted; what is empty or ``None`` asks for nothing.

    Attributes:
        types: event types or shell patterns; one of them must be the record's.
        terms: all of them must hold.
        actor, workspace, correlation: ``user_id``, ``workspace_id``, ``correlation_id``.
        pseudonym: what else ``user_id`` may be where an actor is asked for.
        changed: the name of a secret (``fields.key``): only records of what changed it.
        since, until: nanoseconds since 1970; ``until`` itself is not in it.
        workspaces: the record must be of one of these, whatever else is asked for: what somebody
            may see, so no patterns. Loki is not told of it.
        before: only records of a chain with a smaller ``seq``; 0 for any. Loki is not told of it.
    """

    types: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    actor: str = ""
    workspace: str = ""
    correlation: str = ""
    changed: str = ""
    since: int | None = None
    until: int | None = None
    workspaces: tuple[str, ...] = ()
    before: int = 0
    pseudonym: str = ""

    def match(self, line: bytes) -> Placement | None:
        """The record on a line, if it is an answer."""
        found = placement_of(line)
        return found if found is not None and self.holds(found, line) else None

    def holds(self, found: Placement, line: bytes) -> bool:
        """Whether a record is an answer; ``found`` is what Loki makes of its line."""
        return (
            (self.since is None or found.ts >= self.since)
            and (self.until is None or found.ts < self.until)
            and self._is_of_type(found.event_type)
            and (not self.workspaces or _workspace(line) in self.workspaces)
            and (not self.before or _is_before(line, self.before))
            and all(term.holds(line) for term in self.every_term())
        )

    def every_term(self) -> list[Term]:
        """Those of the other members, too."""
        ids = {"user_id": self.actor, "workspace_id": self.workspace}
        ids["correlation_id"] = self.correlation
        terms = [Term((name,), wanted) for name, wanted in ids.items() if wanted]
        if self.actor and self.pseudonym:
            terms[0] = terms[0]._replace(other=self.pseudonym)
        if self.changed:
            terms.append(Term(("fields", "key"), self.changed))
            terms.append(Term(("fields", "outcome"), "denied", differs=True))
        return [*terms, *self.terms]

    def place(self) -> int | None:
        """The ``seq`` that every answer has, if the question names one."""
        for term in self.terms:
            if term.path == ("seq",) and not term.differs and _NUMBER.fullmatch(term.wanted):
                return int(term.wanted)
        return None

    def columns(self) -> dict[str, str]:
        """The plain values that a store with columns can look for by itself; never a pattern."""
        asked = {
            "event_type": self.types[0] if len(self.types) == 1 and self.types[0] != OTHER else "",
            "workspace_id": self.workspace,
            "user_id": "" if self.pseudonym else self.actor,
            "correlation_id": self.correlation,
        }
        return {name: value for name, value in asked.items() if _COLUMN.fullmatch(value)}

    def is_of_columns(self) -> bool:
        """Whether ``columns`` says all that is asked for."""
        ids = self.actor, self.workspace, self.correlation
        asked = Question(
            self.types,
            actor=self.actor,
            workspace=self.workspace,
            correlation=self.correlation,
        )
        return self == asked and len(self.columns()) == len(self.types) + sum(map(bool, ids))

    def needles(self) -> list[bytes]:
        """Texts of which each is in the line of every answer, or ``ESCAPED`` is."""
        found = [longest(term.wanted) for term in self.every_term() if term.is_needed]
        types = self.types or (CHANGES if self.changed else ())
        if len(types) == 1 and not alike(OTHER, types[0]):
            found.append(longest(types[0]))
        return [text.encode() for text in dict.fromkeys(found) if len(text) >= _LEAST]

    def logql(self) -> str:
        """The same question for Loki, one stage a line; the time is not in it.

        It may find more: lines that are no JSON to their end, names of members twice in an object,
        and what ``unsaid`` returns.
        """
        stages = ["{" + ", ".join(self._matchers()) + "}"]
        terms = [term for term in self.every_term() if not term.is_label]
        parts = dict.fromkeys(longest(term.wanted) for term in terms if term.is_needed)
        stages += [f'|= {quoted(part)} or "\\\\u00"' for part in parts if len(part) >= _LEAST]
        names: dict[str, str] = {}
        tests = []
        for term in terms:
            if term.expression is not None:
                name = _name(term, names)
                names[name] = term.expression
                tests.append(f"| {name}{term.comparison}")
        if tests:
            stages.append("| json " + ", ".join(f"{n}={quoted(e)}" for n, e in names.items()))
            stages.append('| __error__=""')
        return "\n  ".join([*stages, *tests])

    def unsaid(self) -> list[Term]:
        """What LogQL has no way to say: who asks Loki must look for himself."""
        return [term for term in self.every_term() if term.expression is None]

    def _is_of_type(self, event_type: str) -> bool:
        if self.changed and (
            not alike(event_type, CHANGES[0]) or regex(_UNCHANGED).fullmatch(event_type)
        ):
            return False
        return not self.types or any(alike(event_type, wanted) for wanted in self.types)

    def _matchers(self) -> Iterator[str]:
        yield f'job="{JOB}"'
        for term in self.every_term():
            if term.is_label:
                yield f"service={quoted(term.wanted)}"
        for types in (self.types, CHANGES if self.changed else ()):
            if len(types) == 1 and not WILD.search(types[0]):
                yield f"event_type={quoted(types[0])}"
            elif types:
                yield f"event_type=~{quoted('|'.join(pattern(one) for one in types))}"
        if self.changed:
            yield f"event_type!~{quoted(_UNCHANGED)}"


def _workspace(line: bytes) -> object:
    """The very workspace of a record: not the text that Loki makes of it, which two may share."""
    return (parsed(line) or {}).get("workspace_id")


def _is_before(line: bytes, seq: int) -> bool:
    link = link_of(line)
    return link is not None and int(link[2]) < seq


def _name(term: Term, taken: Mapping[str, str]) -> str:
    """The label that gets a value: never one that a stream or its metadata may have."""
    words = [re.sub(r"[^A-Za-z0-9]+", "_", str(step)) for step in term.path]
    name = first = "_".join(words if words[0] == "fields" else ["record", *words])
    number = 1
    while taken.get(name, term.expression) != term.expression:
        number += 1
        name = f"{first}_{number}"
    return name
