"""LangChain: a callback handler that records the calls of tools, with the fields of MCP's.

    agent.invoke(question, config={"callbacks": [LangChainAudit()]})

``agent.tool_called`` is written once for each call. A tool that is called without that ``config``
is not seen.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any
from uuid import UUID

try:
    from langchain_core.callbacks import BaseCallbackHandler
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.langchain needs LangChain: pip install 'audit-emit[langchain]'",
        name=_missing.name,
    ) from _missing

import audit_emit
from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.context import AuditContext, current_context
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._http import is_cancelled

__all__ = ["LangChainAudit"]

_MOST = 10_000
"""How many running calls are remembered: of one that never ends there is no callback."""


class LangChainAudit(BaseCallbackHandler):
    """Records the calls of tools.

    Args:
        arguments: whether to record their arguments, secrets redacted.
        emitter: writes the records; the process-wide one when ``None``.
    """

    run_inline: bool = True
    """In the caller's own context and thread, so that the actor is known."""

    def __init__(self, *, arguments: bool = True, emitter: Emits | None = None) -> None:
        super().__init__()
        self._arguments = arguments
        self._emitter = emitter
        self._running: dict[UUID, tuple[AuditContext, float, dict[str, Any]]] = {}

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        inputs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Remember a call that begins."""
        fields: dict[str, Any] = {"tool": str((serialized or {}).get("name", "?"))}
        if self._arguments:
            fields["arguments"] = inputs if inputs is not None else input_str
        fields["request_id"] = str(run_id)
        while len(self._running) >= _MOST:
            self._running.pop(next(iter(self._running)), None)
        self._running[run_id] = current_context(), perf_counter(), fields

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """Record a call that has ended."""
        failed = getattr(output, "status", "success") == "error"
        self._end(run_id, "failure" if failed else "success", None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Record a call that has raised, or was cancelled."""
        cancelled = is_cancelled(type(error))
        self._end(run_id, "cancelled" if cancelled else "failure", error)

    def _end(self, run_id: UUID, outcome: str, error: BaseException | None) -> None:
        context, started, fields = self._running.pop(
            run_id, (current_context(), perf_counter(), {"request_id": str(run_id)})
        )
        fields["outcome"] = outcome
        if error is not None:
            fields["error"] = bare_name(type(error))
        fields["duration_ms"] = round((perf_counter() - started) * 1000, 3)
        try:
            emit = audit_emit.emit if self._emitter is None else self._emitter.emit
            emit(context, "agent.tool_called", fields)
        except Exception as failed:  # noqa: BLE001 - another emitter than ours may raise; the agent goes on
            let_through(failed)
            report_failure("a call of LangChain", failed)
