"""The state of an emitter in one dictionary, for a health endpoint and for ``doctor``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit_emit._format.record import ts_of
from audit_emit._runtime import nonblocking_fd as descriptor
from audit_emit._stores.jsonl.obstacle import obstacle
from audit_emit._stores.stdout.mirror import NUMBERS

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter
    from audit_emit._shipping.thread import ShippingThread
    from audit_emit._stores.postgres.queue import QueuedChains

QUEUED = 1000
"""Events on their way to a database that is not slow: more are behind."""


def report(emitter: Emitter) -> dict[str, Any]:
    """What works and what does not.

    Returns:
        ``status``, of now: ``ok``; ``degraded`` (events are safe, but late, or not on every
        sink, or without their fields, as a processor failed); ``failing`` (events cannot reach
        the file now, or a loss is not yet declared); or ``off`` (nothing is recorded, and nothing
        is meant to be). ``losses``: ``events`` and
        ``lines`` of stdout that were lost since the start of this process, and ``last_event`` and
        ``last_line``, their ``ts`` or ``None``; ``records`` and ``last_record`` of what was in the
        file and was taken away, as a truncation does. ``sinks``: per sink ``state``,
        ``last_success`` (the ``ts`` of the last record), ``last_error`` (one word), ``backlog``
        (events), ``lost`` (not yet declared). ``checkpoint``: see ``Schedule.report``.
        ``counters``: see ``_counters``. ``emit``: see ``Emitter.way``. ``notes``: sentences for
        people.
    """
    notes: list[str] = []
    sinks = {"jsonl": _file(emitter, notes), "stdout": _stdout(emitter, notes)}
    if emitter.direct is not None:
        sinks["store"] = _direct(emitter, emitter.direct, notes)
    elif emitter.shipping is not None:
        sinks["store"] = _shipped(emitter.shipping, notes)
    lost = emitter.counters.lost
    withheld = emitter.counters.processor_errors
    states = {sink["state"] for sink in sinks.values()}
    if states == {"off"}:
        why = "disabled" if emitter.settings.disabled else "neither a file nor stdout"
        notes.append(f"{why}: nothing is recorded")
        status = "off"
    elif _cannot_keep(sinks) or states == {"off", "failing"}:
        status = "failing"
    elif "failing" in states or "degraded" in states or _unsigned(emitter) or withheld:
        status = "degraded"
    else:
        status = "ok"
    if lost:
        notes.append(
            f"{lost} events were lost since the start of this process, the last one at "
            f"{_last_loss(emitter)}"
        )
    taken_away = emitter.file.segment.taken_away if emitter.file is not None else 0
    if taken_away:
        notes.append(f"{taken_away} records were taken away from the file: audit.gap says which")
    if withheld:
        notes.append(f"the fields of {withheld} events are withheld, as a processor failed")
    _tell_misuse(emitter, notes)
    return {
        "status": status,
        "service": emitter.settings.service,
        "losses": _losses(emitter),
        "sinks": sinks,
        "checkpoint": _checkpoint(emitter, notes),
        "counters": _counters(emitter),
        "emit": emitter.way,
        "notes": notes,
    }


def _cannot_keep(sinks: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(sink["state"] == "failing" for name, sink in sinks.items() if name != "stdout")


def _losses(emitter: Emitter) -> dict[str, Any]:
    return {
        "events": emitter.counters.lost,
        "last_event": _last_loss(emitter),
        "lines": emitter.counters.stdout_lost,
        "last_line": emitter.last_lost_line,
        "records": 0 if emitter.file is None else emitter.file.segment.taken_away,
        "last_record": None if emitter.file is None else emitter.file.segment.last_taken_away,
    }


def _last_loss(emitter: Emitter) -> str | None:
    return emitter.direct.last_loss if emitter.direct is not None else emitter.last_loss


def _tell_misuse(emitter: Emitter, notes: list[str]) -> None:
    types, contexts = emitter.counters.invalid_event_types, emitter.counters.invalid_contexts
    if types:
        notes.append(f"{types} calls named no usable event type (audit.invalid_event_type)")
    if contexts:
        notes.append(f"{contexts} calls gave a context that cannot be used")


def _unsigned(emitter: Emitter) -> bool:
    return emitter.checkpoints is not None and emitter.checkpoints.error is not None


def _checkpoint(emitter: Emitter, notes: list[str]) -> dict[str, Any]:
    if emitter.checkpoints is None:
        return {"state": "off"}
    if _unsigned(emitter):
        notes.append(f"no checkpoint can be made ({emitter.checkpoints.error})")
    return emitter.checkpoints.report()


def _counters(emitter: Emitter) -> dict[str, int]:
    """The plain counts, and those that follow from them and from what the file counts itself."""
    counts = emitter.counters.as_dict()
    written = own = 0
    if emitter.file is not None:
        written, own = emitter.file.segment.written, emitter.file.segment.own_written
    at_once = written - own - counts["drained"] + counts["unchained"]
    emitted = at_once + counts["backlogged"] + counts["lost"]
    return {"emitted": emitted, "written": written, **counts}


def _file(emitter: Emitter, notes: list[str]) -> dict[str, Any]:
    sink = emitter.file
    if sink is None:
        return {"state": "off", "path": None}
    state = "ok"
    unsynced = sink.sync_trouble()
    if unsynced:
        state = "degraded"
        notes.append(f"records are written but not synced ({unsynced})")
    if not sink.locks:
        state = "degraded"
        notes.append("no file locks here: only one process may write to this log")
    if len(emitter.backlog):
        state = "degraded"
        notes.append(f"{len(emitter.backlog)} events wait for the file")
    fault = emitter.file_fault
    if fault is None and sink.segment.descriptor < 0:
        fault = obstacle(sink.layout)  # nothing was written yet that would have told
    if fault or emitter.file_gap.lost:
        state = "failing"
        notes.append(f"the file cannot be written ({fault or 'overflow'})")
    return {
        "state": state,
        "path": emitter.settings.jsonl,
        "path_source": emitter.settings.sources.get("jsonl", "default"),
        "durability": emitter.settings.durability,
        "last_success": ts_of(sink.segment.last_ns) if sink.segment.last_ns else None,
        "last_error": fault or emitter.file_last_error,
        "backlog": len(emitter.backlog),
        "lost": emitter.file_gap.lost,
        "chain": sink.segment.chain or None,
        "seq": sink.segment.seq,
    }


def _direct(emitter: Emitter, store: QueuedChains, notes: list[str]) -> dict[str, Any]:
    """The sink of ``configure(store=…)``: the same words as of the file."""
    state = "ok"
    waiting = len(store)
    if waiting > QUEUED:
        state = "degraded"
        notes.append(f"{waiting} events wait for the database")
    if store.fault or store.gap.lost:
        state = "failing"
        notes.append(f"nothing can be appended in the database ({store.fault or 'overflow'})")
    newest = store.newest
    return {
        "state": state,
        "address": store.address.shown,
        "durability": emitter.settings.durability,
        "last_success": newest.line[7:37].decode() if newest is not None else None,
        "last_error": store.fault or store.last_error,
        "backlog": waiting,
        "lost": store.gap.lost,
        "chain": newest.chain if newest is not None else None,
        "seq": newest.seq if newest is not None else 0,
    }


def _shipped(shipping: ShippingThread, notes: list[str]) -> dict[str, Any]:
    """The copy of the file in a database: late at worst, so never failing."""
    if shipping.fault:
        notes.append(f"the log is not shipped to the database ({shipping.fault})")
    return {
        "state": "degraded" if shipping.fault else "ok",
        "address": shipping.address.shown,
        "last_error": shipping.fault,
        "seq": shipping.last,
    }


def _stdout(emitter: Emitter, notes: list[str]) -> dict[str, Any]:
    sink = emitter.stdout
    if sink is None:
        return {"state": "off"}
    state = "ok"
    if sink.kind in {"pipe", "socket"} and not descriptor.NOWAIT:
        notes.append("no RWF_NOWAIT here: a write to stdout is preceded by a poll")
    # Without a file there is nowhere to declare a loss; the counters keep it.
    if sink.fault or (emitter.stdout_gap.lost and emitter.file is not None):
        state = "failing"
        notes.append(f"lines could not be written to stdout ({sink.fault or 'declared soon'})")
    return {
        "state": state,
        "stream": NUMBERS.get(sink.number),
        "kind": sink.kind,
        "last_success": sink.last[7:37].decode() or None,
        "last_error": sink.fault or (emitter.stdout_gap.reason or None),
        "backlog": 0,
        "lost": emitter.stdout_gap.lost,
    }
