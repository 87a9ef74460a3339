# ruff: noqa: RUF001 - letters that look like others are what is tested
"""The quick way of plain values against the full one, compiled and in Python."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import difficult_values
from support.counted_calls import calls_of
from support.for_each import for_each

from audit_emit._fields import verdicts as _verdicts
from audit_emit._fields.normaliser import Normaliser
from audit_emit._fields.plain import Plain
from audit_emit._fields.plain_copy import MAX_DEPTH
from audit_emit._format import encode
from audit_emit._redaction.grammar import GRAMMAR
from audit_emit._redaction.redactor import Redactor
from audit_emit._redaction.rules import RULES
from audit_emit._runtime import compiled as _compiled

WAYS = ["interpreted", *(["compiled"] if _compiled.state == "compiled" else [])]
KEY = b"k" * 32


def made(way: str, **settings: Any) -> Plain:
    return Plain(Redactor(KEY, **settings), _compiled.encoder if way == "compiled" else None)


PLAIN = {way: made(way) for way in WAYS}
FULL = Normaliser(Redactor(KEY))


def full(fields: Any, secret_event: bool = False) -> tuple[str, int]:
    done = FULL.full("secret.set" if secret_event else "a.b", fields)
    return encode.to_json(done.value), done.redacted


@pytest.fixture(params=WAYS)
def plain(request: pytest.FixtureRequest) -> Plain:
    return made(request.param)


# One value after the other

SHOWN = [
    {},
    {"n": 1, "ok": True, "none": None, "ms": 1.25, "text": "x", "big": 10**11, "minus": -7},
    {"a": {"b": {"c": [1, [2, ("x", 3.5)], {}]}}, "e": [], "t": ()},
    {"tags": ["read", "write"], "pair": ["team", "business"]},
    {"quote": 'a "b"', "control": "a\x01b\x7fc", "tab": "a\tb"},
    {"name": "Jürgen Größmann", "city": "Kraków", "file": "請求書", "mood": "all well 🙂"},
    {"dots": "and so on…", "quoted": "“yes”", "price": "20 €"},
    {"line": "first\nsecond"},
    {"old": "viewer", "new": "admin"},
    {"field": "role", "old_value": 1, "new_value": 2},
    {"key": "ANTHROPIC_API_KEY", "scope": "workspace"},
    {"id": "0190f6f5-6d3a-7c44-9d0e-7a1f0c2b3d4e", "digest": "0123456789abcdef" * 4},
    {"id": uuid.UUID(int=7), "at": dt.datetime(2026, 5, 19, tzinfo=dt.UTC), "day": dt.date.min},
    {"ms": 1_780_000_000_123, "ns": 2**53 + 1, "far": 1e300, "tiny": 5e-324},
    {"ts": "2026-05-19T20:00:00.123456Z", "due": "2026-05-19 20:00:00+00:00"},
    {"url": "https://app.example.com/x?page=2&sort=name", "mail": "a.b@example.com"},
    {"agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
]


@for_each("fields", SHOWN)
def test_what_is_harmless_is_shown_as_on_the_full_way(fields: Any, plain: Plain) -> None:
    assert plain.encode(fields, False) == full(fields)
    assert plain.encode(fields, False) == full(fields)  # now that all is known


LEFT: list[Any] = [
    None,
    [],
    "x",
    difficult_values.StrSub("x"),
    {1: "x"},
    {difficult_values.StrSub("a"): 1},
    {difficult_values.LyingStr("password"): "hunter2"},
    {"a": difficult_values.StrSub("x")},
    {"a": difficult_values.IntSub(1)},
    {"a": b"x"},
    {"a": {"x"}},
    {"a": 4111111111111111},
    {"a": 4111111111111111.0},
    {"a": "password=hunter2"},
    {"a": "ｐａｓｓｗｏｒｄ=hunter2"},
    {"a": "pa\u0131ss password：hunter2"},
    {"a": "password%3Dhunter2"},
    {"a": "PASSWORD\\u003dhunter2"},
    {"a": "pass\u200bword=hunter2"},
    {"a": "пароль=hunter2"},
    {"a": "ПАРОЛЬ: hunter2"},
    {"a": '{"password": "hunter2"}'},
    {"a": '\ufeff [{"password": "hunter2"}]'},
    {"a": "postgres://u:hunter2@h/d"},
    {"a": "-----BEGIN PRIVATE KEY-----\nMIIE"},
    {"name": "password", "value": "hunter2"},
    {"a": {"kind": "Secret", "stringData": {"user": "hunter2"}}},
    {"field": "ｐａｓｓｗｏｒｄ", "new": "hunter2"},
    {"a": [["password", "hunter2"]]},
    {"a": ("token", "hunter2")},
    {"argv": ["run", "--password", "hunter2"]},
    {"argv": ["curl", "-u", "bob:hunter2"]},
    {"argv": ["mysql", "-phunter2"]},
    {"kty": "oct", "k": "hunter2"},
    {"netloc": "bob:hunter2@host"},
    {"password": ["hunter2"]},
    {"_cut": 1},
    {"workspace_id": "w"},
    {"a": "x" * 5000},
    {"a" * 65: 1},
    {"a": [0] * 257},
    {f"n{n}": n for n in range(257)},
]


@for_each("fields", LEFT)
def test_what_wants_a_closer_look_takes_the_full_way(fields: Any, plain: Plain) -> None:
    assert plain.encode(fields, False) is None


IN_TEXTS: list[Any] = [
    {"note": "4111 1111 1111 1111"},
    {"note": "paid with ４１１１１１１１１１１１１１１１ “today”"},
    {"note": "he set password=hunter2 in a sentence", "n": 1},
    {"note": "password%3Dhunter2\n\x7f", "at": {"more": "пароль=hunter2"}},
    {"note": "postgres://u:hunter2@h/d", "password": "other-x"},
    {"one": "password=hunter2", "two": "password=hunter2"},
]


@for_each("fields", IN_TEXTS)
def test_what_is_secret_in_a_text_is_held_back_as_on_the_full_way(
    fields: Any, plain: Plain
) -> None:
    done = plain.encode(fields, False)
    assert done == full(fields)
    assert done is not None
    assert done[1] > 0


@for_each("elsewhere", ["x aB3dE6gH9", 'aB3dE6gH9"', {"aB3dE6gH9": 1}, [["aB3dE6gH9"]]])
def test_a_secret_of_a_text_that_is_elsewhere_takes_the_full_way(
    elsewhere: Any, plain: Plain
) -> None:
    for text in ("password=aB3dE6gH9", "postgres://u:aB3dE6gH9@host/d"):
        assert plain.encode({"note": text, "more": elsewhere}, False) is None


def test_what_a_text_with_a_secret_says_of_others_is_for_the_full_way(plain: Plain) -> None:
    hashes = [text for rule, text in EXAMPLES if rule == "password-hash-by-name"]
    assert any(text.endswith("=") for text in hashes)  # as the name of what follows does
    for text in (*hashes, "--password=x", "-u bob:hunter2"):
        for fields in ({"a": [text, "x"]}, {"more": {"old": "x", "note": text}}):
            assert plain.encode(fields, False) in (None, full(fields))


def test_texts_with_secrets_are_bounded_as_on_the_full_way(plain: Plain) -> None:
    for size in (100, 1000, 2700, 4000):
        for count in (1, 3, 5, 17):
            texts = {f"text{at}": "password=hunter2 " + "x " * (size // 2) for at in range(count)}
            done = plain.encode(texts, False)
            assert done in (None, full(texts))
            assert done is None or size * count <= 8192
    assert plain.encode({"one": "password=hunter2", "two": "x " * 2000}, False) is not None


def test_a_text_that_what_stands_in_it_makes_too_long_takes_the_full_way(plain: Plain) -> None:
    fields = {"note": "\x01" * 1360 + " password=hunter2"}
    assert "_cut" in full(fields)[0]
    assert plain.encode(fields, False) is None


def test_a_value_is_held_back_by_its_name(plain: Plain) -> None:
    fields = {"user": "u-17", "password": "hunter2", "old": {"apiToken": "x"}}
    done = plain.encode(fields, False)
    assert done == full(fields)
    assert done is not None
    assert done[1] == 2
    assert "hunter2" not in done[0]


def test_several_values_are_held_back_each_in_its_place(plain: Plain) -> None:
    fields = {f"password{at}": f"hunter{at}2é" for at in range(8)}
    assert plain.encode({"first": 1, **fields, "last": "ü"}, False) == full(
        {"first": 1, **fields, "last": "ü"}
    )
    more = {**fields, "password8": "hunter82", "password9": "hunter92"}
    assert plain.encode(more, False) in (None, full(more))


def test_what_is_held_back_already_stays_as_it_is(plain: Plain) -> None:
    fields = {"password": plain.known.redactor.held_back("hunter2")}
    assert plain.encode(fields, False) == full(fields)


def test_a_name_may_be_secret_in_events_about_secrets_only(plain: Plain) -> None:
    assert plain.encode({"value": "x"}, False) == ('{"value":"x"}', 0)
    assert plain.encode({"value": "x"}, True) == full({"value": "x"}, True)
    assert plain.encode({"value": "x"}, True) != plain.encode({"value": "x"}, False)


@pytest.mark.parametrize("way", WAYS)
def test_a_users_names_are_those_of_secrets(way: str) -> None:
    plain = made(way, secret_keys=["shoe_size", "x"], safe_keys=["password"])
    assert plain.encode({"password": "y"}, False) == ('{"password":"y"}', 0)
    assert plain.encode({"shoeSize": 4}, False) is None
    for note in ("shoe_size=4", "X: 4"):
        done = plain.encode({"note": note}, False)
        assert done is not None
        assert done[1] == 1
        assert "4" not in done[0].replace(plain.known.redactor.held_back("4"), "")


def test_texts_that_are_remembered_are_bounded_and_short() -> None:
    plain = made("interpreted")
    plain.encode({"a": "x" * 300, "b": "quiet", "c": "API_KEY"}, False)
    assert plain.known.quiet == {"quiet"}
    for number in range(2000):
        plain.encode({"a": f"text {number}"}, False)
    assert len(plain.known.quiet) <= 512


@for_each("secret_event", [False, True])
def test_a_text_with_a_keyword_is_looked_at_once(secret_event: bool, plain: Plain) -> None:
    plain.encode({"note": "a password reset was requested by nobody"}, secret_event)
    fields = {"note": "a password reset was requested by the user"}
    first, second = (calls_of(lambda: plain.encode(fields, secret_event)) for _ in range(2))
    assert second < first / 4
    assert plain.encode(fields, secret_event) == full(fields, secret_event)
    for number in range(1000):
        plain.encode({"note": f"password reset {number}"}, secret_event)
    assert all(len(shown) <= 512 for shown in plain.known.shown)


def test_a_text_is_looked_at_again_in_an_event_about_a_secret(plain: Plain) -> None:
    fields = {"note": "plaintext: hunter2", "tab": "the key: none"}
    for secret_event in (False, True, False, True):
        done = plain.encode(fields, secret_event)
        assert done == full(fields, secret_event)
        assert done[1] == secret_event


def test_a_container_within_itself_takes_the_full_way(plain: Plain) -> None:
    fields: dict[str, Any] = {}
    fields["again"] = [fields]
    assert plain.encode(fields, False) is None


def test_what_is_deeper_than_usual_takes_the_full_way(plain: Plain) -> None:
    deep: Any = "x"
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    assert plain.encode(deep, False) == full(deep)
    assert plain.encode({"a": [[deep]]}, False) is None


def test_a_dict_that_was_large_is_not_walked_over(plain: Plain) -> None:
    sparse: dict[Any, Any] = dict.fromkeys(range(5000))
    for number in range(5000):
        del sparse[number]
    sparse["key"] = "k"
    assert plain.encode(sparse, False) is None
    assert plain.encode({"a": sparse}, False) is None


def test_a_container_that_is_changed_meanwhile_is_read_as_it_was(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: dict[str, Any] = {"first": uuid.UUID(int=1), "list": [uuid.UUID(int=2), "b"], "last": 1}
    expected = full(fields)

    def change(value: uuid.UUID) -> str:
        fields.clear()
        fields.update(dict.fromkeys(map(str, range(1000))))
        return f"00000000-0000-0000-0000-{value.int:012}"

    monkeypatch.setattr(_verdicts, "_text_maker", lambda _: change)
    inner = fields["list"]
    assert plain.encode(fields, False) == expected
    assert inner == [uuid.UUID(int=2), "b"]


def test_what_a_foreign_exception_says_passes_through(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(_verdicts, "_text_maker", lambda _: interrupt)
    with pytest.raises(KeyboardInterrupt):
        plain.encode({"a": [uuid.UUID(int=1)]}, False)


# Every rule

ALL: tuple[Any, ...] = (*RULES, *GRAMMAR)
EXAMPLES = [(rule.id, text) for rule in ALL for text in rule.examples]


@for_each("rule, text", EXAMPLES)
def test_no_example_of_a_rule_is_shown(rule: str, text: str, plain: Plain) -> None:
    for fields in ({"note": text}, {"a": {"b": [1, f"sent {text} today"]}}, {"ü": f"«{text}» ü"}):
        done = plain.encode(fields, False)
        assert done is None or done == full(fields)
        assert done is None or done[1]


# Anything

_KEYWORDS = [word for rule in ALL for word in rule.keywords]
_PARTS = [*_KEYWORDS, *"hv9Q~-_.s:=a1 '\n", "zz" * 10]
TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(
        "aeiknoprstwxyzAEP0123456789 -_.:=/@'\"<>(){}[]%&\\\n\tüñßıſК密码пароль＝：", max_size=40
    ),
    st.lists(st.sampled_from([*_KEYWORDS, *"hv9Q~-_.s:=a1 '\n", "zz" * 10]), max_size=6).map(
        "".join
    ),
    st.sampled_from([text for _, text in EXAMPLES]),
    st.sampled_from(
        ["password", "Token", "-p", "Secret", "kty", "パスワード", "ＡＰＩ key", "\ud800"]
    ),
    st.from_regex(r"[0-9 ./+\-]{10,24}", fullmatch=True),
    st.uuids().map(str),
)
SCALARS = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**11, 10**20),
    st.floats(),
    st.datetimes(),
    st.uuids(),
    st.binary(max_size=4),
)
NAMES = st.one_of(
    st.sampled_from(
        "key name note value old new data to kind type field password apiToken pin stringData kty k"
        " workspace_id _cut a:b é netloc count".split()
    ),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(NAMES, inner, max_size=4),
    ),
    max_leaves=10,
)


def test_json_that_somebody_gives_is_not_written_as_it_is(plain: Plain) -> None:
    given = msgspec.Raw(b'1},"seq":9,"x":{"password":"a"')
    assert plain.encode({"x": given, "password": "y"}, False) is None
    assert plain.encode({"x": [given]}, False) is None


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
@given(fields=st.dictionaries(NAMES, VALUES, max_size=4), secret_event=st.booleans())
@settings(deadline=None, max_examples=300)
def test_the_quick_way_says_what_the_full_way_says(
    way: str, fields: dict[str, Any], secret_event: bool
) -> None:
    done = PLAIN[way].encode(fields, secret_event)
    assert done is None or done == full(fields, secret_event)


@pytest.mark.thorough
@pytest.mark.skipif(_compiled.encoder is None, reason="no compiled part")
@given(text=TEXTS.filter(str.isascii))
@settings(deadline=None, max_examples=500)
def test_the_tables_pass_over_no_text_that_the_rules_want_to_see(text: str) -> None:
    plain = PLAIN["compiled"]
    assert plain.encode_plain is not None
    if type(plain.encode_plain({"action": text}, {"action": 1}, None)) is str:
        assert not plain.known.redactor.suspicious(text)


PARTS = ["a", '"', "\\", "\x01", "\x7f", "é", "漢", "🙂", "x\ny", " token of it "]


@pytest.mark.parametrize("way", WAYS)
@given(
    parts=st.lists(st.tuples(st.sampled_from(PARTS), st.integers(1, 4200)), min_size=1, max_size=3)
)
@settings(deadline=None, max_examples=60)
def test_the_quick_way_keeps_as_much_of_a_text_as_the_full_way(
    way: str, parts: list[tuple[str, int]]
) -> None:
    fields = {"note": "".join(part * times for part, times in parts)}
    done = PLAIN[way].encode(fields, False)
    assert done is None or done == full(fields)


@for_each("part", ["漢", "\x01", "🙂", '"'])
def test_the_quick_way_leaves_a_text_that_is_too_long_in_json(part: str, plain: Plain) -> None:
    fits = 8192 // (len(encode.text(part).encode()) - 2)
    assert plain.encode({"note": part * (fits + 1)}, False) is None


def test_the_bound_of_the_quick_way_is_one_of_bytes(plain: Plain) -> None:
    assert plain.encode({f"x{at}": "😀" * 1100 for at in range(3)}, False) is not None
    assert plain.encode({f"x{at}": "😀" * 1100 for at in range(4)}, False) is None


@pytest.mark.skipif(_compiled.encoder is None, reason="no compiled part")
def test_the_tables_let_nothing_pass_that_a_rule_finds() -> None:
    redactor = Redactor(KEY)
    Plain(redactor, _compiled.encoder)
    passes = redactor.engine.passes
    assert passes is not None
    assert passes("an ordinary sentence, 17 of them")
    examples = [rule.examples for rule in RULES] + [rule.examples for rule in GRAMMAR]
    assert [one for some in examples for one in some if passes(one)] == []
