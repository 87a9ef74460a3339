"""Metrics: what they say, what they cost, and that several processes add up."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.requirements import package, program
from support.waiting import until

package("prometheus-client")

from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402

import audit_emit  # noqa: E402
from audit_emit._checkpoints.anchoring import Anchored  # noqa: E402
from audit_emit._core.measured import SAMPLE  # noqa: E402
from audit_emit.integrations.prometheus import (  # noqa: E402
    COUNTERS,
    HISTOGRAMS,
    AuditCollector,
    MovingThread,
)

INTEGRATIONS = Path(__file__).parents[2] / "integrations"
RULES = INTEGRATIONS / "prometheus" / "alerts.yaml"
DASHBOARD = INTEGRATIONS / "grafana" / "emitters.json"
GAUGES = (
    "backlog_events",
    "last_anchor_timestamp_seconds",
    "last_checkpoint_timestamp_seconds",
    "last_success_timestamp_seconds",
    "sink_failing",
)


def shown(registry: Any) -> dict[str, float]:
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_the_counters_are_shown_as_metrics(emitter: audit_emit.Emitter) -> None:
    registry = CollectorRegistry()
    registry.register(AuditCollector(emitter))
    for number in range(5):
        emitter.emit(None, "a.b", {"n": number, "password": "x"})
    values = shown(registry)
    assert values["audit_emit_events_total"] == 5
    assert values["audit_emit_values_redacted_total"] == 5
    assert values["audit_emit_events_lost_total"] == 0
    assert values['audit_emit_chain_sequence{sink="jsonl"}'] == 6
    assert values['audit_emit_backlog_events{sink="jsonl"}'] == 0
    assert values['audit_emit_last_success_timestamp_seconds{sink="jsonl"}'] > 1_700_000_000
    assert values['audit_emit_sink_failing{reason="",sink="jsonl"}'] == 0


def test_every_counter_of_health_has_a_metric(emitter: audit_emit.Emitter) -> None:
    assert set(emitter.health()["counters"]) - {"unchained"} == set(COUNTERS)


def test_one_call_of_sixteen_is_in_the_histograms(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    # No thread that syncs: an event that had to wait for it would not be appended by its own call.
    emitter = audit_emit.Emitter(service="t", jsonl=log, stdout=False, durability="os")
    registry = CollectorRegistry()
    registry.register(AuditCollector(emitter))
    for number in range(2 * SAMPLE):
        emitter.emit(None, "a.b", {"text": "x" * (2000 if number < SAMPLE else 5)})
    values = shown(registry)
    assert values["audit_emit_emit_duration_seconds_count"] == 2
    assert values['audit_emit_emit_duration_seconds_bucket{le="+Inf"}'] == 2
    assert values["audit_emit_emit_duration_seconds_sum"] > 0
    sizes = [
        values[f'audit_emit_line_size_bytes_bucket{{le="{le}.0"}}'] for le in (512, 2048, 4096)
    ]
    assert sizes == [1, 1, 2]
    assert 2400 < values["audit_emit_line_size_bytes_sum"] < 4000
    emitter.close()


def test_the_last_checkpoint_and_the_last_anchor_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    emitter = audit_emit.Emitter(service="t", jsonl=log, stdout=False, signing_key="5e" * 32)
    registry = CollectorRegistry()
    registry.register(AuditCollector(emitter))
    emitter.emit(None, "a.b", {})
    assert "audit_emit_last_anchor_sequence" not in shown(registry)
    until(lambda: "audit_emit_last_checkpoint_sequence" in shown(registry), "a checkpoint")
    anchored = Anchored(1, 1_800_000_000, "file:/mnt/other", 2, "the note")
    (tmp_path / "anchors.jsonl").write_bytes(anchored.to_line())
    values = shown(registry)
    assert values["audit_emit_last_checkpoint_sequence"] >= 2
    assert values["audit_emit_last_checkpoint_timestamp_seconds"] > 1_700_000_000
    assert values["audit_emit_last_anchor_sequence"] == 2
    assert values["audit_emit_last_anchor_timestamp_seconds"] == 1_800_000_000
    emitter.close()


class Failing:
    """An emitter whose file cannot be written, for one reason or another."""

    def __init__(self, emitter: audit_emit.Emitter) -> None:
        self._health = emitter.health()
        self.reason: str | None = None

    def health(self) -> dict[str, Any]:
        sink = {
            **self._health["sinks"]["jsonl"],
            "state": "failing" if self.reason else "ok",
            "last_error": self.reason,
        }
        return {**self._health, "sinks": {"jsonl": sink}}


def test_several_processes_show_why_a_sink_fails_and_only_for_so_long(
    emitter: audit_emit.Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, registry = Failing(emitter), CollectorRegistry()
    thread = MovingThread(emitter, registry)
    monkeypatch.setattr(emitter, "health", failing.health)
    found = []
    for reason in ("ENOSPC", "EIO", None):
        failing.reason = reason
        thread.move()
        values = shown(registry)
        name = 'audit_emit_sink_failing{reason="%s",sink="jsonl"}'
        found.append([values.get(name % one, 0) for one in ("ENOSPC", "EIO", "")])
    assert found == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_scrape_makes_no_emitter() -> None:
    registry = CollectorRegistry()
    registry.register(AuditCollector())
    assert list(shown(registry)) == [f'audit_emit_build_info{{version="{audit_emit.__version__}"}}']


WORKERS = """
import os, sys, time
import audit_emit
from audit_emit.integrations.prometheus import start_multiprocess
audit_emit.configure(service="t", jsonl=sys.argv[1], stdout=False)
audit_emit.emit(None, "parent.started")
start_multiprocess(seconds=0.05)
for worker in range(3):
    pid = os.fork()
    if pid == 0:
        for number in range(100):
            audit_emit.emit(None, "a.b", {"n": number})
        time.sleep(60)
        os._exit(0)
    print(pid, flush=True)
