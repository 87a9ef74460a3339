"""Orders whose records and spans know each other, with OpenTelemetry.

pip install 'audit-emit[opentelemetry]' opentelemetry-sdk
python opentelemetry_app.py
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from audit_emit import bind
from audit_emit.integrations.opentelemetry import TracedEmitter

audit = TracedEmitter(log_records=True)


def place_order(user_id: str, item: str, card_number: str) -> str:
    """A span, a record with the ids of the span, and an event and a log record with its hash."""
    tracer = trace.get_tracer(__name__)
    with tracer.start_as_current_span("order"), bind(user_id=user_id):
        audit.emit(None, "order.placed", {"item": item, "card_number": card_number})
    return item


def made_providers(spans: Any, logs: Any) -> None:
    """Send spans and log records to exporters: those of OTLP in a service."""
    tracers, loggers = TracerProvider(), LoggerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    trace.set_tracer_provider(tracers)
    set_logger_provider(loggers)


if __name__ == "__main__":
    made_providers(ConsoleSpanExporter(), ConsoleLogRecordExporter())
    place_order("u-17", "a book", "4111 1111 1111 1111")
