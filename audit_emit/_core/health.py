"""The state of an emitter in one dictionary, for a health endpoint and for ``doctor``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit_emit._core.health_sources import archiver_of
from audit_emit._format.record import ns_of, ts_of
from audit_emit._runtime import nonblocking_fd as descriptor
from audit_emit._stores.base import StoreHealth
from audit_emit._stores.stdout.mirror import NUMBERS, StdoutMirror

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter
    from audit_emit._shipping.thread import ShippingThread

QUEUED = 1000
"""How many events may wait for a store that is not immediate, before they count as late."""

QUEUED_NS = 5 * 10**9
"""How many nanoseconds they may wait."""


def report(emitter: Emitter) -> dict[str, Any]:
    """What works and what does not.

    Returns:
        ``status``, of now: ``ok``; ``degraded`` (events are safe, but late, or not on every
        sink, or without their fields, as a processor failed); ``failing`` (events cannot reach
        the store now, or a loss is not yet declared); or ``off`` (nothing is recorded, as the
        settings say). ``losses``: ``events`` and
        ``lines`` of stdout that were lost since the start of this process, and ``last_event`` and
        ``last_line``, their ``ts`` or ``None``; ``records`` and ``last_record`` of records that
        were removed from the file, as by a truncation. ``sinks``: per sink ``state``,
        ``last_success`` (the ``ts`` of the last record), ``last_error`` (one word), ``backlog``
        (events), ``lost`` (not yet declared). ``checkpoint``: see ``Schedule.report``.
        ``archive``: ``state`` and more of an archiver in this process (``start_archiver``).
        ``subjects``: ``state``, ``store`` and ``last_error`` of the keys of persons.
        ``counters``: see ``_counters``. ``emit``: see ``Emitter.way``. ``notes``: sentences for
        people.
    """
    notes: list[str] = []
    store = emitter.store.health() if emitter.store is not None else None
    kept = _store(emitter, store, notes)
    is_file = store is None or emitter.settings.jsonl is not None
    off = {"state": "off", "path": None}
    sinks = {"jsonl": kept if is_file else off, "stdout": _stdout(emitter, notes)}
    if emitter.shipping is not None:
        sinks["store"] = _shipped(emitter.shipping, notes)
    elif not is_file:
        sinks["store"] = kept
    status = _status(emitter, sinks, notes)
    _tell_losses(emitter, store, notes)
    _tell_misuse(emitter, notes)
    return {
        "status": status,
        "service": emitter.settings.service,
        "losses": _losses(emitter, store),
        "sinks": sinks,
        "checkpoint": _checkpoint(emitter, notes),
        "subjects": _subjects(emitter, notes),
        "archive": _archive(emitter, notes),
        "counters": _counters(emitter, store),
        "emit": emitter.way,
        "notes": notes,
    }


def _status(emitter: Emitter, sinks: Mapping[str, Mapping[str, Any]], notes: list[str]) -> str:
    """The word for all of it; see ``report``."""
    states = {sink["state"] for sink in sinks.values()}
    if states == {"off"}:
        why = "disabled" if emitter.settings.disabled else "neither a file nor stdout"
        notes.append(f"{why}: nothing is recorded")
        return "off"
    if _cannot_keep(sinks) or states == {"off", "failing"}:
        return "failing"
    withheld, unsealed = emitter.counters.processor_errors, emitter.builder.report()["last_error"]
    if "failing" in states or "degraded" in states or _unsigned(emitter) or withheld or unsealed:
        return "degraded"
    return "ok"


def _cannot_keep(sinks: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(sink["state"] == "failing" for name, sink in sinks.items() if name != "stdout")


def _losses(emitter: Emitter, store: StoreHealth | None) -> dict[str, Any]:
    return {
        "events": emitter.counters.lost,
        "last_event": emitter.outbox.last_loss,
        "lines": emitter.counters.stdout_lost,
        "last_line": emitter.outbox.mirrored.last_lost,
        "records": 0 if store is None else store.taken_away,
        "last_record": None if store is None else store.last_taken_away,
    }


def _tell_losses(emitter: Emitter, store: StoreHealth | None, notes: list[str]) -> None:
    """Add notes on events that were lost, removed, or recorded without their fields."""
    if lost := emitter.counters.lost:
        notes.append(
            f"{lost} events were lost since the start of this process, the last one at "
            f"{emitter.outbox.last_loss}"
        )
    taken_away = store.taken_away if store is not None else 0
    if taken_away:
        notes.append(f"{taken_away} records were taken away from the file: audit.gap says which")
    if withheld := emitter.counters.processor_errors:
        notes.append(f"the fields of {withheld} events are withheld, as a processor failed")


def _tell_misuse(emitter: Emitter, notes: list[str]) -> None:
    types, contexts = emitter.counters.invalid_event_types, emitter.counters.invalid_contexts
    if types:
        notes.append(f"{types} calls named no usable event type (audit.invalid_event_type)")
    if contexts:
        notes.append(f"{contexts} calls gave a context that cannot be used")
    if unfit := emitter.counters.schema_violations:
        notes.append(f"{unfit} events do not fit the schema of their type (_schema says how)")


def _unsigned(emitter: Emitter) -> bool:
    return emitter.checkpoints is not None and emitter.checkpoints.error is not None


def _checkpoint(emitter: Emitter, notes: list[str]) -> dict[str, Any]:
    if emitter.checkpoints is None:
        return {"state": "off"}
    if _unsigned(emitter):
        notes.append(f"no checkpoint can be made ({emitter.checkpoints.error})")
    found = emitter.checkpoints.report()
    outside = found["outside"]
    notes += outside["findings"]
    if outside["last_error"]:
        notes.append(f"the newest checkpoint is not everywhere outside ({outside['last_error']})")
    return found


def _subjects(emitter: Emitter, notes: list[str]) -> dict[str, Any]:
    """The keys under which values of persons are sealed."""
    found, withheld = emitter.builder.report(), emitter.counters.withheld
    if found["last_error"]:
        notes.append(f"no key of a person can be had ({found['last_error']})")
    if withheld:
        why = "" if found["store"] else ": no store of keys is configured (subject_keys)"
        notes.append(f"{withheld} values of persons are withheld{why}")
    return found


def _archive(emitter: Emitter, notes: list[str]) -> dict[str, Any]:
    """The state of the archiver. The log itself has every record, so this changes no status."""
    found = archiver_of(emitter)
    if found.get("last_error"):
        notes.append(f"the log is not archived ({found['last_error']}); it is tried again")
    return found


def _counters(emitter: Emitter, store: StoreHealth | None) -> dict[str, int]:
    """The plain counts, and those that follow from them and from what the store counts itself."""
    counts = emitter.counters.as_dict()
    written, own = (store.written, store.own) if store is not None else (0, 0)
    at_once = written - own - counts["drained"] + counts["unchained"]
    emitted = at_once + counts["backlogged"] + counts["lost"]
    return {"emitted": emitted, "written": written, **counts}


def _store(emitter: Emitter, store: StoreHealth | None, notes: list[str]) -> dict[str, Any]:
    """The state of the store."""
    if store is None or emitter.store is None:
        return {"state": "off", "path": None}
    outbox = emitter.outbox
    is_file = emitter.settings.jsonl is not None
    name = "file" if is_file else "store"
    state = "ok"
    if store.unsynced:
        state = "degraded"
        notes.append(f"records are written but not synced ({store.unsynced})")
    if not store.exclusive:
        state = "degraded"
        notes.append("no file locks here: only one process may write to this log")
    waiting = len(outbox.backlog)
    if waiting and (emitter.store.traits.immediate or _is_late(emitter)):
        state = "degraded"
        notes.append(f"{waiting} events wait for the {name}")
    # Before the first write, the store may know why that would fail.
    fault = outbox.fault or store.fault
    if fault or outbox.gap.lost:
        state = "failing"
        notes.append(f"the {name} cannot be written ({fault or 'overflow'})")
    source = emitter.settings.sources.get("jsonl", "default")
    where = {"path": store.place, "path_source": source} if is_file else {"address": store.place}
    return {
        "state": state,
        **where,
        "durability": store.durability,
        "last_success": ts_of(store.last_ns) if store.last_ns else None,
        "last_error": fault or outbox.last_error,
        "backlog": waiting,
        "lost": outbox.gap.lost,
        "chain": store.chain or None,
        "seq": store.seq,
    }


def _is_late(emitter: Emitter) -> bool:
    """Whether events wait too long, or too many of them, for a store that is not immediate."""
    backlog = emitter.outbox.backlog
    oldest = backlog.oldest()
    late = oldest is not None and time.time_ns() - ns_of(oldest) > QUEUED_NS
    return late or len(backlog) > QUEUED


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
    mirror = emitter.mirror
    if not isinstance(mirror, StdoutMirror):
        return {"state": "off"}
    state = "ok"
    if mirror.kind in {"pipe", "socket"} and not descriptor.NOWAIT:
        notes.append("no RWF_NOWAIT here: a write to stdout is preceded by a poll")
    gap = emitter.outbox.mirrored.gap
    # Without a store there is nowhere to declare a loss; the counters keep it.
    if mirror.fault or (gap.lost and emitter.store is not None):
        state = "failing"
        notes.append(f"lines could not be written to stdout ({mirror.fault or 'declared soon'})")
    return {
        "state": state,
        "stream": NUMBERS.get(mirror.number),
        "kind": mirror.kind,
        "last_success": mirror.last[7:37].decode() or None,
        "last_error": mirror.fault or (gap.reason or None),
        "backlog": 0,
        "lost": gap.lost,
    }
