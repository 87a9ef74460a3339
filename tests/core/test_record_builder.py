from __future__ import annotations

import enum
import json
from hashlib import sha256
from typing import Any

import pytest
import structlog
from support.five_records import LINES, RECORDS

from audit_emit import AuditContext, Secret
from audit_emit._core.record_builder import RecordBuilder
from audit_emit._format.record import chain_line, make_stamp, ns_of
from audit_emit._runtime.failure import Counters
from audit_emit._settings.settings import settings
from audit_emit._stores.base import Part

CANARY = "CANARY-" + "9b2f6d1c44e0"
ID = "019ed0b1-7c00-7000-8000-000000000001"


def cut(identity: str) -> str:
    """A long identity as it is recorded: two that begin alike stay two."""
    return f"{identity[:239]}~{sha256(identity.encode()).hexdigest()[:16]}"


def composer(**given: Any) -> RecordBuilder:
    return RecordBuilder(settings({"jsonl": "off", **given}, {}), Counters())


def record(made: RecordBuilder, ctx: Any, event_type: Any, fields: Any = None) -> dict[str, Any]:
    part, end = made.compose(ctx, event_type, fields)
    found: dict[str, Any] = json.loads(f'{{"ts":"2026-05-19T20:00:00.000000000{part}{ID}{end}}}')
    return found


# The same values as Python has them, for the vectors that a caller can make.
GIVEN: dict[int, tuple[str, Any]] = {
    1: ("secret.set", RECORDS[1]["fields"]),
    2: ("secret.delete", {**RECORDS[2]["fields"], "note": "Zürich \u202e\u009b王"}),
    3: (
        "secret.set",
        {"key": "DB_URL", "value": CANARY, "big": 2**80, "n": 1.5, "list": [1, True, None, "x"]},
    ),
    4: ("secret.set", None),
}


def whole(parts: dict[str, Any], part: Part, end: str) -> bytes:
    assert isinstance(part, str)
    digits = str(ns_of(parts["ts"]))
    head = make_stamp(digits, "7000-8000").head + digits[10:]
    prefix = f"{head}{part}{parts['id']}{end}"
    return chain_line(prefix, parts["chain"], parts["seq"], parts["prev_hash"])[0].encode()


@pytest.mark.parametrize("index", GIVEN)
def test_the_vectors_come_out_byte_for_byte(index: int) -> None:
    parts = RECORDS[index]
    names = ("workspace_id", "user_id", "actor_kind", "correlation_id", "trace_id", "span_id")
    ctx = AuditContext(**{name: parts[name] for name in names if name in parts})
    part, end = composer(service="secrets-api").compose(ctx, *GIVEN[index])
    assert whole(parts, part, end) == LINES[index]


def test_the_record_of_the_emitter_comes_out_byte_for_byte() -> None:
    part, end = composer(service="secrets-api").own("audit.started", RECORDS[0]["fields"])
    assert whole(RECORDS[0], part, end) == LINES[0]


# Identity


def test_the_actor_is_a_user_unless_said_otherwise() -> None:
    made = composer()
    assert record(made, AuditContext(), "a.b")["actor_kind"] == "user"
    for nothing in (None, "", "\u202e"):
        assert record(made, AuditContext(actor_kind=nothing), "a.b")["actor_kind"] == "user"


def test_workspace_in_fields_overrides_and_is_not_repeated() -> None:
    ctx = AuditContext("bound", "u")
    found = record(composer(), ctx, "a.b", {"workspace_id": "given", "key": "A"})
    assert (found["workspace_id"], found["user_id"]) == ("given", "u")
    assert found["fields"] == {"key": "A"}
    assert record(composer(), ctx, "a.b", {"key": "A"})["workspace_id"] == "bound"


@pytest.mark.parametrize(
    ("given", "recorded"),
    [("", ""), (None, ""), (7, "7"), ("x" * 300, cut("x" * 300)), (Secret(CANARY), "[redacted]")],
)
def test_any_workspace_in_fields_becomes_a_bounded_text(given: Any, recorded: str) -> None:
    found = record(composer(), AuditContext("bound"), "a.b", {"workspace_id": given})
    assert found["workspace_id"] == recorded
    assert found["fields"] == {}


