"""OpenTelemetry: records know their span, and spans know their records."""

from __future__ import annotations

import sys
from enum import Enum
from threading import Thread
from types import FrameType
from typing import Any

import pytest
from support.requirements import package

package("opentelemetry-sdk", "opentelemetry.sdk")

from opentelemetry import _logs  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider  # noqa: E402
from opentelemetry.sdk._logs.export import (  # noqa: E402
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: E402
    InMemorySpanExporter,
)

from audit_emit import ConfigError, bind  # noqa: E402
from audit_emit.integrations.opentelemetry import _TOLD, TracedEmitter  # noqa: E402


def traced() -> tuple[Any, InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("tests"), exporter


def test_a_record_has_the_ids_of_the_live_span_and_the_span_an_event_of_it(records: Any) -> None:
    tracer, exporter = traced()
    with tracer.start_as_current_span("work"), bind(user_id="u-17"):
        TracedEmitter().emit(None, "secret.set", {"password": "open sesame"})
    (record,), (span,) = records(), exporter.get_finished_spans()
    assert record["trace_id"] == f"{span.context.trace_id:032x}"
    assert record["span_id"] == f"{span.context.span_id:016x}"
    assert record["user_id"] == "u-17"
    (event,) = span.events
    assert event.name == "secret.set"
    assert dict(event.attributes or {}) == {
        "audit.id": record["id"],
        "audit.chain": record["chain"],
        "audit.seq": record["seq"],
        "audit.hash": record["hash"],
    }


def test_ids_of_the_context_are_kept(records: Any) -> None:
    tracer, _ = traced()
    with tracer.start_as_current_span("work"), bind(trace_id="a" * 32, span_id="b" * 16):
        TracedEmitter(span_events=False).emit(None, "secret.set")
    assert records()[0]["trace_id"] == "a" * 32


def test_without_a_span_it_emits_as_ever(records: Any) -> None:
    assert TracedEmitter().emit(None, "secret.set") is not None
    assert "trace_id" not in records()[0]


def test_a_record_is_told_once_however_many_emitters_pass_it_on(records: Any) -> None:
    tracer, exporter = traced()
    with tracer.start_as_current_span("work"):
        TracedEmitter(TracedEmitter()).emit(None, "secret.set")
    assert len(records()) == 1
    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["secret.set"]


def test_a_signal_handler_may_emit_while_opentelemetry_is_told(records: Any) -> None:
    tracer, exporter = traced()
    told = type(_TOLD).is_new.__code__
    looked: list[int] = []

    def handler(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is told and event == "line" and frame.f_lineno not in looked:
            looked.append(frame.f_lineno)
            TracedEmitter().emit(None, "signal.heard")
        return handler if frame.f_code is told else None

    def work() -> None:
        with tracer.start_as_current_span("work"):
            sys.settrace(handler)
            TracedEmitter().emit(None, "secret.set")
            sys.settrace(None)

    thread = Thread(target=work, daemon=True)  # one that waits for itself would never end
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    (span,) = exporter.get_finished_spans()
    names = [event.name for event in span.events]
    assert looked
    assert sorted(names) == ["secret.set"] + ["signal.heard"] * len(looked)
    assert len(records()) == len(names)


def test_a_log_record_is_of_the_record_also_without_a_span(
    records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = InMemoryLogRecordExporter  # without types
    exporter, provider = kind(), LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs, "get_logger", provider.get_logger)
    TracedEmitter(TracedEmitter(log_records=True), log_records=True).emit(
        None, "secret.set", {"key": "STRIPE"}
    )
    (record,), (told,) = records(), exporter.get_finished_logs()
    assert told.log_record.event_name == told.log_record.body == "secret.set"
    assert dict(told.log_record.attributes or {}) == {
        "audit.id": record["id"],
        "audit.chain": record["chain"],
        "audit.seq": record["seq"],
        "audit.hash": record["hash"],
    }


def test_an_older_opentelemetry_without_such_log_records_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_logs.Logger, "emit", lambda self, record: None)
    with pytest.raises(ConfigError, match=r"at least version 1\.38"):
        TracedEmitter(log_records=True)
    assert TracedEmitter() is not None


class Kind(str, Enum):  # noqa: UP042 - its text is not its value
    SOLD = "shop.sold"


def test_opentelemetry_is_told_the_event_type_that_the_record_has(records: Any) -> None:
    tracer, exporter = traced()
    token = "sk_live_" + "a1b2c3d4e5f6" * 2
    with tracer.start_as_current_span("work"):
        for event_type in ("password=Hunter2-xyzzy", f"token.{token}", "audit.started", Kind.SOLD):
            TracedEmitter().emit(None, event_type)
    (span,) = exporter.get_finished_spans()
    names = [event.name for event in span.events]
    assert names == [*["audit.invalid_event_type"] * 3, *(one["event_type"] for one in records())]
    assert names[3] == "shop.sold"
