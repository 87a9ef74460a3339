"""A question finds the same records as its LogQL, whatever is in them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from support import confusable_records
from support.confusable_records import TS, Number, line
from support.logql_evaluator import parse

from audit_emit._loki.json_stage import value_at
from audit_emit._loki.labels import placement_of
from audit_emit._query.patterns import alike, checked, pattern
from audit_emit._query.question import ESCAPED, UNCHANGED, Question, Term

NS = 1779220800123456789


def record(event_type: str = "secret.set", **fields: Any) -> bytes:
    members = {"event_type": event_type, "user_id": "u-17", "workspace_id": "acme"}
    return line(TS, {**members, "correlation_id": "req-0001", "fields": fields}).encode()


def finds(question: Question, text: bytes) -> bool:
    """The same question as LogQL."""
    found = placement_of(text)
    if found is None:
        return False
    query = parse(question.logql())
    return query.selects(found.labels) and query.run(text.decode(), found.labels) is not None


def asked(*terms: str) -> Question:
    return Question(terms=tuple(map(Term.parse, terms)))


# The two ways to ask


HIDDEN = {"event_type": "secret.set", "fields": {"key": "STRIPE_LIVE_KEY"}}


@pytest.mark.thorough
@given(confusable_records.pairs())
@settings(max_examples=300, deadline=None)
@example((line(TS, HIDDEN, confusable_records.all_escaped), Question(changed="STRIPE_LIVE_KEY")))
def test_logql_finds_what_is_found_here(pair: tuple[str, Question]) -> None:
    shown, question = pair
    text = shown.encode()
    found = question.match(text) is not None
    if found:
        assert finds(question, text), question.logql()
        assert all(needle in text or ESCAPED in text for needle in question.needles())
    elif not question.unsaid():
        assert not finds(question, text), question.logql()


# Terms


@pytest.mark.parametrize(
    ("text", "path", "wanted", "differs"),
    [
        ("key=STRIPE_LIVE_KEY", ("fields", "key"), "STRIPE_LIVE_KEY", False),
        ("key=", ("fields", "key"), "", False),
        ("key==", ("fields", "key"), "=", False),
        ("key!=a=b", ("fields", "key"), "a=b", True),
        ("fields.a.b=1", ("fields", "a", "b"), "1", False),
        ("a.b=1", ("fields", "a", "b"), "1", False),
        ('fields["a.b"]=1', ("fields", "a.b"), "1", False),
        ('["a=b"].c=1', ("fields", "a=b", "c"), "1", False),
        ('["a\\"b"]=1', ("fields", 'a"b'), "1", False),
        ('["a"b"].c=1', ("fields", 'a"b', "c"), "1", False),
        ('["a\\"]b"]=1', ("fields", 'a"]b'), "1", False),
        ('["\\""]=1', ("fields", '"'), "1", False),
        (r'["a\\b"]=1', ("fields", "a\\b"), "1", False),
        (r'["a\b"]=1', ("fields", r"a\b"), "1", False),
        ('a"b=1', ("fields", 'a"b'), "1", False),
        ('fields.a"b".c!=1', ("fields", 'a"b"', "c"), "1", True),
        ("tags[0]=x", ("fields", "tags", 0), "x", False),
        ("tags[1].k=x", ("fields", "tags", 1, "k"), "x", False),
        ("service=api", ("service",), "api", False),
        ("fields.service=api", ("fields", "service"), "api", False),
        ("client-ip=::1", ("fields", "client-ip"), "::1", False),
        ("é=ü", ("fields", "é"), "ü", False),
        ("id=019ed0b1-7c00-7000", ("id",), "019ed0b1-7c00-7000", False),
    ],
)
def test_a_term_is_read(text: str, path: Any, wanted: str, differs: bool) -> None:
    assert Term.parse(text) == Term(path, wanted, differs)


@pytest.mark.parametrize(
    "text", ["key", "=x", "a..b=1", ".a=1", "a[x]=1", "a[0=1", "a!b", 'a["b=1', ""]
)
def test_what_is_no_term_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME=VALUE"):
        Term.parse(text)


@pytest.mark.parametrize("text", ["key=\udcff", "key=[z-a]"])
def test_a_value_that_cannot_be_compared_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"not Unicode|before it begins"):
        Term.parse(text)


VALUES = record(
    text='a"b\\c\n🔑',
    number=Number("1.10"),
    big=Number("18446744073709551616"),
    yes=Number("true"),
    nothing=Number("null"),
    empty="",
    list=["x", 'y"q', Number("1")],
    object={"p": "q", "a.b": {"c": "deep"}},
    half="x\ud800",
    replaced="no\ufffdchar",
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("text", 'a"b\\c\n🔑'),
        ("number", "1.10"),
        ("big", "18446744073709551616"),
        ("yes", "true"),
        ("nothing", ""),
        ("empty", ""),
        ("missing", ""),
        ("list", '["x","y"q",1]'),
        ("list[1]", 'y"q'),
        ("list[2]", "1"),
        ("list[3]", ""),
        ("list.x", ""),
        ("object", '{"p":"q","a.b":{"c":"deep"}}'),
        ("object.p", "q"),
        ('object["a.b"].c', "deep"),
        ("object[0]", ""),
        ("text.x", ""),
        ("half", ""),
        ("replaced", "no char"),
        ("user_id", "u-17"),
    ],
)
def test_a_value_is_the_text_that_loki_makes_of_it(path: str, value: str) -> None:
    assert value_at(VALUES, Term.parse(f"{path}=").path) == value


def test_half_a_pair_somewhere_else_hides_nothing() -> None:
    assert asked("text=*🔑", "list[0]=x").match(VALUES)


@pytest.mark.parametrize(
    ("value", "wanted", "same"),
    [
        ("a*", "a*", True),
        ("ab", "a*", True),
        ("[ab]", "[ab]", True),
        ("a", "[ab]", True),
        ("c", "[!ab]", True),
        ("]", "[]]", True),
        ("-", "[a-]", True),
        ("b", "[a-c]", True),
        ("a\nb", "a?b", True),
        ("a.b", "a.b", True),
        ("axb", "a.b", False),
        ("A", "a", False),
        ("ab", "a", False),
        ("[", "[", True),
        ("", "*", True),
        ("", "?", False),
    ],
)
def test_a_wanted_text_is_literal_or_a_pattern(value: str, wanted: str, same: bool) -> None:
    assert alike(value, wanted) is same
    assert (re.fullmatch(pattern(wanted), value, re.DOTALL) is not None) is same


# Questions


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (Question(), True),
        (Question(types=("secret.*", "auth.*")), True),
        (Question(types=("secret",)), False),
        (Question(actor="u-*", workspace="acme", correlation="req-0001"), True),
        (Question(actor="u-1"), False),
        (Question(workspace="ACME"), False),
        (asked("key=A", "operation!=set"), True),
        (asked("key=A", "operation!=rotate"), False),
        (asked("key=A", "key=B"), False),
        (Question(since=NS), True),
        (Question(since=NS + 1), False),
        (Question(until=NS), False),
        (Question(until=NS + 1), True),
    ],
)
def test_which_record_answers(question: Question, found: bool) -> None:
    text = record(key="A", operation="rotate")
    assert (question.match(text) is not None) is found
    if question.since is question.until is None:
        assert finds(question, text) is found


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not json",
        b"[1]",
        b'{"event_type":"secret.set"}',
        record(key="A")[:-1],
        b'{"ts":"yesterday","event_type":"secret.set"}',
    ],
)
def test_what_is_no_record_answers_nothing(text: bytes) -> None:
    assert Question().match(text) is None


def test_an_ill_formed_type_is_the_type_other_as_in_loki() -> None:
    text = record("Secret Set!")
    assert Question(types=("other",)).match(text)
    assert not Question(types=("Secret*",)).match(text)


@pytest.mark.parametrize(
    "event_type",
    [
        *("secret.set", "secret.rotate", "secret.rotated", "secret.delete", "secret.deleted"),
        *("secret.purged", "secret.version.disable", "secret.rotate_started"),
    ],
)
def test_what_changed_a_secret(event_type: str) -> None:
    question = Question(changed="A")
    text = record(event_type, key="A")
    assert question.match(text)
    assert finds(question, text)
    assert not question.match(record(event_type, key="B"))


@pytest.mark.parametrize("verb", [*UNCHANGED, "rotation_failed", "version.read"])
def test_what_did_not_change_it(verb: str) -> None:
    question = Question(changed="A")
    text = record(f"secret.{verb}", key="A")
    assert not question.match(text)
    assert not finds(question, text)


@pytest.mark.parametrize(
    ("event_type", "outcome", "found"),
    [
        ("secret.set", "denied", False),
        ("secret.set", "success", True),
        ("secret.set", "failure", True),
        ("token.set", "success", False),
    ],
)
def test_a_change_that_was_denied_is_none(event_type: str, outcome: str, found: bool) -> None:
    question = Question(changed="A")
    text = record(event_type, key="A", outcome=outcome)
    assert (question.match(text) is not None) is found
    assert finds(question, text) is found


# LogQL


def test_a_whole_question_as_logql() -> None:
    question = Question(
        types=("secret.*", "auth.login"),
        terms=(Term.parse("service=api"), Term.parse('a["b.c"]!=x`"\\\n'), Term.parse("n=1?")),
        actor="u-17",
    )
    assert question.logql().split("\n  ") == [
        r'{job="audit", service="api", event_type=~"secret\\..*|auth\\.login"}',
        r'|= "u-17" or "\\u00"',
        r'| json record_user_id="user_id", fields_a_b_c="fields.a[\"b.c\"]", fields_n="fields.n"',
        '| __error__=""',
        '| record_user_id="u-17"',
        r'| fields_a_b_c!="x`\"\\\u000a"',
        '| fields_n=~"(?s)1."',
    ]


def test_two_paths_never_share_a_label() -> None:
    query = asked("a.b=1", 'fields["a.b"]=2', "a.b=1*").logql()
    assert 'fields_a_b="fields.a.b", fields_a_b_2="fields[\\"a.b\\"]"\n' in query
    assert query.endswith('| fields_a_b="1"\n  | fields_a_b_2="2"\n  | fields_a_b=~"(?s)1.*"')


def test_a_question_of_types_only_needs_no_parser() -> None:
    assert Question(types=("auth.login",)).logql() == '{job="audit", event_type="auth.login"}'


def test_what_logql_cannot_say_is_known() -> None:
    question = asked('fields["c]d"]=x', "key=A")
    assert [term.path[-1] for term in question.unsaid()] == ["c]d"]
    assert "c]d" not in question.logql()


@pytest.mark.parametrize(
    ("question", "needles"),
    [
        (asked("key=STRIPE_LIVE_KEY"), [b"STRIPE_LIVE_KEY"]),
        (asked("key!=STRIPE_LIVE_KEY"), []),
        (asked("key=a/longer\\part"), [b"longer"]),
        (asked("key=*_LIVE_[AB]*x"), [b"_LIVE_"]),
        (asked("key=é", "key=", "key=1"), []),
        (Question(types=("secret.set",)), [b"secret.set"]),
        (Question(types=("secret.*",)), [b"secret."]),
        (Question(types=("*",)), []),
        (Question(types=("a.b", "c.d")), []),
        (Question(actor="u-17", changed="K?Y"), [b"u-17", b"secret."]),
    ],
)
def test_what_is_looked_for_before_anything_is_parsed(
    question: Question, needles: list[bytes]
) -> None:
    assert question.needles() == needles


@pytest.mark.parametrize(
    ("wanted", "value"), [("*a" * 16, "a" * 30 + "b"), ("*?a" * 12 + "c", "a" * 40)]
)
def test_a_pattern_with_many_stars_is_decided_at_once(wanted: str, value: str) -> None:
    # Going back at each star would take years.
    assert not alike(value, wanted)
    assert checked(wanted) == wanted


def test_a_quoted_name_without_an_end_is_refused_at_once() -> None:
    # Trying both meanings of each backslash would take days.
    with pytest.raises(ValueError, match="NAME=VALUE"):
        Term.parse('fields["' + "\\" * 60)


@pytest.mark.parametrize(
    ("wanted", "value", "answer"),
    [
        ("a*b*c", "axbxbxc", True),
        ("*ab*", "aab", True),
        ("a**b", "ab", True),
        ("a*a", "a", False),
        ("*[ab]?", "xxa", False),
        ("*[ab]?", "xxab", True),
        ("*", "", True),
        ("*.set", "a.set.set", True),
    ],
)
def test_stars_match_as_a_shell_has_it(wanted: str, value: str, answer: bool) -> None:
    assert alike(value, wanted) is answer


def test_columns_do_not_leave_out_what_an_actor_is_otherwise() -> None:
    """The rows of a person have the pseudonym in the column."""
    question = Question(types=("a.b",), actor="u-17")
    assert question.columns() == {"event_type": "a.b", "user_id": "u-17"}
    assert question.is_of_columns()
    sealed = question._replace(pseudonym="p-0123456789abcdef01234567")
    assert sealed.columns() == {"event_type": "a.b"}
    assert not sealed.is_of_columns()