@pytest.mark.parametrize(
    "name", ["user_id", "actor_kind", "correlation_id", "trace_id", "ts", "seq", "hash", "id"]
)
def test_nothing_else_in_fields_overrides_anything(name: str) -> None:
    made = composer()
    found = record(made, AuditContext("w", "u", "agent", "c"), "a.b", {name: "forged"})
    assert found["fields"] == {name: "forged"}
    del found["fields"]
    assert "forged" not in found.values()


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        (None, ""),
        (7, "7"),
        (True, "true"),
        ("x" * 1000, cut("x" * 1000)),
        ("4111111111111111", "4111111111111111"),
        (Secret(CANARY), "[redacted]"),
        ("a\ud800b", "a\ud800b"),
    ],
)
def test_any_identity_becomes_a_bounded_text(value: Any, recorded: str) -> None:
    assert record(composer(), AuditContext(user_id=value), "a.b")["user_id"] == recorded


@pytest.mark.parametrize(
    "value", [Hostile(), {"a": [1]}, b"\xff", float("nan"), object(), [[]] * 9]
)
def test_no_identity_fails(value: Any) -> None:
    found = record(composer(), AuditContext(value, value, value, value, value, value), "a.b")
    assert isinstance(found["user_id"], str)
    assert len(found["user_id"]) <= 256
    assert CANARY not in str(found)


def test_a_token_in_the_place_of_an_identity_is_held_back() -> None:
    token = "ghp_" + "A1b2" * 9
    assert token not in str(record(composer(), AuditContext(correlation_id=token), "a.b"))


@pytest.mark.parametrize("char", ["\u202e", "\x00", "\x7f", "\ud800", "😀", "ü", "a"])
def test_the_longest_identities_leave_room_for_a_stub(char: str) -> None:
    """Whatever an identity holds, the line without fields stays under 4096 bytes."""
    ids = dict.fromkeys(("workspace_id", "user_id", "correlation_id"), char * 300)
    made = composer(service="s" * 63)
    trace = {"trace_id": "f" * 32, "span_id": "f" * 16, "actor_kind": "k" * 32}
    part, end = made.compose(AuditContext(**ids, **trace), "e" * 128, None)
    prefix = f'{{"ts":"2026-05-19T20:00:00.000000000{part}{ID}{end}'
    line = chain_line(prefix, "f" * 16, 10**18, "f" * 64)[0].encode()
    assert len(line) + len('"_spilled":123456') <= 4096 - len("audit: ")


def test_what_is_kept_on_a_context_belongs_to_one_composer() -> None:
    ctx = AuditContext("w")
    first, second = composer(service="one"), composer(service="two")
    for _ in range(2):
        assert record(first, ctx, "a.b")["service"] == "one"
        assert record(second, ctx, "a.b")["service"] == "two"


# Event types


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Bad Type", "Bad Type"),
        ("audit.started", "audit.started"),
        ("audit: {}", "audit: {}"),
        ("", ""),
        ("a\nb", "a\nb"),
        (7, "7"),
        (None, "null"),
        (["a", 1], '["a",1]'),
        (True, "true"),
        ("x" * 1_000_000, "x" * 256),
    ],
)
def test_an_invalid_event_type_is_recorded_as_such(given: Any, shown: str) -> None:
    found = record(composer(), AuditContext("w"), given, {"key": "A"})
    assert found["event_type"] == "audit.invalid_event_type"
    assert found["fields"] == {"_event_type": shown, "key": "A"}
    assert found["workspace_id"] == "w"


def test_a_secret_in_the_place_of_an_event_type_is_held_back() -> None:
    token = "ghp_" + "A1b2" * 9
    assert token not in str(record(composer(), AuditContext(), token, None))
    assert token not in str(record(composer(), AuditContext(), f"secret set to {token}", None))


def test_values_of_an_invalid_type_are_secrets_in_case_it_was_about_one() -> None:
    found = record(composer(), AuditContext(), "Secret.Set", {"value": CANARY})
    assert found["fields"] == {"_event_type": "Secret.Set", "value": "[redacted]"}


def test_a_caller_cannot_say_what_the_event_type_was() -> None:
    found = record(composer(), AuditContext(), "Bad", {"_event_type": "forged"})
    assert found["fields"]["_event_type"] == "Bad"


def test_many_event_types_do_not_grow_without_bound() -> None:
    made = composer()
    for number in range(10_000):
        made.compose(AuditContext(), f"type{number}", None)
    assert len(made.kinds) <= 4096


# Counting


def test_cuts_and_held_back_values_are_counted() -> None:
    made = composer()
    made.compose(AuditContext(), "a.b", {"a": "x" * 9000, "b": "y" * 9000})
    made.compose(AuditContext(), "a.b", {"password": CANARY, "nested": {"token": CANARY}})
    assert made._counters.truncated == 1
    assert made._counters.redacted == 2