time.sleep(60)
"""


@pytest.mark.filterwarnings("ignore")
def test_processes_add_up_and_still_do_after_one_was_killed(tmp_path: Path) -> None:
    from prometheus_client.multiprocess import MultiProcessCollector

    shared = tmp_path / "shared"
    shared.mkdir()
    command = [sys.executable, "-c", WORKERS, str(tmp_path / "a.jsonl")]
    env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)}
    parent = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(shared))  # type: ignore[no-untyped-call]

    def counted() -> list[float]:
        try:
            values = shown(registry)
        except struct.error:  # the client reads a file that another process is just making
            return []
        names = ("audit_emit_events_total", "audit_emit_emit_duration_seconds_count")
        return [values.get(name, 0) for name in names]

    def written() -> float:
        try:
            return shown(registry).get('audit_emit_chain_sequence{sink="jsonl"}', 0)
        except struct.error:  # the same
            return 0

    try:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(3)]
        expected = [301, 3 * (100 // SAMPLE + 1)]
        until(lambda: counted() == expected and written() >= 301, "the sums")
        os.kill(workers[0], signal.SIGKILL)
        assert counted() == expected
        assert written() >= 301
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.communicate()


def test_the_alert_rules_are_valid() -> None:
    command = [program("promtool"), "check", "rules", str(RULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_has_reason_and_not_before() -> None:
    tests = Path(__file__).with_name("emitter_alerts.yaml")
    command = [program("promtool"), "test", "rules", str(tests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    assert set(re.findall(r"alertname: (\w+)", tests.read_text())) == set(alerts)


@pytest.mark.parametrize("file", [RULES, DASHBOARD], ids=["alerts", "dashboard"])
def test_only_metrics_that_there_are_are_asked_for(file: Path) -> None:
    asked = set(re.findall(r"audit_emit_\w+", file.read_text()))
    counters = {f"audit_emit_{metric}_total" for metric, _ in COUNTERS.values()}
    counters |= {f"audit_emit_{metric}_bucket" for metric, _ in HISTOGRAMS.values()}
    assert asked <= counters | {f"audit_emit_{name}" for name in (*GAUGES, "build_info")}


def test_the_queries_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) > len(panels)
    rules = [
        {"record": f"query:{number}", "expr": re.sub(r"\$__\w+", "5m", query)}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    command = [program("promtool"), "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_can_be_imported_and_provisioned() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    (given,) = dashboard["__inputs"]
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    assert variables[given["name"]]["type"] == given["type"] == "datasource"
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"${DS_PROMETHEUS}"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["description"] for panel in dashboard["panels"])
