"""Our reading of Sigma beside pySigma's, and our counts beside those of its SQLite backend."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from support.anomalous_log import found, lines, record, rule_set

from audit_emit._detection.loading import built_in

sigma = pytest.importorskip("sigma.collection")
sqlite = pytest.importorskip("sigma.backends.sqlite")

TYPES = ("secret.read", "secret.set", "auth.login", "user.deleted", "a.b")
VALUES: tuple[Any, ...] = (
    "alpha", "ALPHA", "alphabet", "al*ha", "a?b", "back\\slash", "", "10", 10, 9.5, -1, True, None,
    "10.1.2.3", "192.168.0.7", "2001:db8::1", "per%cent", "under_score", "[x]", "new\nline",
)  # fmt: skip


def records() -> list[dict[str, Any]]:
    """Many different ones, the same each time."""
    draw = random.Random(18)
    made = []
    for number in range(600):
        fields = {
            name: value
            for name in ("key", "other", "n")
            if (value := draw.choice((*VALUES, "left out"))) != "left out"
        }
        fields["rows"] = draw.randrange(50)
        at = number * 7 + draw.randrange(7)
        made.append(record(draw.choice(TYPES), at, user=f"u{draw.randrange(4)}", fields=fields))
    return made


RECORDS = records()


def flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in value.items():
        if isinstance(one, dict):
            yield from flat(one, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(one).lower() if isinstance(one, bool) else one


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    rows = [dict(flat(json.loads(line))) for line in lines(RECORDS)]
    names = sorted({name for row in rows for name in row})
    connection = sqlite3.connect(":memory:")
    connection.create_function(
        "REGEXP",
        2,
        lambda pattern, text: text is not None and re.search(pattern, str(text)) is not None,
    )
    columns = ", ".join(f"`{name}`" for name in names)
    connection.execute(f"CREATE TABLE logs ({columns})")
    marks = ", ".join("?" * len(names))
    connection.executemany(
        f"INSERT INTO logs VALUES ({marks})", [[row.get(name) for name in names] for row in rows]
    )
    yield connection
    connection.close()


def rule(detection: dict[str, Any], name: str = "r") -> dict[str, Any]:
    return {
        "title": "R",
        "name": name,
        "status": "test",
        "logsource": {"product": "audit_emit"},
        "detection": detection,
    }


def is_of(selection: Any) -> dict[str, Any]:
    return {"selection": selection, "condition": "selection"}


DETECTIONS: list[dict[str, Any]] = [
    is_of({"event_type": "secret.read"}),
    is_of({"event_type": ["secret.read", "a.b"], "user_id": "U1"}),
    is_of([{"event_type": "a.b"}, {"user_id": "u2"}]),
    is_of({"event_type|startswith": "secret."}),
    is_of({"event_type|endswith": [".read", ".deleted"]}),
    is_of({"fields.key|contains": "LPH"}),
    is_of({"fields.key|contains|all": ["al", "bet"]}),
    is_of({"fields.key": "al*"}),
    is_of({"fields.key": "a?b"}),
    is_of({"fields.key": "a\\?b"}),
    is_of({"fields.key": "al\\*ha"}),
    is_of({"fields.key": "back\\\\slash"}),
    is_of({"fields.key": "*percent*"}),
    is_of({"fields.key": "under?score"}),
    is_of({"fields.key": "under_score"}),
    is_of({"fields.key": "*"}),
    is_of({"fields.key|cased": "alpha"}),
    is_of({"fields.key|cased|contains": "LPH"}),
    is_of({"fields.key|re": "^al.{2,3}a"}),
    is_of({"fields.key|re|i": "^ALPHA$"}),
    is_of({"fields.key|cidr": "10.0.0.0/8"}),
    is_of({"fields.key|exists": True}),
    is_of({"fields.key|exists": False}),
    is_of({"fields.key|neq": "alpha"}),
    is_of({"fields.key": None}),
    is_of({"fields.n|lt": 10}),
    {"a": {"event_type": "a.b"}, "b": {"user_id": "u1"}, "condition": "a and not b"},
    {"a": {"event_type": "a.b"}, "b": {"user_id": "u1"}, "condition": "not (a or b)"},
    {"a1": {"event_type": "a.b"}, "a2": {"user_id": "u1"}, "condition": "1 of a*"},
    {"a1": {"event_type": "a.b"}, "a2": {"user_id": "u1"}, "condition": "all of them"},
    {"a": {"event_type": "a.b"}, "_b": {"user_id": "u1"}, "condition": "1 of them and not _b"},
]


@pytest.mark.parametrize("detection", DETECTIONS, ids=str)
def test_the_same_records_match(table: sqlite3.Connection, detection: dict[str, Any]) -> None:
    made = rule(detection)
    collection = sigma.SigmaCollection.from_dicts([made])
    (query,) = sqlite.sqliteBackend(table="logs", collate_nocase=True).convert(collection)
    where = query.partition(" WHERE ")[2]
    theirs = {row[0] for row in table.execute(f"SELECT rowid FROM logs WHERE {where}")}
    alerts = [one for one in found(RECORDS, rule_set(made)) if one.rule == "r"]
    assert {one.seqs[0] for one in alerts} == theirs


A = rule(is_of({"event_type": "secret.read"}), "a")
B = rule(is_of({"event_type": ["user.deleted", "a.b"]}), "b")
CORRELATIONS: list[dict[str, Any]] = [
    {"type": "event_count", "rules": ["a"], "condition": {"gte": 3}},
    {"type": "event_count", "rules": ["a", "b"], "condition": {"gt": 4}},
    {"type": "value_count", "rules": ["a"], "condition": {"field": "fields.rows", "gte": 3}},
    {"type": "value_sum", "rules": ["a", "b"], "condition": {"field": "fields.rows", "gte": 150}},
]


@pytest.mark.parametrize("spec", CORRELATIONS, ids=str)
def test_the_same_windows_hold(table: sqlite3.Connection, spec: dict[str, Any]) -> None:
    """SQLite tells each record with which a window holds; we tell where it begins to."""
    made: dict[str, Any] = {"title": "C", "name": "c", "status": "test"}
    made["correlation"] = {**spec, "group-by": ["user_id"], "timespan": "2m"}
    rules = [one for one in (A, B) if one["name"] in spec["rules"]]
    theirs = ends_of(table, [*rules, made])
    types = [kind for one in rules for kind in types_of(one)]
    expected = []
    for user in ("u0", "u1", "u2", "u3"):
        before = False
        for seq, one in enumerate(RECORDS, 1):
            if one["user_id"] == user and one["event_type"] in types:
                holds = (user, seq) in theirs
                if holds and not before:
                    expected.append(seq)
                before = holds
    alerts = [one for one in found(RECORDS, rule_set(*rules, made)) if one.rule == "c"]
    assert [one.seqs[-1] for one in alerts] == sorted(expected)
    assert len(expected) > 5


@pytest.mark.parametrize("kind", ["temporal", "temporal_ordered"])
def test_the_first_time_that_both_came_is_the_same(table: sqlite3.Connection, kind: str) -> None:
    made: dict[str, Any] = {"title": "C", "name": "c", "status": "test"}
    made["correlation"] = {
        "type": kind,
        "rules": ["a", "b"],
        "group-by": ["user_id"],
        "timespan": "30s",
    }
    first: dict[str, int] = {}
    for user, seq in sorted(ends_of(table, [A, B, made]), key=lambda one: one[1]):
        first.setdefault(user, seq)
    ours: dict[str, int] = {}
    for alert in found(RECORDS, rule_set(A, B, made)):
        ours.setdefault(str(alert.group["user_id"]), alert.seqs[-1])
    assert ours == first
    assert len(first) == 4


def types_of(made: dict[str, Any]) -> list[str]:
    kinds = made["detection"]["selection"]["event_type"]
    return [kinds] if isinstance(kinds, str) else kinds


def ends_of(table: sqlite3.Connection, rules: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """Group and last record of each window that holds, by the backend."""
    backend = sqlite.sqliteBackend(
        table="logs", timestamp_field="ts", event_id_field="seq", collate_nocase=True
    )
    *_, query = backend.convert(sigma.SigmaCollection.from_dicts(rules))
    answer = table.execute(query)
    names = [column[0] for column in answer.description]
    rows = [dict(zip(names, row, strict=True)) for row in answer]
    return {
        (
            json.loads(row["group_keys"])["user_id"],
            max(int(one.partition(":")[2]) for one in json.loads(row["event_ids"])),
        )
        for row in rows
    }


def test_pysigma_takes_every_rule_of_the_package_that_is_sigma() -> None:
    texts = []
    for path in sorted({one.file for one in built_in().rules.values()}):
        from audit_emit._detection.loading import BUILT_IN

        texts += json.loads((BUILT_IN / path).read_text("utf-8"))
    plain = [one for one in texts if one["status"] != "unsupported"]
    collection = sigma.SigmaCollection.from_dicts(plain)
    collection.resolve_rule_references()
    assert not [one.errors for one in collection.rules if one.errors]
    assert len(collection.rules) == len(plain) > 15
