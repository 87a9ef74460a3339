"""Prometheus: the counters of the emitter as metrics.

    REGISTRY.register(AuditCollector())          # one process
    start_multiprocess()                         # gunicorn with PROMETHEUS_MULTIPROC_DIR

``emit`` updates no metric: the counters exist anyway, and are read for each scrape. With several
processes, a thread in each adds the changes of the last second to the files that
``prometheus_client`` shares; it holds no lock that ``emit`` takes. For the histograms one call in
sixteen is measured (``_core/measured.py``), from when a collector or that thread is made.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate
from typing import Any, Literal

try:
    import prometheus_client as client
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.prometheus needs prometheus-client: "
        "pip install 'audit-emit[prometheus]'",
        name=_missing.name,
    ) from _missing

from audit_emit import Emitter, __version__
from audit_emit._facade.adapters import (
    Histogram,
    Measured,
    current_emitter,
    let_through,
    measure,
    prepare_exit,
)
from audit_emit.integrations._common import report_failure

__all__ = ["AuditCollector", "MovingThread", "start_multiprocess"]

COUNTERS = {
    "emitted": ("events", "Events that the application has emitted."),
    "written": ("records_written", "Records that this process has appended, its own included."),
    "lost": ("events_lost", "Events that will never be in the log."),
    "backlogged": ("events_backlogged", "Events that could not be written when they happened."),
    "drained": ("events_drained", "Events that waited, and are in the log now."),
    "truncated": ("records_truncated", "Records in which a limit cut something off."),
    "redacted": ("values_redacted", "Values that were redacted."),
    "recovered": ("log_ends_recovered", "Incomplete ends of a file that were declared."),
    "rotated": ("segments_closed", "Segments of the log that were closed."),
    "stdout_lost": ("stdout_lines_lost", "Lines that standard output did not accept."),
    "processor_errors": ("processor_errors", "Events whose fields a failed processor withheld."),
    "internal_errors": ("internal_errors", "Exceptions that the guard of emit has stopped."),
    "invalid_event_types": ("invalid_event_types", "Calls with a malformed event type."),
    "invalid_contexts": ("invalid_contexts", "Calls with a context that cannot be used."),
    "withheld": ("values_withheld", "Values of persons for which there was no key."),
    "schema_violations": ("schema_violations", "Events that do not fit the schema of their type."),
}
"""The counters of ``health()``: the metric's name after ``audit_emit_``, and what it counts."""

HISTOGRAMS = {
    "durations": ("emit_duration_seconds", "How long calls of emit took, one of sixteen."),
    "sizes": ("line_size_bytes", "How long lines of the log are, one of sixteen."),
}
"""What is measured: the metric's name after ``audit_emit_``, and what it is."""

_BACKLOG = ("backlog_events", "Events that wait in memory.")
_SEQ = ("chain_sequence", "The sequence number at the end of the chain.")
_SUCCESS = ("last_success_timestamp_seconds", "When a record last reached the sink.")
_CHECKPOINT = ("last_checkpoint_timestamp_seconds", "When the log was last signed.")
_SIGNED = ("last_checkpoint_sequence", "The sequence number that was last signed.")
_ANCHOR = ("last_anchor_timestamp_seconds", "When a checkpoint was last brought to an anchor.")
_ANCHORED = ("last_anchor_sequence", "The sequence number that an anchor last got.")
_FAILING = ("sink_failing", "1 while a sink cannot be written, by the reason.")
_MOVE_SECONDS = 1.0

_Mode = Literal["livesum", "max"]


def _health(emitter: Emitter | None) -> dict[str, Any] | None:
    """``health()`` of the emitter; ``None`` while there is none: a scrape must not make one."""
    made = current_emitter() if emitter is None else emitter
    return None if made is None else made.health()


def _measured(emitter: Emitter | None) -> Measured | None:
    """What was measured of the emitter, which is measured from now on; see ``_health``."""
    made = current_emitter() if emitter is None else emitter
    return None if made is None else measure(made)


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """The counts up to each bound, as Prometheus has them."""
    bounds = (
        *(f"{bound:g}" if bound < 1 else f"{bound:.1f}" for bound in histogram.bounds),
        "+Inf",
    )
    return list(zip(bounds, accumulate(histogram.counts), strict=True))


def _seconds(ts: str | None) -> float | None:
    """Seconds since 1970 of the ``ts`` of a record."""
    return None if not ts else datetime.fromisoformat(f"{ts[:26]}+00:00").timestamp()


