from __future__ import annotations

import io
import json
import logging
import logging.handlers
import multiprocessing
import pickle
import queue
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import loguru
import pytest
from pythonjsonlogger.json import JsonFormatter
from support.audit_log import AuditLog
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit import Emitter, Secret, bind
from audit_emit.integrations._snapshot import ATTRIBUTE, Snapshot
from audit_emit.integrations.stdlib import (
    AuditContextFilter,
    AuditHandler,
    AuditJsonFormatter,
    AuditLoggerAdapter,
)

CANARY = "CANARY-" + "9c03fe12"


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


def buffered(log: logging.Logger, target: logging.Handler) -> logging.handlers.MemoryHandler:
    memory = logging.handlers.MemoryHandler(100, flushLevel=logging.ERROR, target=target)
    log.addHandler(memory)
    return memory


def in_two_requests(log: logging.Logger) -> None:
    with bind(user_id="u-1", correlation_id="c-1"):
        log.info("secret.set", extra={"audit": {"key": "API"}})
    with bind(user_id="u-2", correlation_id="c-2"):
        log.error("secret.lost")


def actors(audit_log: AuditLog) -> list[tuple[str, str, str]]:
    return [
        (made["event_type"], made["user_id"], made["correlation_id"])
        for made in audit_log.records()
    ]


# Who acted, and when


