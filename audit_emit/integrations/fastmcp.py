"""fastmcp: the middleware that records the calls of a server; see ``audit_emit.integrations.mcp``.

    FastMCP("shop", middleware=[FastMcpAudit()])

It knows more than that of ``mcp``: the type of the exception that a tool has raised. A call to a
server that is mounted in another one is recorded once, by the outer one.
"""

from __future__ import annotations

from typing import Any

try:
    from fastmcp.server.dependencies import get_http_request
    from fastmcp.server.middleware import Middleware
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.fastmcp needs fastmcp: pip install fastmcp",
        name=_missing.name,
    ) from _missing

from audit_emit.integrations._common import Emits
from audit_emit.integrations.mcp import Facts, Recorder, client_of, session_of

__all__ = ["FastMcpAudit"]


class FastMcpAudit(Middleware):
    """Records tool calls, resources and prompts.

    Args:
        arguments: whether to record the arguments of tools and prompts, secrets redacted.
        emitter: writes the records; the process-wide one when ``None``.
    """

    def __init__(self, *, arguments: bool = True, emitter: Emits | None = None) -> None:
        self._recorder = Recorder(arguments=arguments, emitter=emitter)

    async def on_call_tool(self, context: Any, call_next: Any) -> Any:
        """A call of a tool."""
        return await self._record("tools/call", context, call_next)

    async def on_read_resource(self, context: Any, call_next: Any) -> Any:
        """A resource that is read."""
        return await self._record("resources/read", context, call_next)

    async def on_get_prompt(self, context: Any, call_next: Any) -> Any:
        """A prompt that is asked for."""
        return await self._record("prompts/get", context, call_next)

    async def _record(self, method: str, context: Any, call_next: Any) -> Any:
        within = context.fastmcp_context
        serving = getattr(within, "request_context", None)
        request_id = None if serving is None else within.request_id
        facts = Facts(method, context.message.model_dump(), request_id)
        try:
            facts.request = get_http_request()
        except RuntimeError:
            facts.request = None
        facts.meta = getattr(serving, "meta", None)
        facts.is_stdio = getattr(within, "transport", None) == "stdio"
        facts.client = client_of(getattr(within, "session", None))
        facts.session_id = session_of(facts.request)
        return await self._recorder.record(facts, lambda: call_next(context))
