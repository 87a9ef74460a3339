from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict
from support.audit_log import AuditLog
from support.waiting import PATIENCE

from audit_emit import bind, current_context
from audit_emit.context import (
    VAR,
    AuditContext,
    LiveContext,
)
from audit_emit.integrations._request_context import (
    AnonymousContext,
    enter_request,
    leave_request,
)
from audit_emit.integrations.structlog import AuditRenderer, AuditTee, add_audit_context

CANARY = "CANARY-" + "7f31c0de"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError(CANARY)

    __hash__ = None  # type: ignore[assignment]


def emitted(audit_log: AuditLog) -> list[tuple[str, Any]]:
    return [(record["event_type"], record["fields"]) for record in audit_log.records()]


@pytest.fixture(autouse=True)
def _clean_contextvars() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


def logger(*processors: Any, out: io.StringIO | None = None) -> Any:
    return structlog.wrap_logger(
        structlog.WriteLogger(out or io.StringIO()), processors=list(processors)
    )


def test_a_marked_event_is_emitted_with_the_rest_as_fields(audit_log: AuditLog) -> None:
    logger(AuditTee(audit_log.emitter), AuditRenderer()).info(
        "secret.set", audit=True, key="API", n=3
    )
    assert emitted(audit_log) == [("secret.set", {"key": "API", "n": 3})]


def test_an_unmarked_event_is_not_emitted(audit_log: AuditLog) -> None:
    logger(AuditTee(audit_log.emitter), AuditRenderer()).info("secret.set", key="API")
    assert emitted(audit_log) == []


@pytest.mark.parametrize("mark", [True, False])
def test_the_event_goes_on_without_its_mark_and_unchanged(audit_log: AuditLog, mark: bool) -> None:
    event: EventDict = {"event": "a.b", "audit": mark, "key": "API", "_record": 1, "exc_info": True}
    passed = AuditTee(audit_log.emitter)(None, "info", event)
    assert passed is event
    assert passed == {"event": "a.b", "key": "API", "_record": 1, "exc_info": True}


def test_an_audit_member_that_is_no_mark_is_left_alone(audit_log: AuditLog) -> None:
    passed = AuditTee(audit_log.emitter)(None, "info", {"event": "report", "audit": "2026-Q1"})
    assert passed == {"event": "report", "audit": "2026-Q1"}
    assert emitted(audit_log) == []