def _gauges(health: dict[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, str], float]]:
    """The metrics that are no counters: name and help, labels, value."""
    for sink, state in health["sinks"].items():
        if state["state"] == "off":
            continue
        labels = {"sink": sink}
        yield _BACKLOG, labels, state.get("backlog", 0)
        if state.get("seq") is not None:
            yield _SEQ, labels, state["seq"]
        success = _seconds(state.get("last_success"))
        if success is not None:
            yield _SUCCESS, labels, success
        failing = state["state"] == "failing"
        reason = str(state.get("last_error") or "unknown") if failing else ""
        yield _FAILING, {**labels, "reason": reason}, int(failing)
    checkpoint = health["checkpoint"]
    signed = _seconds(checkpoint.get("last_success"))
    if signed is not None:
        yield _CHECKPOINT, {}, signed
        yield _SIGNED, {}, checkpoint["last_seq"] or 0
    outside = checkpoint.get("outside") or {}
    if outside.get("anchored_at") is not None:
        yield _ANCHOR, {}, outside["anchored_at"]
        yield _ANCHORED, {}, outside["anchored_seq"]


class AuditCollector(Collector):
    """Reads the counters of this process when it is asked; to be registered once.

    Args:
        emitter: whose counters; the process-wide one when ``None``.
    """

    def __init__(self, emitter: Emitter | None = None) -> None:
        self._emitter = emitter
        _measured(emitter)

    def collect(self) -> Iterator[Any]:
        """The metrics as they are now."""
        build = GaugeMetricFamily("audit_emit_build_info", "The version.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        health = _health(self._emitter)
        if health is None:
            return
        for name, (metric, text) in COUNTERS.items():
            yield CounterMetricFamily(f"audit_emit_{metric}", text, value=health["counters"][name])
        families: dict[str, Any] = {}
        for (metric, text), labels, value in _gauges(health):
            family = families.get(metric)
            if family is None:
                family = GaugeMetricFamily(f"audit_emit_{metric}", text, labels=list(labels))
                families[metric] = family
            family.add_metric(list(labels.values()), value)
        yield from families.values()
        measured = _measured(self._emitter)
        for name, (metric, text) in HISTOGRAMS.items():
            found: Histogram = getattr(measured, name)
            buckets = _cumulative(found)
            yield HistogramMetricFamily(
                f"audit_emit_{metric}", text, buckets=buckets, sum_value=found.total
            )

    def describe(self) -> Iterator[Any]:
        """Nothing, so that registering does not collect."""
        return iter(())


class _MovingHistograms:
    """The histograms that processes share, and what of this process's is in them already."""

    def __init__(self, registry: Any) -> None:
        self._metrics: dict[str, Any] = {}
        self._moved: dict[str, tuple[list[int], float]] = {}
        made = Measured()
        for name, (metric, text) in HISTOGRAMS.items():
            bounds = getattr(made, name).bounds
            self._metrics[name] = client.Histogram(
                f"audit_emit_{metric}", text, buckets=bounds, registry=registry
            )
        self.skip(made)

    def skip(self, measured: Measured | None) -> None:
        """Treat the present counts as moved."""
        for name in HISTOGRAMS if measured is not None else ():
            found: Histogram = getattr(measured, name)
            self._moved[name] = [*found.counts], found.total

    def move(self, measured: Measured | None) -> None:
        """Add what has come since the last time."""
        if measured is None:
            return
        for name, metric in self._metrics.items():
            found: Histogram = getattr(measured, name)
            counts, total = [*found.counts], found.total
            before, sum_before = self._moved[name]
            if any(now < then for now, then in zip(counts, before, strict=True)):
                before, sum_before = [0] * len(counts), 0.0  # another emitter was configured
            self._moved[name] = counts, total
            # ``observe`` takes one value; these are the cells that it adds to.
            for cell, now, then in zip(metric._buckets, counts, before, strict=True):  # noqa: SLF001
                if now > then:
                    cell.inc(now - then)
            if total > sum_before:
                metric._sum.inc(total - sum_before)  # noqa: SLF001 - the same


class MovingThread:
    """Moves the counters of this process into metrics that processes share.

    A forked child starts its own thread, and moves only what it has counted itself. A fork waits
    for the end of a move, as nobody would release its locks in the child. When a process is killed,
    sums over processes lack only what it counted in its last second. Of the gauges,
    ``backlog_events`` is the sum over live processes, the others are the maximum.
    """

    def __init__(
        self, emitter: Emitter | None = None, registry: Any = None, seconds: float = _MOVE_SECONDS
    ) -> None:
        made = client.REGISTRY if registry is None else registry
        self._emitter = emitter
        self._seconds = seconds
        self._counters = {
            name: client.Counter(f"audit_emit_{metric}", text, registry=made)
            for name, (metric, text) in COUNTERS.items()
        }
        self._gauges: dict[str, Any] = {}
        shared: tuple[tuple[tuple[str, str], list[str], _Mode], ...] = (
            (_BACKLOG, ["sink"], "livesum"),
            (_SEQ, ["sink"], "max"),
            (_SUCCESS, ["sink"], "max"),
            (_CHECKPOINT, [], "max"),
            (_SIGNED, [], "max"),
            (_ANCHOR, [], "max"),
            (_ANCHORED, [], "max"),
        )
        for (metric, text), labels, mode in shared:
            self._gauges[metric] = client.Gauge(
                f"audit_emit_{metric}", text, labels, multiprocess_mode=mode, registry=made
            )
        failing, text = _FAILING
        self._failing = client.Gauge(
            f"audit_emit_{failing}",
            text,
            ["sink", "reason"],
            multiprocess_mode="livemax",
            registry=made,
        )
        self._reasons: dict[str, str] = {}
        build = client.Gauge(
            "audit_emit_build_info",
            "The version.",
            ["version"],
            multiprocess_mode="max",
            registry=made,
        )
        build.labels(__version__).set(1)
        self._moved = dict.fromkeys(COUNTERS, 0)
        self._histograms = _MovingHistograms(made)
        _measured(emitter)
        self._moving = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, now and in each child."""
        os.register_at_fork(
            before=self._moving.acquire,
            after_in_parent=self._moving.release,
            after_in_child=self._begin_in_child,
        )
        self._begin()

    def stop(self) -> None:
        """Move a last time, and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.move()

    def _begin(self) -> None:
        prepare_exit()
        self._thread = threading.Thread(target=self._run, name="audit-emit-metrics", daemon=True)
        self._thread.start()

    def _begin_in_child(self) -> None:
        self._moving.release()
        if self._stop.is_set():
            return
        # What the parent has counted is the parent's, and is in the parent's file.
        health = _health(self._emitter)
        if health is not None:
            self._moved = {name: health["counters"][name] for name in COUNTERS}
            self._histograms.skip(_measured(self._emitter))
        self._stop = threading.Event()
        self._begin()

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(self._seconds):
            self.move()

    def move(self) -> None:
        """Add what has come since the last time. Never raises."""
        try:
            health = _health(self._emitter)
            if health is not None:
                with self._moving:
                    self._move(health)
                    self._histograms.move(_measured(self._emitter))
        except Exception as error:  # noqa: BLE001 - the shared directory may be gone; the next time
            let_through(error)
            report_failure("metrics", error)

    def _move(self, health: dict[str, Any]) -> None:
        for name, counter in self._counters.items():
            now = health["counters"][name]
            if now < self._moved[name]:  # another emitter was configured
                self._moved[name] = 0
            if now > self._moved[name]:
                counter.inc(now - self._moved[name])
                self._moved[name] = now
        for (metric, _), labels, value in _gauges(health):
            if metric == _FAILING[0]:
                sink, reason = labels["sink"], labels["reason"]
                before = self._reasons.get(sink, reason)
                if before != reason:  # what it was is over
                    self._failing.labels(sink, before).set(0)
                self._failing.labels(sink, reason).set(value)
                self._reasons[sink] = reason
            else:
                gauge = self._gauges[metric]
                (gauge.labels(**labels) if labels else gauge).set(value)


def start_multiprocess(
    *, emitter: Emitter | None = None, seconds: float = _MOVE_SECONDS
) -> MovingThread:
    """Share the metrics between processes, with ``PROMETHEUS_MULTIPROC_DIR``.

    Call it once, where the workers are started (gunicorn: in the module of the application, also
    with ``--preload``), and let gunicorn's ``child_exit`` call ``mark_process_dead(worker.pid)``
    of ``prometheus_client.multiprocess``.

    Args:
        emitter: whose counters; the process-wide one when ``None``.
        seconds: between two moves; what a process counts in less than that before SIGKILL is
            missing in the metrics, and never in the log.

    Returns:
        The thread; ``stop()`` ends it.
    """
    thread = MovingThread(emitter, seconds=seconds)
    thread.start()
    return thread
