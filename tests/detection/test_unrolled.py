from __future__ import annotations

import json
from pathlib import Path

from audit_emit._detection.engine import Engine
from audit_emit._detection.loading import built_in, rules_in
from audit_emit._detection.unrolled import Text, _compiled, function
from audit_emit._detection.values import getter

HOSTILE = "x\"'):\n  raise SystemExit\n#\\"


def rule(name: str, detection: dict[str, object]) -> dict[str, object]:
    return {
        "title": name,
        "name": name,
        "level": "low",
        "status": "test",
        "logsource": {"product": "audit_emit"},
        "detection": detection,
    }


def test_what_a_function_refers_to_is_a_value_and_no_part_of_its_text() -> None:
    made = function("def made(record):", ["  return record == name0"], {"name0": HOSTILE})
    assert made(HOSTILE)
    assert not made("x")


def test_a_text_is_compiled_once_whatever_it_refers_to() -> None:
    """Whoever writes another type in every line has nothing compiled for it."""
    before = _compiled.cache_info().misses
    one, other = (function("def made(odd):", ["  return name0"], {"name0": n}) for n in (1, 2))
    assert _compiled.cache_info().misses == before + 1
    assert one.__code__ is not other.__code__
    assert (one(None), other(None)) == (1, 2)


def test_what_is_written_out_reads_what_a_getter_does() -> None:
    inner = {"": 1, "b": {"": 2, "c": 3}, "b.c": 4}
    record = {"": inner, "a": inner, "a.": 5, "a.b": 6, "x": [inner], ".": 7, "seq": 8}
    for name in ("", "a", "a.", ".", ".b", "a.b", "a.b.", "a.b.c", "a..", "x.b", "seq", "no.b"):
        text = Text({})
        returned = f"  return {text.field(name)}"
        made = function("def made(record):", [*text.reading(), returned], text.values)
        assert made(record) == getter(name)(record), name


def test_names_and_texts_of_a_rule_are_compared_and_not_run(tmp_path: Path) -> None:
    selection = {HOSTILE: HOSTILE, "user_id": ["u-1", "u-2"], "actor_kind": None}
    rules = [rule("odd", {"s": selection, "n": {"service": HOSTILE}, "condition": "s and not n"})]
    (tmp_path / "odd.json").write_text(json.dumps(rules))
    engine = Engine(rules_in(tmp_path))
    base = {"ts": "2026-05-19T20:00:01.123456790Z", "event_type": "a.b", "seq": 1}
    hit = {**base, "user_id": "U-1", HOSTILE: HOSTILE.upper()}
    misses = [
        {**hit, "user_id": "u-3"},
        {**hit, "user_id": 1},
        {**hit, "user_id": None},
        {**hit, "service": HOSTILE},
        {**hit, "actor_kind": ""},
        base,
    ]
    lists = {**hit, "user_id": ["u-3", "u-2"], "service": [[HOSTILE], {}]}
    found = [
        len(engine.feed([json.dumps(one, separators=(",", ":")).encode()]))
        for one in (hit, lists, *misses)
    ]
    assert found == [1, 1, *[0] * len(misses)]


def test_types_about_which_the_same_is_asked_share_one_function() -> None:
    """Types, and so the memory for them, are chosen by whoever causes records."""
    engine = Engine(built_in())
    plans = {id(engine._plan(f"invented.{number}")) for number in range(50)}
    assert len(plans) == 1
    assert engine._plan("auth.login") is not engine._plan("invented.1")