# Processors


def with_processors(*processors: Any) -> tuple[RecordBuilder, Counters]:
    counters = Counters()
    return RecordBuilder(
        settings({"jsonl": "off", "processors": processors}, {}), counters
    ), counters


def test_processors_see_what_structlog_gives_them() -> None:
    seen: list[Any] = []

    def look(logger: Any, method: str, event: Any) -> Any:
        seen.append((logger.name, method, event))
        return event

    made, _ = with_processors(look)
    record(made, AuditContext(), "a.b", {"key": "A"})
    assert seen == [("audit_emit", "info", {"event": "a.b", "key": "A"})]


def test_processors_of_structlog_work_in_their_order() -> None:
    made, _ = with_processors(
        structlog.stdlib.add_log_level,
        structlog.processors.EventRenamer("message"),
        lambda _logger, _method, event: {**event, "added": True},
    )
    fields = record(made, AuditContext(), "a.b", {"key": "A"})["fields"]
    assert fields == {"key": "A", "level": "info", "added": True}


def test_what_a_renamed_event_makes_room_for_is_a_field() -> None:
    made, _ = with_processors(structlog.processors.EventRenamer("msg", replace_by="_event"))
    fields = record(made, AuditContext(), "a.b", {"_event": "launch", "same": "a.b"})["fields"]
    assert fields == {"event": "launch", "same": "a.b"}


def test_an_event_that_a_processor_rewrites_is_no_field() -> None:
    made, _ = with_processors(lambda *args: {**args[2], "event": "A.B"})
    assert record(made, AuditContext(), "a.b", {"key": "A"})["fields"] == {"key": "A"}


def test_no_level_filters_an_audit_event() -> None:
    made, counters = with_processors(
        structlog.stdlib.filter_by_level, structlog.stdlib.add_logger_name
    )
    fields = record(made, AuditContext(), "a.b", {})["fields"]
    assert fields == {"logger": "audit_emit"}
    assert counters.processor_errors == 0


def test_the_place_of_a_call_is_that_of_the_application() -> None:
    adder = structlog.processors.CallsiteParameterAdder(
        [structlog.processors.CallsiteParameter.FUNC_NAME], additional_ignores=["audit_emit"]
    )
    made, _ = with_processors(adder)
    fields = record(made, AuditContext(), "a.b", {})["fields"]
    assert fields == {"func_name": "record"}


def test_a_processor_never_sees_a_secret() -> None:
    seen: list[str] = []

    def look(_logger: Any, _method: str, event: Any) -> Any:
        seen.append(str(event))
        return event

    made, _ = with_processors(look)
    record(made, AuditContext(), "secret.set", {"value": CANARY, "password": CANARY})
    assert CANARY not in seen[0]


def test_a_secret_that_a_processor_adds_is_held_back() -> None:
    made, counters = with_processors(lambda *args: {**args[2], "password": CANARY})
    assert record(made, AuditContext(), "a.b", {})["fields"] == {"password": "[redacted]"}
    assert counters.redacted == 1


def fail(_logger: Any, _method: str, event: Any) -> Any:
    event["half"] = "done"
    raise LookupError(CANARY)