def saying(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(
        "audit_emit.integrations.structlog.warn", lambda _kind, message: said.append(message)
    )
    return said


@pytest.mark.parametrize("mark", [True, 1, 2, "1", "true", "Yes", "on"])
def test_a_mark_may_be_whatever_means_yes(audit_log: AuditLog, mark: Any) -> None:
    out = io.StringIO()
    logger(AuditTee(audit_log.emitter), AuditRenderer(), out=out).info("a.b", audit=mark, n=1)
    assert emitted(audit_log) == [("a.b", {"n": 1})]
    assert json.loads(out.getvalue()) == {"event": "a.b", "n": 1}


@pytest.mark.parametrize("mark", [False, 0, "0", "False", "no", "off"])
def test_a_mark_may_be_whatever_means_no(audit_log: AuditLog, mark: Any) -> None:
    event: EventDict = {"event": "a.b", "audit": mark}
    assert AuditTee(audit_log.emitter)(None, "info", event) == {"event": "a.b"}
    assert emitted(audit_log) == []


def test_a_mark_can_name_the_event_type(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = saying(monkeypatch)
    out = io.StringIO()
    logger(AuditTee(audit_log.emitter), AuditRenderer(), out=out).info(
        "User signed in", audit="auth.login", method="sso"
    )
    assert emitted(audit_log) == [("auth.login", {"event": "User signed in", "method": "sso"})]
    assert json.loads(out.getvalue()) == {"event": "User signed in", "method": "sso"}
    assert said == []


class Taken:
    """An emitter that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def emit(self, _ctx: Any, event_type: str, fields: Any = None, /) -> None:
        self.events.append((event_type, fields))


def test_arguments_merged_into_the_message_are_not_in_the_record() -> None:
    taken = Taken()
    log = logger(AuditTee(taken), AuditRenderer())
    log.info("login failed for %s with %s", "u-17", CANARY, audit=True)
    assert taken.events == [("<a log message, merged with its arguments>", {})]


@pytest.mark.parametrize("mark", [True, "auth.login", {"n": 1}])
def test_arguments_that_are_not_merged_yet_are_held_back(audit_log: AuditLog, mark: Any) -> None:
    event: EventDict = {"event": "auth.login", "positional_args": ("u-17", CANARY), "audit": mark}
    passed = AuditTee(audit_log.emitter)(None, "info", event)
    assert passed["positional_args"] == ("u-17", CANARY)
    [(_, fields)] = emitted(audit_log)
    assert fields["positional_args"] == ["[redacted]", "[redacted]"]


def test_a_mark_can_bring_fields(audit_log: AuditLog) -> None:
    logger(AuditTee(audit_log.emitter), AuditRenderer()).info(
        "secret.set", audit={"key": "API", "value": CANARY}, n=1
    )
    assert emitted(audit_log) == [("secret.set", {"n": 1, "key": "API", "value": "[redacted]"})]


@pytest.mark.parametrize("audit", ["2026-Q1", "Auth.Login", ["a.b"], 1.5, Hostile()])
def test_what_is_no_mark_is_said(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch, audit: Any
) -> None:
    said = saying(monkeypatch)
    passed = AuditTee(audit_log.emitter)(None, "info", {"event": "a.b", "audit": audit})
    assert passed["audit"] is audit
    assert emitted(audit_log) == []
    assert len(said) == 1
    assert 'audit="auth.login"' in said[0]


def test_a_marked_sentence_is_said_to_need_a_type(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = saying(monkeypatch)
    logger(AuditTee(audit_log.emitter), AuditRenderer()).info("User signed in", audit=True)
    assert audit_log.emitter.health()["counters"]["invalid_event_types"] == 1
    assert 'audit="auth.login"' in said[0]


def test_members_of_structlog_and_of_the_exception_stay_out(audit_log: AuditLog) -> None:
    log = logger(AuditTee(audit_log.emitter), AuditRenderer())
    try:
        int(CANARY)
    except ValueError:
        log.exception("secret.rotate", audit=True, _record=object(), _from_structlog=True)
    assert emitted(audit_log) == [("secret.rotate", {"error": "ValueError"})]


def test_an_emitter_that_fails_never_fails_the_log_call() -> None:
    class Broken:
        def emit(self, ctx: Any, event_type: Any, fields: Any = None) -> object:
            raise RuntimeError(CANARY)

    out = io.StringIO()
    logger(AuditTee(Broken()), AuditRenderer(), out=out).info("secret.set", audit=True)
    assert json.loads(out.getvalue()) == {"event": "secret.set"}


def test_a_hostile_id_does_not_cost_the_event(audit_log: AuditLog) -> None:
    with bind(user_id=Hostile(), workspace_id="w1"):
        AuditTee(audit_log.emitter)(
            None, "info", {"event": "a.b", "audit": True, "user_id": Hostile()}
        )
    assert [event_type for event_type, _ in emitted(audit_log)] == ["a.b"]


def test_a_tee_before_a_filter_that_drops_still_emits(audit_log: AuditLog) -> None:
    def drop(logger: Any, method: str, event: EventDict) -> EventDict:
        raise structlog.DropEvent

    out = io.StringIO()
    logger(AuditTee(audit_log.emitter), drop, out=out).info("secret.set", audit=True)
    assert out.getvalue() == ""
    assert emitted(audit_log) == [("secret.set", {})]


def test_what_swallows_log_lines_does_not_touch_emit(audit_log: AuditLog) -> None:
    with structlog.testing.capture_logs() as lines:
        structlog.get_logger().info("hello")
        audit_log.emitter.emit(None, "secret.set", {"key": "API"})
    assert [line["event"] for line in lines] == ["hello"]
    assert emitted(audit_log) == [("secret.set", {"key": "API"})]


def test_an_async_log_call_keeps_the_actor(audit_log: AuditLog) -> None:
    log = structlog.wrap_logger(
        structlog.WriteLogger(io.StringIO()),
        processors=[AuditTee(audit_log.emitter), AuditRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )

    async def work() -> None:
        with bind(user_id="u1"):
            await log.ainfo("secret.set", audit=True)

    asyncio.run(work())
    assert audit_log.only()["user_id"] == "u1"


def test_bound_ids_are_not_repeated_in_the_fields(audit_log: AuditLog) -> None:
    log = logger(
        structlog.contextvars.merge_contextvars, AuditTee(audit_log.emitter), AuditRenderer()
    )
    with bind(workspace_id="w1", user_id="u1", correlation_id="c1"):
        log.info("secret.set", audit=True, key="API")
    assert emitted(audit_log) == [("secret.set", {"key": "API"})]


@pytest.mark.parametrize("merged_first", [True, False])
def test_ids_that_only_structlog_knows_are_the_actor(
    audit_log: AuditLog, merged_first: bool
) -> None:
    both = [structlog.contextvars.merge_contextvars, AuditTee(audit_log.emitter)]
    log = logger(*(both if merged_first else reversed(both)), AuditRenderer())
    structlog.contextvars.bind_contextvars(
        user_id="u1", actor_kind="admin", correlation_id="c1", other=1
    )
    log.info("secret.set", audit=True, key="API")
    made = audit_log.only()
    assert (made["user_id"], made["actor_kind"], made["correlation_id"]) == ("u1", "admin", "c1")
    assert made["fields"] == ({"key": "API", "other": 1} if merged_first else {"key": "API"})


def test_ids_that_only_structlog_knows_name_the_user_of_a_request(audit_log: AuditLog) -> None:
    live = LiveContext(AnonymousContext.unless_known(AuditContext(correlation_id="c1")))
    entered = enter_request(live)
    try:
        structlog.contextvars.bind_contextvars(user_id="u1")
        logger(AuditTee(audit_log.emitter), AuditRenderer()).info("a.b", audit=True)
    finally:
        leave_request(entered)
    made = audit_log.only()
    assert (made["user_id"], made["actor_kind"], made["correlation_id"]) == ("u1", "user", "c1")


def test_a_request_of_nobody_stays_one(audit_log: AuditLog) -> None:
    entered = enter_request(
        LiveContext(AnonymousContext.unless_known(AuditContext(correlation_id="c1")))
    )
    try:
        logger(AuditTee(audit_log.emitter), AuditRenderer()).info("a.b", audit=True)
    finally:
        leave_request(entered)
    assert (audit_log.only()["actor_kind"], audit_log.only()["fields"]) == ("anonymous", {})


def test_the_bound_user_wins_over_structlogs(audit_log: AuditLog) -> None:
    log = logger(
        structlog.contextvars.merge_contextvars, AuditTee(audit_log.emitter), AuditRenderer()
    )
    with bind(user_id="u1", correlation_id="c1"):
        structlog.contextvars.bind_contextvars(user_id="u2", actor_kind="admin", workspace_id="w1")
        log.info("a.b", audit=True)
    made = audit_log.only()
    assert (made["user_id"], made["workspace_id"], made["fields"]) == ("u1", "w1", {})


def test_an_old_copy_of_the_workspace_does_not_override_the_bound_one(audit_log: AuditLog) -> None:
    log = logger(
        structlog.contextvars.merge_contextvars, AuditTee(audit_log.emitter), AuditRenderer()
    )
    live = LiveContext(AuditContext(workspace_id="old"))
    token = VAR.set(live)
    try:
        structlog.contextvars.bind_contextvars(workspace_id="old")
        live.context = live.context.replace(workspace_id="new")
        log.info("secret.set", audit=True)
    finally:
        VAR.reset(token)
    assert (audit_log.only()["workspace_id"], audit_log.only()["fields"]) == ("new", {})


def test_ids_added_to_the_line_before_the_tee_are_not_repeated(audit_log: AuditLog) -> None:
    token = VAR.set(AuditContext(workspace_id="w1", user_id="u1"))
    try:
        logger(add_audit_context, AuditTee(audit_log.emitter), AuditRenderer()).info(
            "secret.set", audit=True
        )
    finally:
        VAR.reset(token)
    assert (audit_log.only()["user_id"], audit_log.only()["fields"]) == ("u1", {})


def test_a_workspace_said_by_the_call_is_kept(audit_log: AuditLog) -> None:
    with bind(workspace_id="w1"):
        logger(AuditTee(audit_log.emitter), AuditRenderer()).info(
            "a.b", audit=True, workspace_id="w2"
        )
    assert audit_log.only()["workspace_id"] == "w2"


def test_an_id_of_somebody_else_stays_visible_in_the_fields(audit_log: AuditLog) -> None:
    with bind(user_id="u1"):
        logger(AuditTee(audit_log.emitter), AuditRenderer()).info("a.b", audit=True, user_id="u2")
    assert emitted(audit_log) == [("a.b", {"user_id": "u2"})]


def test_bound_ids_are_added_to_ordinary_lines() -> None:
    with bind(workspace_id="w1", user_id="u1", actor_kind="admin", correlation_id="c1"):
        event = add_audit_context(None, "info", {"event": "hello"})
    assert event == {
        "event": "hello",
        "workspace_id": "w1",
        "user_id": "u1",
        "actor_kind": "admin",
        "correlation_id": "c1",
    }


def test_trace_ids_are_added_when_known() -> None:
    with bind(trace_id="a" * 32, span_id="b" * 16):
        event = add_audit_context(None, "info", {"event": "hello"})
    assert (event["trace_id"], event["span_id"]) == ("a" * 32, "b" * 16)


def test_nothing_bound_adds_nothing() -> None:
    assert add_audit_context(None, "info", {"event": "hello"}) == {"event": "hello"}


def test_what_the_event_says_wins() -> None:
    with bind(user_id="u1"):
        assert add_audit_context(None, "info", {"user_id": "u2"})["user_id"] == "u2"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("c1\nforged", "c1\\u000aforged"),
        ("x" * 300, "x" * 256),
        (7, "7"),
        (Hostile(), f"<unrepresentable {__name__}.Hostile>"),
    ],
)
def test_ids_in_lines_are_bounded_printable_text(given: Any, line: str) -> None:
    with bind(correlation_id=given):
        assert add_audit_context(None, "info", {})["correlation_id"] == line


def test_a_rendered_line_is_json_with_the_prefix() -> None:
    out = io.StringIO()
    logger(AuditRenderer("app: "), out=out).info("hello", n=1, when=None)
    prefix, _, body = out.getvalue().partition("{")
    assert prefix == "app: "
    assert json.loads("{" + body) == {"event": "hello", "n": 1, "when": None}


def test_bytes_are_rendered_for_a_bytes_logger() -> None:
    out = io.BytesIO()
    log = structlog.wrap_logger(
        structlog.BytesLogger(out), processors=[AuditRenderer(as_bytes=True)]
    )
    log.info("hello", name="\udc80é")
    assert json.loads(out.getvalue()) == {"event": "hello", "name": "\udc80é"}


def test_hostile_values_are_rendered() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    out = io.StringIO()
    log = logger(AuditRenderer(), out=out)
    log.info("hello", a=Hostile(), b=float("nan"), c=cycle, d={1: "a", "1": "b"}, e=2**70)
    line = out.getvalue()
    assert line.count("\n") == 1
    assert CANARY not in line
    assert json.loads(line, parse_constant=pytest.fail)["event"] == "hello"


def test_secrets_are_held_back_in_rendered_lines() -> None:
    out = io.StringIO()
    log = logger(AuditRenderer(), out=out)
    log.info("login", password=CANARY, nested={"apiKey": CANARY}, token_count=3)
    log.info("secret.set", value=CANARY)
    assert CANARY not in out.getvalue()
    assert json.loads(out.getvalue().splitlines()[0])["token_count"] == 3


def test_the_renderer_serves_a_processor_formatter() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[add_audit_context, AuditRenderer()])
    )
    with bind(user_id="u1"):
        record = logging.LogRecord("app", logging.INFO, __file__, 1, "hi %s", ("you",), None)
        handler.handle(record)
    assert json.loads(out.getvalue()) == {"event": "hi you", "user_id": "u1", "actor_kind": "user"}


def test_threads_see_their_own_context(audit_log: AuditLog) -> None:
    seen: dict[str, Any] = {}

    def work(name: str) -> None:
        with bind(user_id=name):
            gate.wait(PATIENCE)
            seen[name] = add_audit_context(None, "info", {})["user_id"]

    gate = threading.Barrier(8)
    threads = [threading.Thread(target=work, args=(f"u{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert seen == {f"u{n}": f"u{n}" for n in range(8)}
    assert current_context().user_id == ""
