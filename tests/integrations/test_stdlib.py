from __future__ import annotations

import io
import json
import logging
import logging.config
import logging.handlers
import queue
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.audit_log import AuditLog
from support.waiting import PATIENCE

from audit_emit import bind
from audit_emit.integrations.stdlib import AuditContextFilter, AuditHandler, AuditJsonFormatter
from audit_emit.testing import capture

CANARY = "CANARY-" + "51de0a7e"


class Counting:
    """An emitter that counts, and does something foreign on the way."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.events: list[Any] = []
        self._work = work

    def emit(self, ctx: Any, event_type: Any, fields: Any = None, /) -> object:
        self.events.append(event_type)
        return self._work()


def emitted(audit_log: AuditLog) -> list[tuple[str, Any]]:
    return [(made["event_type"], made["fields"]) for made in audit_log.records()]


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """A logger of this test only, without handlers and parents."""
    made = logging.getLogger(f"test.{request.node.name}")
    made.propagate = False
    made.setLevel(logging.DEBUG)
    yield made
    for handler in made.handlers[:]:
        made.removeHandler(handler)
        handler.close()


@pytest.fixture
def log_bytes(audit_log: AuditLog, tmp_path: Path) -> Callable[[], bytes]:
    """All that the emitter has written."""

    def read() -> bytes:
        assert audit_log.emitter.flush(PATIENCE)
        return (tmp_path / "audit.jsonl").read_bytes()

    return read


def record(message: Any, *args: Any, name: str = "audit") -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, __file__, 1, message, args, None)


def json_handler(out: io.StringIO, **options: Any) -> logging.Handler:
    handler = logging.StreamHandler(out)
    handler.setFormatter(AuditJsonFormatter(**options))
    return handler


def test_the_message_is_the_type_and_extra_audit_the_fields(
    log: logging.Logger, audit_log: AuditLog
) -> None:
    log.addHandler(AuditHandler(audit_log.emitter))
    log.info("secret.set", extra={"audit": {"key": "API"}})
    assert emitted(audit_log) == [("secret.set", {"key": "API"})]


def test_a_record_without_extra_is_an_event_without_fields(
    log: logging.Logger, audit_log: AuditLog
) -> None:
    log.addHandler(AuditHandler(audit_log.emitter))
    log.warning("session.end")
    assert emitted(audit_log) == [("session.end", {})]


def test_the_level_of_the_handler_holds(log: logging.Logger, audit_log: AuditLog) -> None:
    log.addHandler(AuditHandler(audit_log.emitter, level="WARNING"))
    log.info("a.b")
    log.error("c.d")
    assert emitted(audit_log) == [("c.d", {})]


def test_the_fields_of_the_caller_are_not_changed(log: logging.Logger, audit_log: AuditLog) -> None:
    log.addHandler(AuditHandler(audit_log.emitter))
    fields = {"key": "API"}
    try:
        int(CANARY)
    except ValueError:
        log.exception("secret.rotate", extra={"audit": fields})
    assert emitted(audit_log) == [("secret.rotate", {"error": "ValueError", "key": "API"})]
    assert fields == {"key": "API"}


@pytest.mark.parametrize("message", ["secret.set %s", "secret.set %d"])
def test_arguments_are_no_part_of_the_event_type(
    capsys: pytest.CaptureFixture[str], message: str
) -> None:
    emitter = Counting(list)
    AuditHandler(emitter).handle(record(message, CANARY))
    assert emitter.events == [message]
    assert CANARY not in capsys.readouterr().err


def test_an_emitter_that_fails_never_fails_the_log_call(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError(CANARY)

    log.addHandler(AuditHandler(Counting(fail)))
    log.info("secret.set")
    assert CANARY not in capsys.readouterr().err


def test_keyboard_interrupt_passes_and_the_handler_stays_usable() -> None:
    def interrupt_once() -> None:
        if len(emitter.events) == 1:
            raise KeyboardInterrupt

    emitter = Counting(interrupt_once)
    handler = AuditHandler(emitter)
    with pytest.raises(KeyboardInterrupt):
        handler.handle(record("a.b"))
    handler.handle(record("a.b"))
    assert len(emitter.events) == 2


def test_a_filter_that_fails_lets_the_event_through(
    log: logging.Logger, audit_log: AuditLog
) -> None:
    def broken(_: logging.LogRecord) -> bool:
        raise RuntimeError(CANARY)

    handler = AuditHandler(audit_log.emitter)
    handler.addFilter(broken)
    log.addHandler(handler)
    log.info("a.b")
    assert emitted(audit_log) == [("a.b", {})]


@pytest.mark.parametrize("name", ["audit_emit", "audit_emit.sinks"])
def test_our_own_loggers_are_ignored(audit_log: AuditLog, name: str) -> None:
    AuditHandler(audit_log.emitter).handle(record("a.b", name=name))
    assert emitted(audit_log) == []


def test_a_logger_with_a_similar_name_is_not_ignored(audit_log: AuditLog) -> None:
    AuditHandler(audit_log.emitter).handle(record("a.b", name="audit_emitter"))
    assert emitted(audit_log) == [("a.b", {})]


def test_a_record_without_a_name_is_an_event(audit_log: AuditLog) -> None:
    AuditHandler(audit_log.emitter).handle(logging.makeLogRecord({"msg": "secret.set"}))
    assert emitted(audit_log) == [("secret.set", {})]


def test_logging_while_emitting_does_not_recurse(log: logging.Logger) -> None:
    emitter = Counting(lambda: handler.handle(record("inner.event")))
    handler = AuditHandler(emitter)
    log.addHandler(handler)
    log.info("outer.event")
    log.info("next.event")
    assert emitter.events == ["outer.event", "next.event"]


def test_dict_config_builds_all_three(capsys: pytest.CaptureFixture[str]) -> None:
    names = "audit_emit.integrations.stdlib."
    app = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"ids": {"()": names + "AuditContextFilter", "default": "none"}},
            "formatters": {"json": {"()": names + "AuditJsonFormatter", "timestamp": False}},
            "handlers": {
                "audit": {"()": names + "AuditHandler", "level": "INFO", "filters": ["ids"]},
                "app": app,
            },
            "loggers": {
                "test.app": {"handlers": ["app"], "level": "INFO", "propagate": False},
                "test.audit": {"handlers": ["audit"], "level": "DEBUG", "propagate": False},
            },
        }
    )
    with bind(user_id="u1", correlation_id="c1"), capture() as events:
        logging.getLogger("test.app").info("hello")
        logging.getLogger("test.audit").info("secret.set", extra={"audit": {"key": "API"}})
        logging.getLogger("test.audit").debug("secret.seen")
    line = json.loads(capsys.readouterr().out)
    assert (line["message"], line["user_id"], line["correlation_id"]) == ("hello", "u1", "c1")
    events.assert_emitted("secret.set", key="API", user_id="u1", correlation_id="c1")
    assert events.of("secret.seen") == []


def test_the_context_crosses_a_queue(audit_log: AuditLog, log: logging.Logger) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    sender = logging.handlers.QueueHandler(records)
    sender.addFilter(AuditContextFilter())
    log.addHandler(sender)
    with bind(user_id="u1"):
        log.info("secret.set", extra={"audit": {"key": "API"}})
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    assert emitted(audit_log) == [("secret.set", {"key": "API"})]
    assert audit_log.only()["user_id"] == "u1"


def queued(log: logging.Logger, *filters: logging.Filter) -> queue.SimpleQueue[logging.LogRecord]:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    sender = logging.handlers.QueueHandler(records)
    for one in filters:
        sender.addFilter(one)
    log.addHandler(sender)
    return records


def fail_and_log(log: logging.Logger, message: str, *args: Any) -> None:
    try:
        int(CANARY)
    except ValueError:
        log.exception(message, *args)


def test_a_filter_takes_message_and_error_over_a_queue(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    records = queued(log, AuditContextFilter())
    fail_and_log(log, "secret.rotate")
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    assert emitted(audit_log) == [("secret.rotate", {"error": "ValueError"})]


def test_a_filter_keeps_arguments_out_of_what_crosses_a_queue(log: logging.Logger) -> None:
    emitter = Counting(list)
    records = queued(log, AuditContextFilter())
    log.info("secret.%s", "canary")
    AuditHandler(emitter).handle(records.get_nowait())
    assert emitter.events == ["secret.%s"]


def test_without_a_filter_the_first_line_is_the_type(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    records = queued(log)
    fail_and_log(log, "secret.rotate")
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    assert emitted(audit_log) == [("secret.rotate", {})]


@pytest.mark.parametrize("message", ["rotate %s", "%s"])
def test_without_a_filter_nothing_of_a_merged_message_is_recorded(
    audit_log: AuditLog, log: logging.Logger, log_bytes: Callable[[], bytes], message: str
) -> None:
    records = queued(log)
    fail_and_log(log, message, f"for {CANARY}")
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    assert b"audit.invalid_event_type" in log_bytes()
    assert b"51de0a7e" not in log_bytes()


def test_what_is_noted_for_a_queue_is_not_in_the_json(log: logging.Logger) -> None:
    out = io.StringIO()
    handler = json_handler(out)
    handler.addFilter(AuditContextFilter())
    log.addHandler(handler)
    fail_and_log(log, "secret.rotate")
    assert not {"audit_event_type", "audit_error"} & json.loads(out.getvalue()).keys()


def test_the_ids_are_there_for_every_format(log: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        logging.Formatter("[%(correlation_id)s %(user_id)s %(trace_id)s] %(message)s")
    )
    handler.addFilter(AuditContextFilter())
    log.addHandler(handler)
    log.info("before")
    with bind(correlation_id="c1", user_id="u1"):
        log.info("within")
    assert out.getvalue().splitlines() == ["[- - -] before", "[c1 u1 -] within"]


def test_an_id_given_by_the_call_wins() -> None:
    made = logging.makeLogRecord({"user_id": "u2"})
    with bind(user_id="u1"):
        assert AuditContextFilter().filter(made)
    assert vars(made)["user_id"] == "u2"


def test_an_id_cannot_break_the_line() -> None:
    made = record("hello")
    with bind(correlation_id="c1\r\nforged"):
        AuditContextFilter().filter(made)
    assert vars(made)["correlation_id"] == "c1\\u000d\\u000aforged"


@pytest.mark.parametrize(
    "given", ["postgres://u:%s@h", "postgres://u:%s@h/" + "x" * 300, {"password": "%s"}]
)
def test_a_secret_in_an_id_is_held_back(given: Any) -> None:
    made = record("hello")
    given = {"password": CANARY} if isinstance(given, dict) else given.replace("%s", CANARY)
    with bind(user_id=given):
        AuditContextFilter().filter(made)
    assert vars(made)["user_id"]
    assert CANARY not in vars(made)["user_id"]


def test_an_id_of_digits_is_no_card_number() -> None:
    made = record("hello")
    with bind(user_id="4111" + "1111" * 3):
        AuditContextFilter().filter(made)
    assert vars(made)["user_id"] == "4111" + "1111" * 3


def test_a_line_is_json_with_the_ids(log: logging.Logger) -> None:
    out = io.StringIO()
    log.addHandler(json_handler(out))
    with bind(workspace_id="w1", user_id="u1", correlation_id="c1"):
        log.info("hello %s", "you", extra={"n": 3})
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "levelname": "INFO",
        "name": log.name,
        "message": "hello you",
        "n": 3,
        "workspace_id": "w1",
        "user_id": "u1",
        "actor_kind": "user",
        "correlation_id": "c1",
    }


def test_ids_that_are_not_known_are_not_in_the_json(log: logging.Logger) -> None:
    out = io.StringIO()
    handler = json_handler(out, timestamp=False)
    handler.addFilter(AuditContextFilter())
    log.addHandler(handler)
    with bind(user_id="u1", correlation_id="-"):
        log.info("hello")
    line = json.loads(out.getvalue())
    assert {name for name in line if name.endswith("_id")} == {"user_id", "correlation_id"}


def test_options_of_python_json_logger_hold(log: logging.Logger) -> None:
    out = io.StringIO()
    log.addHandler(
        json_handler(
            out,
            fmt="%(message)s",
            timestamp=False,
            prefix="app: ",
            rename_fields={"message": "msg", "user_id": "actor"},
            static_fields={"env": "test"},
        )
    )
    with bind(user_id="u1"):
        log.info("hello")
    prefix, _, body = out.getvalue().partition("{")
    assert prefix == "app: "
    assert json.loads("{" + body) == {
        "msg": "hello",
        "env": "test",
        "actor": "u1",
        "actor_kind": "user",
    }


def test_secrets_are_held_back_in_lines(log: logging.Logger) -> None:
    out = io.StringIO()
    log.addHandler(json_handler(out))
    log.info("login", extra={"password": CANARY, "body": {"apiKey": CANARY}})
    log.info("secret.set", extra={"audit": {"value": CANARY, "key": "API"}})
    log.info({"event": "login", "password": CANARY})
    log.info("calling https://me:%s@host.example/", CANARY)
    assert CANARY not in out.getvalue()
    assert json.loads(out.getvalue().splitlines()[1])["audit"]["key"] == "API"


def test_hostile_values_are_a_line(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError(CANARY)

        __repr__ = __str__

    out = io.StringIO()
    handler = json_handler(out)
    log.addHandler(handler)
    log.info("hello", extra={"a": Hostile(), "b": float("nan"), "c": {(1, 2): b"\xff"}})
    handler.handle(record(Hostile()))
    handler.handle(record("%d", CANARY))
    first, second, third = out.getvalue().splitlines()
    assert json.loads(first, parse_constant=pytest.fail)["message"] == "hello"
    assert json.loads(second)["_format_error"] == "RuntimeError"
    assert json.loads(third)["message"] == "%d"
    assert CANARY not in out.getvalue() + capsys.readouterr().err


def test_arguments_that_do_not_fit_cost_the_line_nothing_else() -> None:
    made = record("done %d", CANARY)
    made.n = 3
    with bind(user_id="u1", correlation_id="c1"):
        line = json.loads(AuditJsonFormatter().format(made))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "levelname": "INFO",
        "name": "audit",
        "message": "done %d",
        "n": 3,
        "user_id": "u1",
        "actor_kind": "user",
        "correlation_id": "c1",
        "_format_error": "TypeError",
    }


def formatted(message: str) -> str:
    try:
        raise ValueError(message)
    except ValueError:
        info = sys.exc_info()
    made = logging.LogRecord("app", logging.ERROR, __file__, 1, "failed", (), info)
    return AuditJsonFormatter().format(made)


@pytest.mark.thorough
@pytest.mark.parametrize("pad", [*range(4440, 4500), 9000])
def test_a_long_traceback_is_scrubbed_before_it_is_cut(pad: int) -> None:
    secret = f"password={CANARY}{CANARY} " + "q" * pad
    assert CANARY[:6] not in formatted("z" * 2000 + " " + secret)
    assert CANARY[:6] not in formatted("z" * 2000 + "\n" + secret)


def test_a_long_private_key_in_a_traceback_is_held_back() -> None:
    begin = "-" * 5 + "BEGIN " + "PRIVATE KEY" + "-" * 5 + "\n"
    assert "MIIEvAIB" not in formatted("z\n" * 700 + begin + "MIIEvAIBADANBgkq\n" * 350)


def test_a_long_traceback_keeps_its_end() -> None:
    def fall(depth: int) -> int:
        if depth:
            return sum(fall(depth - 1) for _ in range(1))
        raise ValueError("the last line")

    try:
        fall(100)
    except ValueError:
        info = sys.exc_info()
    made = logging.LogRecord("app", logging.ERROR, __file__, 1, "failed", (), info)
    text = json.loads(AuditJsonFormatter().format(made))["exc_info"]
    assert text.startswith("Traceback")
    assert text.endswith("ValueError: the last line")