def drop(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


@pytest.mark.parametrize("broken", [fail, drop, lambda *_: None, lambda *_: "text", lambda *_: 7])
def test_what_a_failing_processor_has_seen_is_withheld(broken: Any) -> None:
    made, counters = with_processors(
        broken, lambda _logger, _method, event: {**event, "after": True}
    )
    found = record(made, AuditContext("w"), "a.b", {"key": "A", "more": [CANARY]})
    assert found["fields"] == {"_withheld": broken.__qualname__}
    assert found["workspace_id"] == "w"
    assert counters.processor_errors == 1


def test_a_processor_that_fails_sees_no_secret_in_its_name() -> None:
    def fails(*_: Any) -> Any:
        raise ValueError

    fails.__qualname__ = CANARY + "x" * 1000
    made, _ = with_processors(fails)
    fields = record(made, AuditContext(), "a.b", {"key": "A"})["fields"]
    assert list(fields) == ["_withheld"]
    assert len(fields["_withheld"]) <= 128


def test_an_interrupt_in_a_processor_goes_on() -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(with_processors(interrupt)[0], AuditContext(), "a.b", {})


def test_a_processor_cannot_change_who_acted_but_may_say_where() -> None:
    made, _ = with_processors(lambda *args: {**args[2], "workspace_id": "x", "user_id": "forged"})
    found = record(made, AuditContext("w", "u"), "a.b", {})
    assert found["user_id"] == "u"
    assert found["fields"]["user_id"] == "forged"


def test_a_processor_that_empties_the_event() -> None:
    made, _ = with_processors(lambda *_: {})
    found = record(made, AuditContext("w"), "a.b", {"key": "A"})
    assert (found["event_type"], found["fields"]) == ("a.b", {})


class Kind(enum.StrEnum):
    SET = "secret.set"


class Forged(str):
    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return 'x"}\n{"forged":true'

    __str__ = __repr__ = lambda self: self.__format__("")


class Equal:
    def __eq__(self, other: object) -> bool:
        return other == "secret.set"

    def __hash__(self) -> int:
        return hash("secret.set")


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("fields", [{"key": "A"}, {"key": [1]}])
def test_an_event_type_of_a_subclass_of_str_is_its_value(
    before: bool, fields: dict[str, Any]
) -> None:
    made = composer()
    if before:
        record(made, AuditContext(), "secret.set", {})
    for given in (Kind.SET, Forged("secret.set")):
        found = record(made, AuditContext(), given, fields)
        assert found["event_type"] == "secret.set"
        assert found["fields"] == fields


def test_an_object_that_is_equal_to_an_event_type_is_none() -> None:
    made = composer()
    record(made, AuditContext(), "secret.set", {})
    found = record(made, AuditContext(), Equal(), {"value": CANARY})
    assert found["event_type"] == "audit.invalid_event_type"
    assert CANARY not in str(found)


def test_a_field_named_event_survives_processors() -> None:
    made = composer(processors=[lambda _, __, event: {**event, "seen": event["event"]}])
    found = record(made, AuditContext(), "a.b", {"event": "launch"})
    assert found["fields"] == {"event": "launch", "seen": "a.b"}


def test_a_processor_that_composes_does_not_recurse() -> None:
    calls: list[str] = []

    def emits(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        calls.append(event["event"])
        record(made, AuditContext(), "inner.event", {"n": 1})
        return event

    made = composer(processors=[emits])
    record(made, AuditContext(), "a.b", {"n": 1})
    assert calls == ["a.b"]


def test_long_identities_that_begin_alike_stay_two() -> None:
    made = composer()
    one, two = (
        record(made, AuditContext(user_id="u" * 300 + end), "a.b")["user_id"] for end in "12"
    )
    assert one != two
    assert len(one) == len(two) == 256


def test_a_secret_across_the_end_of_an_identity_is_held_back() -> None:
    url = "postgres://bob:" + CANARY + "x" * 300 + "@db/app"
    assert CANARY not in str(record(composer(), AuditContext(correlation_id=url), "a.b"))


def test_a_context_that_is_looked_at_in_one_call_is_that_of_a_look_at_each() -> None:
    at_once, each = composer(), composer()
    each._encode_plain = each.normaliser.plain.encode_plain = None
    parts = "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxIn0", "c2lnbmF0dXJlLW9mLXRoZS10ZXN0cw"
    jwt = ".".join(parts)
    given: list[Any] = ["", "u-17", "a" * 32, "4111111111111111", "of 4111 1111 1111 1111", jwt]
    given += ["x" * 300, "ann@example.com", "password=" + CANARY, "Zürich \u202e", "\x1b[31m"]
    given += ["\ud800", 17, None, 'a"b\\c']
    traces = ("", ""), ("a" * 32, "b" * 16), ("a" * 32, ""), ("", "b" * 16), ("0" * 32, "z"), (1, 2)
    kinds = "user", "anonymous", "", "robot", "No Kind", 7
    some: list[tuple[Any, Any, Any]] = [(one, "user", ("", "")) for one in given]
    some += [("u", kind, ("", "")) for kind in kinds] + [("u", "user", both) for both in traces]
    contexts = [
        ("acme", user, kind, "019ed0b1-7c00-7000-8000-000000000001", trace, span)
        for user, kind, (trace, span) in some
    ]
    contexts += [("", "", "anonymous", one, "", "") for one in given]
    for ids in contexts:
        shown = at_once.compose(AuditContext(*ids), "a.b", {})
        assert shown == each.compose(AuditContext(*ids), "a.b", {}), ids
        assert CANARY not in str(shown)
