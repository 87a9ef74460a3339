"""What rules do not ask for is not made of a line, and nothing is lost by that."""

from __future__ import annotations

import pytest
from support.anomalous_log import found, lines, record, rule_set

from audit_emit._detection.decoding import UNDECODED, decoding, slots, whole
from audit_emit._detection.values import getter

NAMES = frozenset({"user_id", "fields.a.b", "service.x"})


def test_only_what_is_named_and_the_place_are_made() -> None:
    (line,) = lines([record("x.y", a={"b": 1, "c": [2]}, other="z")])
    decoded = decoding(NAMES)(line)
    assert set(decoded) == {"user_id", "fields", "service", "ts", "seq"}
    assert decoded["fields"] == {"a": {"b": 1, "c": [2]}}


def test_a_rule_about_the_fields_as_such_has_all_of_them() -> None:
    (line,) = lines([record("x.y", a=1, b=2)])
    assert decoding(frozenset({"fields", "fields.a"}))(line)["fields"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("name", ["größe", "fields.größe", "fields.größe.key", "größe.key"])
def test_a_name_beyond_ascii_is_found(name: str) -> None:
    line = '{"größe":{"key":1},"fields":{"größe":{"key":2},"":3},"":4}'.encode()
    get = getter(name)
    assert get(decoding(frozenset({name}))(line)) == get(whole(line) or {}) is not None


@pytest.mark.parametrize("fields", [None, 7, ["a"], "a"])
def test_a_record_whose_fields_are_no_object_is_read_whole(fields: object) -> None:
    (line,) = lines([record("x.y", fields=fields)])
    with pytest.raises(UNDECODED):
        decoding(NAMES)(line)
    assert (whole(line) or {})["fields"] == fields


def test_a_rule_finds_such_a_record_by_its_other_members() -> None:
    rules = rule_set(
        {
            "title": "A",
            "name": "a",
            "detection": {"s": {"user_id": "u", "fields.key": None}, "condition": "s"},
        }
    )
    own: tuple[object, ...] = ({}, [], "key", {"key": 1})
    odd = [record("x.y", fields=one) for one in own]
    assert [one.seqs for one in found(odd, rules)] == [(1,), (2,), (3,)]


def test_a_keyword_is_looked_for_in_every_member() -> None:
    words = {"title": "A", "name": "a", "detection": {"w": ["needle"], "condition": "w"}}
    assert len(found([record("x.y", workspace_id="a needle"), record("x.y")], rule_set(words))) == 1


ODD = [
    *("{}", "{", "[]", "null", '{"user_id":1,"user_id":"u"}', '{"fields":{},"fields":{"key":1}}'),
    *('{"fields":{"key":{"a":1}},"user_id":["u"]}', '{"fields":{"key":null}}', '{"fields":null}'),
    *('{"user\\u005fid":"u"}', '{"user_id":"\\ud800"}', '{"seq":1e999,"ts":true}'),
    *('{"own":1,"field2":"x","fields.key":3}', '{"USER_ID":"u","fields":{"KEY":1}}'),
]


def test_attributes_hold_what_a_mapping_does() -> None:
    """The two ways of reading a line, of which the second one is for lines that are unusual."""
    fields = {"seq": "seq", "ts": "ts", "user_id": "field2", "fields.key": "field3"}
    by_attributes, by_mapping = slots(tuple(fields.items())), decoding(frozenset(fields))
    assert by_attributes is not None
    for text in ODD:
        line = text.encode()
        found: list[object] = []
        for decode in (by_attributes, by_mapping):
            try:
                found.append(decode(line))
            except UNDECODED as error:
                found.append(type(error))
        one, other = found
        if isinstance(one, type):
            assert one is other, text
            continue
        assert isinstance(other, dict)
        here = [getattr(one, name) for name in ("seq", "ts", "field2")]
        assert repr(here) == repr([other.get(name) for name in ("seq", "ts", "user_id")]), text
        assert one.own.field3 == other.get("fields", {}).get("key"), text  # type: ignore[attr-defined]


def test_names_that_no_attribute_can_have_are_read_into_a_mapping() -> None:
    for names in (["größe"], ["a b"], ["a.b"], ["fields", "fields.key"], ["fields.a.b"]):
        assert slots(tuple((name, f"field{n}") for n, name in enumerate(names))) is None, names
