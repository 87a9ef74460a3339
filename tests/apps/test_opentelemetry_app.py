"""The example with OpenTelemetry, in a process of its own: a process has one provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from support.host_server import EXAMPLES
from support.plain_log_reader import records
from support.requirements import package
from support.waiting import PATIENCE

package("opentelemetry-sdk", "opentelemetry.sdk")

PROGRAM = """
import json
import opentelemetry_app
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
opentelemetry_app.made_providers(spans, logs)
opentelemetry_app.place_order("u-17", "a book", "4111 1111 1111 1111")
(span,), (log,) = spans.get_finished_spans(), logs.get_finished_logs()
said = log.log_record
print(json.dumps({
    "trace": format(span.context.trace_id, "032x"),
    "span": format(span.context.span_id, "016x"),
    "event": [span.events[0].name, dict(span.events[0].attributes)],
    "log": [said.event_name, dict(said.attributes)],
    "log_trace": format(said.trace_id, "032x"),
}))
"""


def test_the_record_the_span_and_the_log_record_have_the_same_ids(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    env = {
        **os.environ,
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "orders",
        "AUDIT_EMIT_STDOUT": "0",
        "PYTHONPATH": os.pathsep.join((EXAMPLES, os.environ.get("PYTHONPATH", ""))),
    }
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (record,) = [one for one in records(log) if one["event_type"] == "order.placed"]
    assert (record["trace_id"], record["span_id"]) == (told["trace"], told["span"])
    facts = {f"audit.{name}": record[name] for name in ("id", "chain", "seq", "hash")}
    assert told["event"] == told["log"] == ["order.placed", facts]
    assert told["log_trace"] == told["trace"]
    assert "4111" not in log.read_text() + done.stdout
