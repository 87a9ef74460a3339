"""Records and questions that are hard to tell apart, for tests that ask in two ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from audit_emit._format.encode import to_json
from audit_emit._loki.json_stage import value_at
from audit_emit._query.patterns import checked
from audit_emit._query.question import Question, Term

TS = "2026-05-19T20:00:00.123456789Z"
TEXTS = [
    *("STRIPE_LIVE_KEY", "STRIPE_TEST_KEY", "a", "ab", "b", "", "other", "unknown", "null"),
    *("é🔑", 'x"y', "back\\slash", "new\nline", "tab\tnul\0", "`tick`", "a/b", "<b>&'", "\u2028"),
    *("*", "[ab]", "a*", "?", "a.b|c", "$(x)^+{1}", "no\ufffdchar", "no char", "12", "1.10", "1.1"),
    *("true", '["x","y"]', '["x","y"z"]', '{"p":"q"}', "\ud7ff\ue000", "'"),
]
HALVES = ["half\ud800", "\udc00half"]
NUMBERS = ["1.10", "1.1", "1e3", "1000", "18446744073709551616", "-0", "true", "false", "null"]
PATTERNS = [
    *("STRIPE_*", "*", "?*", "*é*", "a?", "[ab]", "[!a]*", "[[]ab]", "*\\*", "*\n*", "*[a-c]*"),
    *("1*", '*"y"*', "[", "a[b", "[]x]*", "[^a]", "[a-]*", "*[&~|-]*", "*.*", "no?char"),
]
NAMES = ["key", "a", "a.b", "user_id", "service", "é", 'q"t', "c]d", "x y", "outcome", "b\\s"]
TYPES = ["secret.set", "secret.rotate", "secret.denied", "auth.login_failed", "other", "Bad Type"]
IDS = st.sampled_from(["u-17", "alice", "", "é🔑", 'x"y', "a.b", "a*b"])


class Number(str):
    """Stands in a record as it is written here, without quotes."""

    __slots__ = ()


values = st.recursive(
    st.sampled_from(TEXTS + HALVES) | st.sampled_from(NUMBERS).map(Number),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2)
    ),
    max_leaves=3,
)


def ours(value: str) -> str:
    return to_json(value)


def ascii_only(value: str) -> str:
    return json.dumps(value)


def all_escaped(value: str) -> str:
    """What is allowed, and nobody does but to hide."""
    units = value.encode("utf-16-be", "surrogatepass").hex()
    return '"' + "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)) + '"'


def text_of(value: Any, text: Callable[[str], str]) -> str:
    """JSON, each text in it written by ``text``."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return f"[{','.join(text_of(one, text) for one in value)}]"
    members = (f"{text(name)}:{text_of(one, text)}" for name, one in value.items())
    return "{" + ",".join(members) + "}"


def line(ts: str, members: dict[str, Any], text: Callable[[str], str] = ours) -> str:
    """A record, as far as a question looks at it."""
    return text_of({"ts": ts, **members}, text)


members = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(TYPES),
        "workspace_id": IDS,
        "user_id": IDS,
        "actor_kind": st.just("user"),
        "correlation_id": IDS,
        "fields": st.dictionaries(st.sampled_from(NAMES), values, max_size=3),
    },
    optional={"service": st.sampled_from(["api", "Api", "unknown", "é"])},
)
encoders = st.sampled_from([ours, ours, ours, ascii_only, all_escaped])


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a value."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [p for name, one in value.items() for p in paths(one, (*path, name))]
    elif isinstance(value, list):
        found += [p for i, one in enumerate(value) for p in paths(one, (*path, i))]
    return found


@st.composite
def terms(draw: st.DrawFn, record: bytes, places: list[tuple[str | int, ...]]) -> Term:
    """About a value of a record, as it is, as a pattern, or as something else."""
    path = draw(st.sampled_from([*places, ("fields", "missing"), ("service",)]))
    value = value_at(record, path)
    kind = draw(st.sampled_from(["same", "same", "pattern", "pattern", "other"]))
    if kind == "other":
        value = draw(st.sampled_from([*TEXTS, *PATTERNS]))
    elif kind == "pattern" and value:
        at = draw(st.integers(0, len(value) - 1))
        wild = draw(st.sampled_from(["?", "*", "[!\n]", f"[{value[at]}x]"]))
        value = value[:at] + wild + value[at + 1 :]
    try:
        return Term(path, checked(value), draw(st.sampled_from([False, False, False, True])))
    except ValueError:  # no pattern
        return Term(path, "*")


@st.composite
def pairs(draw: st.DrawFn, ts: str = TS) -> tuple[str, Question]:
    """The line of a record, and a question that it may well answer."""
    record: dict[str, Any] = draw(members)
    shown = line(ts, record, draw(encoders))
    text = shown.encode()
    places = [path for path in paths(record) if path[0] in {"fields", "service", "user_id"}]
    one: str = record["event_type"]
    types = draw(st.sampled_from([(), (), (one,), (f"{one[:3]}*",), ("*",), ("other",)]))
    ids = [record[name] for name in ("user_id", "workspace_id", "correlation_id")]
    actor, workspace, correlation = (
        draw(st.sampled_from(["", "", value, f"*{value[1:]}"])) for value in ids
    )
    return shown, Question(
        types=types,
        terms=tuple(draw(st.lists(terms(text, places), max_size=2))),
        actor=actor,
        workspace=workspace,
        correlation=correlation,
        changed=draw(st.sampled_from(["", "", "", "STRIPE_LIVE_KEY", "STRIPE_*"])),
    )