def test_a_buffered_record_is_not_of_whoever_flushes(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    buffered(log, AuditHandler(audit_log.emitter))
    in_two_requests(log)
    assert actors(audit_log) == [("secret.set", "", ""), ("secret.lost", "u-2", "c-2")]


def test_a_filter_takes_who_acted_into_the_buffer(audit_log: AuditLog, log: logging.Logger) -> None:
    buffered(log, AuditHandler(audit_log.emitter)).addFilter(AuditContextFilter())
    in_two_requests(log)
    assert actors(audit_log) == [("secret.set", "u-1", "c-1"), ("secret.lost", "u-2", "c-2")]


def test_a_filter_of_the_logger_takes_it_too(audit_log: AuditLog, log: logging.Logger) -> None:
    log.addFilter(AuditContextFilter())
    buffered(log, AuditHandler(audit_log.emitter))
    in_two_requests(log)
    assert actors(audit_log) == [("secret.set", "u-1", "c-1"), ("secret.lost", "u-2", "c-2")]


def test_a_filter_behind_the_buffer_knows_nobody(audit_log: AuditLog, log: logging.Logger) -> None:
    target = AuditHandler(audit_log.emitter)
    target.addFilter(AuditContextFilter())
    buffered(log, target)
    in_two_requests(log)
    assert actors(audit_log)[0] == ("secret.set", "", "")


def test_a_buffer_flushed_by_hand_is_of_nobody(audit_log: AuditLog, log: logging.Logger) -> None:
    memory = buffered(log, AuditHandler(audit_log.emitter))
    log.info("secret.set")
    with bind(user_id="u-2"):
        memory.flush()
    assert actors(audit_log) == [("secret.set", "", "")]


def test_a_buffer_of_somebody_else_is_of_nobody(audit_log: AuditLog, log: logging.Logger) -> None:
    class Own(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.kept: list[logging.LogRecord] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.kept.append(record)
            if record.levelno >= logging.ERROR:
                for one in self.kept:
                    handler.handle(one)

    handler = AuditHandler(audit_log.emitter)
    log.addHandler(Own())
    in_two_requests(log)
    assert actors(audit_log) == [("secret.set", "", ""), ("secret.lost", "u-2", "c-2")]


def test_a_record_handled_again_through_its_logger_is_of_nobody(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    kept = logging.makeLogRecord({"name": log.name, "msg": "secret.set", "levelno": logging.INFO})
    log.addHandler(AuditHandler(audit_log.emitter))
    with bind(user_id="u-2"):
        log.handle(kept)
    assert actors(audit_log) == [("secret.set", "", "")]


def test_a_handler_that_passes_a_copy_on_at_once_keeps_the_actor(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    class Passing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            handler.handle(logging.makeLogRecord(vars(record)))

    handler = AuditHandler(audit_log.emitter)
    log.addHandler(Passing())
    with bind(user_id="u-1", correlation_id="c-1"):
        log.info("secret.set")
    assert actors(audit_log) == [("secret.set", "u-1", "c-1")]


def test_who_makes_a_record_and_hands_it_on_is_the_caller(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    log.addHandler(AuditHandler(audit_log.emitter))
    with bind(user_id="u-1"):
        made = log.makeRecord(log.name, logging.INFO, __file__, 1, "secret.set", (), None)
        log.handle(made)
    assert actors(audit_log) == [("secret.set", "u-1", "")]


def test_loguru_keeps_the_actor(audit_log: AuditLog) -> None:
    loguru.logger.remove()
    added = loguru.logger.add(AuditHandler(audit_log.emitter), format="{message}")
    try:
        with bind(user_id="u-1"):
            loguru.logger.info("secret.set")
    finally:
        loguru.logger.remove(added)
    assert actors(audit_log) == [("secret.set", "u-1", "")]


def test_a_late_record_has_the_time_of_its_call(audit_log: AuditLog, log: logging.Logger) -> None:
    kept: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    log.addHandler(Keeping())
    log.info("secret.set")
    kept[0].created = 1_700_000_000.25
    with bind(user_id="u-2"):
        AuditHandler(audit_log.emitter).handle(kept[0])
    (made,) = audit_log.records()
    assert (made["ts"], made["user_id"]) == ("2023-11-14T22:13:20.250000000Z", "")
    assert made["id"].startswith("018bcfe5-68fa")


@pytest.mark.parametrize("created", [1e300, float("nan"), -1.0, "now", None, True, 0])
def test_a_time_that_is_none_is_now(audit_log: AuditLog, created: Any) -> None:
    record = logging.makeLogRecord({"name": "audit", "msg": "a.b"})
    record.created = created
    before = time.strftime("%Y-%m-%d", time.gmtime())
    AuditHandler(audit_log.emitter).handle(record)
    assert audit_log.only()["ts"] >= before


def test_late_records_are_linked_like_all_others(audit_log: AuditLog, log: logging.Logger) -> None:
    buffered(log, AuditHandler(audit_log.emitter))
    for _ in range(50):
        log.info("a.b")
    log.error("c.d")
    audit_log.emitter.emit(None, "e.f")
    assert [made["event_type"] for made in audit_log.records()] == ["a.b"] * 50 + ["c.d", "e.f"]


def test_a_late_record_without_a_file_is_a_line_on_stdout(log: logging.Logger) -> None:
    with Piped(1) as stdout:
        emitter = Emitter(jsonl="off")
        memory = buffered(log, AuditHandler(emitter))
        log.info("secret.set")
        memory.flush()
        told = stdout.read()
        emitter.close()
    assert told.count(b'"event_type":"secret.set"') == 1
    assert emitter.health()["counters"]["unchained"] == 1


def test_the_lines_of_a_buffer_are_not_of_whoever_flushes(log: logging.Logger) -> None:
    out = io.StringIO()
    target = logging.StreamHandler(out)
    target.setFormatter(AuditJsonFormatter())
    buffered(log, target)
    in_two_requests(log)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert "user_id" not in first
    assert second["user_id"] == "u-2"


# Fields


def queued(log: logging.Logger, records: Any) -> None:
    sender = logging.handlers.QueueHandler(records)
    sender.addFilter(AuditContextFilter())
    log.addHandler(sender)


def test_the_fields_are_those_of_the_call(audit_log: AuditLog, log: logging.Logger) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    queued(log, records)
    fields = {"key": "API", "scopes": ["read"], "with": {"team": "a"}}
    log.info("secret.share", extra={"audit": fields})
    fields["key"] = "OTHER"
    fields["scopes"].append("write")  # type: ignore[attr-defined]
    fields["with"]["team"] = "b"  # type: ignore[index]
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    assert audit_log.only()["fields"] == {"key": "API", "scopes": ["read"], "with": {"team": "a"}}


def test_the_fields_of_a_buffer_are_those_of_the_call(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    memory = buffered(log, AuditHandler(audit_log.emitter))
    memory.addFilter(AuditContextFilter())
    fields = {"scopes": ["read"]}
    log.info("secret.share", extra={"audit": fields})
    fields["scopes"].clear()
    memory.flush()
    assert audit_log.only()["fields"] == {"scopes": ["read"]}


@pytest.mark.parametrize(
    "value",
    [
        lambda: Secret(CANARY),
        threading.Lock,
        lambda: lambda: None,
        object,
        lambda: (n for n in "ab"),
    ],
    ids=["secret", "lock", "lambda", "object", "generator"],
)
def test_any_value_crosses_to_another_process(
    audit_log: AuditLog, log: logging.Logger, value: Callable[[], Any]
) -> None:
    records = multiprocessing.get_context("spawn").Queue()
    queued(log, records)
    with bind(user_id="u-1"):
        log.info("secret.set", extra={"audit": {"key": "API", "value": 7, "other": value()}})
    AuditHandler(audit_log.emitter).handle(records.get(timeout=PATIENCE))
    records.close()
    records.join_thread()
    (made,) = audit_log.records()
    assert (made["user_id"], made["fields"]["key"]) == ("u-1", "API")
    assert made["fields"]["value"] == "[redacted]"
    assert CANARY not in str(made)


def test_an_id_of_any_type_crosses_to_another_process(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    class Local:
        def __str__(self) -> str:
            return "u-1"

    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    queued(log, records)
    with bind(user_id=Local(), workspace_id=7):
        log.info("a.b")
    there = pickle.loads(pickle.dumps(records.get_nowait()))
    AuditHandler(audit_log.emitter).handle(there)
    made = audit_log.only()
    assert (made["user_id"], made["workspace_id"]) == ("u-1", "7")


def test_no_secret_is_in_what_crosses(log: logging.Logger) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    queued(log, records)
    log.info(
        "secret.set",
        extra={"audit": {"value": CANARY, "password": CANARY, "deep": [{"token": CANARY}]}},
    )
    log.info("Secret Set", extra={"audit": {"value": CANARY}})
    for _ in range(2):
        assert CANARY.encode() not in pickle.dumps(records.get_nowait())


def test_the_rules_of_the_emitter_that_records_hold_too(log: logging.Logger, tmp_path: Any) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    queued(log, records)
    log.info("a.b", extra={"audit": {"badge": CANARY, "n": 1, "long": "x" * 9000}})
    emitter = Emitter(jsonl=tmp_path / "a.jsonl", stdout=False, secret_keys=["badge"])
    AuditHandler(emitter).handle(records.get_nowait())
    counters = emitter.health()["counters"]
    emitter.close()
    fields = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[-1])["fields"]
    assert (fields["badge"], fields["n"]) == ("[redacted]", 1)
    assert [cut.partition(":")[0] for cut in fields["_cut"]] == ["long"]
    assert (counters["redacted"], counters["truncated"]) == (1, 1)


def test_the_workspace_of_the_fields_crosses(audit_log: AuditLog, log: logging.Logger) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    queued(log, records)
    log.info("a.b", extra={"audit": {"workspace_id": "w-1", "n": 1}})
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    made = audit_log.only()
    assert (made["workspace_id"], made["fields"]) == ("w-1", {"n": 1})


def test_the_dictionary_of_the_caller_stays_as_it_is(log: logging.Logger) -> None:
    queued(log, queue.SimpleQueue())
    fields = {"value": CANARY, "workspace_id": "w"}
    log.info("secret.set", extra={"audit": fields})
    assert fields == {"value": CANARY, "workspace_id": "w"}


def test_fields_that_another_filter_put_there_count(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    def enrich(record: logging.LogRecord) -> bool:
        vars(record)["audit"] = {**vars(record)["audit"], "added": CANARY}
        return True

    handler = AuditHandler(audit_log.emitter)
    handler.addFilter(AuditContextFilter())
    handler.addFilter(enrich)
    log.addHandler(handler)
    log.info("a.b", extra={"audit": {"n": 1}})
    assert audit_log.only()["fields"] == {"n": 1, "added": CANARY}


def test_what_a_stranger_sends_does_not_pass_for_what_was_taken(audit_log: AuditLog) -> None:
    forged = {"context": {"user_id": "root"}, "event_type": "x.y", "fields": {"n": 1}}
    record = logging.makeLogRecord({"name": "audit", "msg": "a.b", ATTRIBUTE: forged})
    AuditHandler(audit_log.emitter).handle(record)
    made = audit_log.only()
    assert (made["event_type"], made["user_id"], made["fields"]) == ("a.b", "", {})


# What is left on the record


def test_other_formatters_show_nothing_of_ours(log: logging.Logger) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(AuditContextFilter())
    log.addHandler(handler)
    with bind(user_id="u-1"):
        log.info("hello")
    line = json.loads(out.getvalue())
    line.pop("taskName", None)
    assert line.pop("user_id") == "u-1"
    assert set(line) == {"message", "workspace_id", "actor_kind", "correlation_id"} | {
        "trace_id",
        "span_id",
    }


def test_only_the_ids_have_names_that_formatters_print(log: logging.Logger) -> None:
    record = log.makeRecord(log.name, logging.INFO, __file__, 1, "a.b", (), None)
    before = set(vars(record))
    AuditContextFilter().filter(record)
    public = {name for name in set(vars(record)) - before if not name.startswith("_")}
    assert public == {
        *("workspace_id", "user_id", "actor_kind"),
        *("correlation_id", "trace_id", "span_id"),
    }
    assert type(vars(record)[ATTRIBUTE]) is Snapshot
    assert repr(vars(record)[ATTRIBUTE]) == "<snapshot>"


# Extra without "audit"


def test_an_extra_without_audit_is_recorded_and_said_once(
    audit_log: AuditLog, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = saying(monkeypatch)
    log.addHandler(AuditHandler(audit_log.emitter))
    log.info("secret.set", extra={"key": "API", "password": CANARY})
    assert audit_log.only()["fields"] == {"key": "API", "password": "[redacted]"}
    assert len(said) == 1
    assert 'extra={"audit": {…}}' in said[0]


def saying(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(
        "audit_emit.integrations.stdlib.warn", lambda _kind, message: said.append(message)
    )
    return said


def test_what_filters_and_libraries_add_is_no_field(
    audit_log: AuditLog, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(record: logging.LogRecord) -> bool:
        vars(record).update(request_id="r", otelTraceID="t")
        return True

    said = saying(monkeypatch)
    log.addFilter(add)
    log.addHandler(AuditHandler(audit_log.emitter))
    log.info("secret.set")
    assert audit_log.only()["fields"] == {}
    assert said == []


@pytest.mark.parametrize("filters", [[], [AuditContextFilter()]])
def test_an_extra_without_audit_crosses_a_queue(
    audit_log: AuditLog,
    log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    filters: list[logging.Filter],
) -> None:
    said = saying(monkeypatch)
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    sender = logging.handlers.QueueHandler(records)
    for one in filters:
        sender.addFilter(one)
    log.addHandler(sender)
    log.info("secret.set", extra={"key": "API"})
    AuditHandler(audit_log.emitter).handle(records.get_nowait())
    assert audit_log.only()["fields"] == {"key": "API"}
    assert len(said) == 1


def test_the_fields_of_an_extra_without_audit_are_those_of_the_call(
    audit_log: AuditLog, log: logging.Logger
) -> None:
    memory = buffered(log, AuditHandler(audit_log.emitter))
    memory.addFilter(AuditContextFilter())
    keys = ["API"]
    log.info("secret.set", extra={"keys": keys, "value": CANARY})
    keys.append("later")
    memory.flush()
    assert audit_log.only()["fields"] == {"keys": ["API"], "value": "[redacted]"}


@pytest.mark.parametrize(
    "extra",
    [
        {"key": "API", "lock": threading.Lock()},
        {"audit": {"key": "API", "lock": threading.Lock()}, "connection": lambda: None},
        {"audit": True, "key": "API", "lock": Secret(CANARY)},
    ],
    ids=["no audit", "beside audit", "marked"],
)
def test_what_is_beside_the_fields_costs_no_event_on_its_way_to_another_process(
    audit_log: AuditLog, log: logging.Logger, extra: dict[str, Any]
) -> None:
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    queued(log, records)
    with bind(user_id="u-1"):
        log.info("secret.set", extra=extra)
    there = pickle.loads(pickle.dumps(records.get_nowait()))
    AuditHandler(audit_log.emitter).handle(there)
    made = audit_log.only()
    assert (made["user_id"], made["fields"]["key"]) == ("u-1", "API")
    assert set(made["fields"]) == {"key", "lock"}
    assert CANARY not in str(made)


@pytest.mark.parametrize("name", ["audit", "other"])
def test_any_value_crosses_a_socket(
    audit_log: AuditLog, log: logging.Logger, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sender = logging.handlers.SocketHandler("localhost", None)
    sender.addFilter(AuditContextFilter())
    sent: list[bytes] = []
    monkeypatch.setattr(sender, "send", sent.append)
    log.addHandler(sender)
    with bind(user_id="u-1"):
        log.info("secret.set", extra={name: {"lock": threading.Lock()}})
    there = logging.makeLogRecord(pickle.loads(sent[0][4:]))
    AuditHandler(audit_log.emitter).handle(there)
    made = audit_log.only()
    assert made["user_id"] == "u-1"
    assert made["fields"].get(name, made["fields"]) == {"lock": "<_thread.lock>"}


def test_a_handler_that_keeps_no_record_for_another_process_sees_the_values_themselves(
    log: logging.Logger,
) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(number)05.1f"))
    handler.addFilter(AuditContextFilter())
    log.addHandler(handler)
    log.info("a.b", extra={"number": Fraction(5, 2)})
    assert out.getvalue() == "002.5\n"


def test_a_mark_as_for_structlog_means_the_rest_of_the_extra(
    audit_log: AuditLog, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = saying(monkeypatch)
    log.addHandler(AuditHandler(audit_log.emitter))
    log.info("secret.set", extra={"audit": True, "key": "API"})
    assert audit_log.only()["fields"] == {"key": "API"}
    assert said == []


def test_an_adapter_that_replaces_the_extra_is_said(
    audit_log: AuditLog, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = saying(monkeypatch)
    log.addHandler(AuditHandler(audit_log.emitter))
    adapter = logging.LoggerAdapter(log, {"release": "7"})
    adapter.info("secret.set", extra={"audit": {"key": "API"}})
    assert audit_log.only()["fields"] == {"release": "7"}
    assert "AuditLoggerAdapter" in said[0]


def test_our_adapter_adds_to_the_extra(
    audit_log: AuditLog, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = saying(monkeypatch)
    log.addHandler(AuditHandler(audit_log.emitter))
    adapter = AuditLoggerAdapter(log, {"audit": {"release": "7", "key": "-"}, "request": "r"})
    adapter.info("secret.set", extra={"audit": {"key": "API"}})
    adapter.info("secret.get")
    assert [made["fields"] for made in audit_log.records()] == [
        {"release": "7", "key": "API"},
        {"release": "7", "key": "-"},
    ]
    assert said == []
