"""Celery: the context travels with a task, and the end of each task is recorded.

    from audit_emit.integrations.celery import connect

    app = Celery("shop", ...)
    connect(key=os.environ["TASK_KEY"])     # where tasks are sent, and where they run

``task.finished`` is written by the process that ran the task; of a task that was revoked, exceeded
its hard time limit, or lost its worker process, by the worker's main process.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any
from weakref import WeakValueDictionary

try:
    from billiard import current_process
    from celery import signals
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.celery needs Celery: pip install 'audit-emit[celery]'",
        name=_missing.name,
    ) from _missing

from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._tasks import (
    HEADER,
    Carrier,
    RunningTask,
    context_of,
    emit_finished,
)

__all__ = ["connect"]

_OUTCOMES = {"SUCCESS": "success", "RETRY": "retry", "IGNORED": "ignored", "REJECTED": "rejected"}
_UID = "audit_emit"
_REMEMBERED = 1000
"""How many recorded tasks the main process remembers: Celery signals the end of some twice."""


class _Adapter:
    """The receivers of Celery's signals."""

    def __init__(self, key: str | bytes | None, emitter: Emits | None) -> None:
        self._carrier = Carrier(key)
        self._emitter = emitter
        self._running: dict[str, RunningTask] = {}
        self._received: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._recorded: OrderedDict[tuple[str, int], None] = OrderedDict()

    def published(self, headers: Any = None, **_: Any) -> None:
        if not isinstance(headers, dict):
            return
        packed = self._carrier.pack(str(headers.get("id", "")))
        if packed is not None:
            headers[HEADER] = packed
            # A task that is sent again with the headers of its message takes them from here.
            inner = headers.get("headers")
            if isinstance(inner, dict):
                inner[HEADER] = packed

    def received(self, request: Any = None, **_: Any) -> None:
        """In the main process of a worker: the hard time limit tells the id of the task only."""
        if request is not None:
            self._received[str(request.id)] = request

    def begins(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        request = task.request
        ids, trust = self._carrier.unpack(task_id, _header(request))
        root = str(request.root_id or task_id)
        self._running[task_id] = RunningTask(ids, trust, root, inherit=bool(request.is_eager))

    def ends(self, task_id: str = "", task: Any = None, state: str | None = None, **_: Any) -> None:
        run = self._running.pop(task_id, None)
        if run is None:
            return
        if state is None and current_process().daemon:
            # A child of the pool that ends in the middle of a task: its parent says why.
            run.leave()
            return
        fields = _facts(task, task.request, task_id)
        fields["outcome"] = _OUTCOMES.get(state or "", "failure")
        try:
            run.finish(self._emitter, fields)
        finally:
            run.leave()

    def fails(self, sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
        run = self._running.get(task_id)
        if run is not None:
            run.error = type(exception)
            return
        request = sender.request_stack.top or getattr(self._received.get(task_id), "_context", None)
        self._from_parent(sender, request, task_id, type(exception), "failure")

    def retries(
        self, sender: Any = None, request: Any = None, reason: Any = None, **_: Any
    ) -> None:
        task_id = str(request.id)
        error = getattr(reason, "exc", None)
        run = self._running.get(task_id)
        if run is not None:
            run.error = type(error) if isinstance(error, BaseException) else None
            return
        kind = type(error) if isinstance(error, BaseException) else None
        self._from_parent(sender, request, task_id, kind, "retry")

    def revoked(
        self,
        sender: Any = None,
        request: Any = None,
        terminated: bool = False,
        expired: bool = False,
        **_: Any,
    ) -> None:
        reason = "expired" if expired else "terminated" if terminated else "revoked"
        self._from_parent(sender, request, str(request.id), None, "cancelled", reason=reason)

    def _from_parent(
        self,
        task: Any,
        request: Any,
        task_id: str,
        error: type[BaseException] | None,
        outcome: str,
        reason: str | None = None,
    ) -> None:
        """Record a task that this process has not run itself, once for each try."""
        fields = _facts(task, request, task_id)
        tried = task_id, fields["retries"]
        if tried in self._recorded:
            return
        self._recorded[tried] = None
        if len(self._recorded) > _REMEMBERED:
            self._recorded.popitem(last=False)
        ids, trust = self._carrier.unpack(task_id, _header(request))
        fields["outcome"] = outcome
        if error is not None:
            fields["error"] = bare_name(error)
            lost = {"TimeLimitExceeded": "hard_time_limit", "WorkerLostError": "worker_lost"}
            reason = lost.get(fields["error"], reason)
            if reason is not None and outcome == "failure":
                fields["outcome"] = "aborted"
        fields["reason"] = reason
        root = str(getattr(request, "root_id", None) or task_id)
        emit_finished(self._emitter, context_of(ids, root), trust, fields)


def _header(request: Any) -> Any:
    headers = getattr(request, "headers", None)
    if isinstance(headers, dict) and HEADER in headers:
        return headers[HEADER]
    return getattr(request, HEADER, None)


def _facts(task: Any, request: Any, task_id: str) -> dict[str, Any]:
    delivery = getattr(request, "delivery_info", None) or {}
    return {
        "task": str(getattr(task, "name", None) or getattr(request, "task", None) or "?"),
        "task_id": task_id,
        "retries": int(getattr(request, "retries", 0) or 0),
        "redelivered": bool(delivery.get("redelivered")) or None,
        "queue": delivery.get("routing_key") or None,
    }


class _Quiet:
    """A receiver whose own exceptions do not reach Celery, except those of time limits."""

    def __init__(self, receiver: Any) -> None:
        self._receiver = receiver

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("signal", None)
        try:
            self._receiver(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a request may hold anything; the task goes on
            let_through(error)
            report_failure("tasks of Celery", error)


_connected: list[tuple[Any, _Quiet]] = []


def connect(*, key: str | bytes | None = None, emitter: Emits | None = None) -> None:
    """Connect to Celery's signals, in every process that sends or runs tasks.

    A second call replaces the first.

    Args:
        key: signs the context in each message; at least 16 bytes, the same everywhere. Without
            it, whoever can write to the broker chooses who acts; ``context`` says ``claimed``.
        emitter: writes the records; the process-wide one when ``None``.

    Raises:
        ConfigError: the key cannot be used.
    """
    adapter = _Adapter(key, emitter)
    for signal, receiver in _connected:
        signal.disconnect(receiver)
    _connected.clear()
    pairs = [
        (signals.before_task_publish, adapter.published),
        (signals.task_received, adapter.received),
        (signals.task_prerun, adapter.begins),
        (signals.task_postrun, adapter.ends),
        (signals.task_failure, adapter.fails),
        (signals.task_retry, adapter.retries),
        (signals.task_revoked, adapter.revoked),
    ]
    for signal, function in pairs:
        receiver = _Quiet(function)
        signal.connect(receiver, weak=False)
        _connected.append((signal, receiver))
