"""dramatiq: the context travels with a message, and the end of each message is recorded.

    broker.add_middleware(AuditMiddleware(key=os.environ["TASK_KEY"]))

Add it in every process that sends or runs messages. ``task.finished`` is that of Celery.
"""

# ruff: noqa: ARG002 - the names are those of the methods that it implements
from __future__ import annotations

from typing import Any

try:
    from dramatiq.middleware import Middleware, SkipMessage
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.dramatiq needs dramatiq: pip install 'audit-emit[dramatiq]'",
        name=_missing.name,
    ) from _missing

from audit_emit._facade.adapters import let_through
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._tasks import HEADER, Carrier, RunningTask

__all__ = ["AuditMiddleware"]


class AuditMiddleware(Middleware):
    """Carries the context, and records the end of each message.

    Args:
        key: signs the context; at least 16 bytes, the same everywhere (docs/hosts.md).
        emitter: writes the records; the process-wide one when ``None``.

    Raises:
        ConfigError: the key cannot be used.
    """

    def __init__(self, *, key: str | bytes | None = None, emitter: Emits | None = None) -> None:
        self._carrier = Carrier(key)
        self._emitter = emitter
        self._running: dict[str, RunningTask] = {}

    def before_enqueue(self, broker: Any, message: Any, delay: Any) -> None:
        """Put the context into the message."""
        packed = self._carrier.pack(str(message.message_id))
        if packed is not None:
            message.options[HEADER] = packed

    def before_process_message(self, broker: Any, message: Any) -> None:
        """Bind the context of the message."""
        ids, trust = self._carrier.unpack(str(message.message_id), message.options.get(HEADER))
        run = RunningTask(ids, trust, str(message.message_id))
        self._running[message.message_id] = run

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        """Record the end, and clear the context."""
        self._end(message, "success" if exception is None else "failure", exception)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """The same for a message that a middleware has skipped, such as one that is too old."""
        self._end(message, "ignored", None)

    def _end(self, message: Any, outcome: str, exception: BaseException | None) -> None:
        run = self._running.pop(message.message_id, None)
        if run is None:
            return
        fields: dict[str, Any] = {
            "task": str(message.actor_name),
            "task_id": str(message.message_id),
            "queue": str(message.queue_name),
            "retries": int(message.options.get("retries", 0)),
            "outcome": outcome,
        }
        if exception is not None and not isinstance(exception, SkipMessage):
            run.error = type(exception)
        try:
            run.finish(self._emitter, fields)
        except Exception as error:  # noqa: BLE001 - another emitter than ours may raise; the worker goes on
            let_through(error)
            report_failure("messages of dramatiq", error)
        finally:
            run.leave()
