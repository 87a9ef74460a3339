"""MCP: tool calls, resources and prompts of a server as events, over stdio and HTTP.

    MCPServer("shop", middleware=[McpAudit()])          # mcp 2.x, and its low-level Server
    attach(FastMCP("shop"))                             # mcp 1.x, and its low-level Server
    FastMCP("shop", middleware=[FastMcpAudit()])        # fastmcp: audit_emit.integrations.fastmcp

Each call is one record: ``mcp.tool_called``, ``mcp.resource_read``, ``mcp.prompt_read``. The actor
is the subject of the token that the server has verified; over stdio nobody is known.

An MCP server over stdio answers on standard output: set ``AUDIT_EMIT_STDOUT=stderr`` for its
process. Without it, the first call turns the lines on standard output off, and reports that on
standard error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from time import perf_counter
from typing import Any

try:
    import mcp as _mcp  # noqa: F401 - without it there is nothing to record
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.mcp needs mcp: pip install 'audit-emit[mcp]'",
        name=_missing.name,
    ) from _missing

import audit_emit
from audit_emit import Emitter
from audit_emit._facade.adapters import bare_name, get_emitter, let_through
from audit_emit.context import EMPTY, VAR, AuditContext
from audit_emit.integrations._common import Emits, identity_text, report_failure, warn
from audit_emit.integrations._http import is_cancelled, new_id, parse_traceparent
from audit_emit.integrations._request import live_span
from audit_emit.integrations._request_context import (
    VerifiedContext,
    enter_request,
    leave_request,
)

__all__ = ["McpAudit", "attach"]

KINDS = {
    "tools/call": ("mcp.tool_called", "tool", "name"),
    "resources/read": ("mcp.resource_read", "resource", "uri"),
    "prompts/get": ("mcp.prompt_read", "prompt", "name"),
}
"""By method: the event, the field for what was asked for, and the parameter that has it."""

_LISTS = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")

_served: ContextVar[object] = ContextVar("audit_emit_mcp", default=None)
"""The call that is being recorded, as a mounted server sees it a second time."""


class Facts:
    """What is known of a call before it runs.

    Attributes:
        method, params: of the message.
        request_id: of the message; one for each call of a session.
        request: of HTTP; ``None`` over stdio.
        meta: ``_meta`` of the parameters.
        client: the name and the version that the client has given.
        session_id: of the transport; a credential.
        is_stdio: whether standard output is the transport.
    """

    __slots__ = (
        "client",
        "is_stdio",
        "meta",
        "method",
        "params",
        "request",
        "request_id",
        "session_id",
    )

    def __init__(self, method: str, params: Any, request_id: Any) -> None:
        self.method: str = method
        self.params: Mapping[str, Any] = params if isinstance(params, Mapping) else {}
        self.request_id: Any = request_id
        self.request: Any = None
        self.meta: Any = None
        self.client: Any = None
        self.session_id: Any = None
        self.is_stdio: bool = False


class Recorder:
    """Records calls; what the adapters for mcp 1.x, 2.x and fastmcp share.

    Args:
        arguments: whether to record the arguments of tools and prompts, secrets redacted.
        lists: whether to record ``tools/list`` and the like as ``mcp.listed``.
        emitter: writes the records; the process-wide one when ``None``.
    """

    def __init__(
        self, *, arguments: bool = True, lists: bool = False, emitter: Emits | None = None
    ) -> None:
        self._arguments = arguments
        self._lists = lists
        self._emitter = emitter
        self._is_muted = False

    async def record(self, facts: Facts, run: Callable[[], Awaitable[Any]]) -> Any:
        """Run a call with its context bound, and record how it ended."""
        if facts.is_stdio and not self._is_muted:
            self._mute()
        wanted = facts.method in KINDS or (self._lists and facts.method in _LISTS)
        if not wanted or facts.request_id is None:
            return await run()
        call = (facts.request_id, str(facts.session_id))
        if _served.get() == call:
            return await run()
        live = _context(facts)
        entered, served = enter_request(live), _served.set(call)
        started, error, result = perf_counter(), None, None
        try:
            result = await run()
            return result
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._write(live, facts, result, error, (perf_counter() - started) * 1000)
            _reset(served)
            leave_request(entered)

    def _mute(self) -> None:
        self._is_muted = True
        emitter = get_emitter() if self._emitter is None else self._emitter
        if isinstance(emitter, Emitter) and emitter.settings.stdout is True:
            emitter.outbox.mirrored.switch_off()
            warn(
                "mcp",
                "an MCP server over stdio answers on standard output, so no audit line goes there "
                "from now on; set AUDIT_EMIT_STDOUT=stderr (or 0) for its process",
            )

    def _write(
        self, live: VerifiedContext, facts: Facts, result: Any, error: Any, ms: float
    ) -> None:
        try:
            event, fields = self._fields(facts, result, error)
            fields["duration_ms"] = round(ms, 3)
            emit = audit_emit.emit if self._emitter is None else self._emitter.emit
            emit(live.context, event, fields)
        except Exception as failed:  # noqa: BLE001 - a message may hold anything; the call goes on
            let_through(failed)
            report_failure("a call of MCP", failed)

    def _fields(
        self, facts: Facts, result: Any, error: BaseException | None
    ) -> tuple[str, dict[str, Any]]:
        event, name, parameter = KINDS.get(facts.method, ("mcp.listed", "method", ""))
        value = facts.params.get(parameter) if parameter else facts.method
        fields: dict[str, Any] = {name: str(value)[:1024]}
        if self._arguments and facts.params.get("arguments"):
            fields["arguments"] = facts.params["arguments"]
        fields["request_id"] = str(facts.request_id)[:128]
        fields["outcome"] = _outcome(result, error)
        if error is not None:
            fields["error"] = bare_name(type(error.__cause__ or error))
        token = _token(facts)
        if token is not None:
            fields["client_id"] = identity_text(getattr(token, "client_id", ""))
        if facts.client is not None:
            fields["client"] = identity_text(facts.client)[:256]
        if facts.session_id is not None:
            fields["session"] = audit_emit.hash_value_prefix(str(facts.session_id))
        return event, fields


def _reset(served: Any) -> None:
    try:
        _served.reset(served)
    except ValueError as error:
        let_through(error)  # ended in another context than it began in


def _context(facts: Facts) -> VerifiedContext:
    around = VAR.get()
    base = around if isinstance(around, AuditContext) else EMPTY
    if not base.user_id and base.actor_kind == "user":
        token = _token(facts)
        if token is not None:
            user = getattr(token, "subject", None) or getattr(token, "client_id", "")
            base = base.replace(user_id=identity_text(user), actor_kind="agent")
    meta = facts.meta
    parent = (
        meta.get("traceparent") if isinstance(meta, Mapping) else getattr(meta, "traceparent", "")
    )
    trace = live_span() or parse_traceparent([parent] if isinstance(parent, str) else ())
    return VerifiedContext(base, lambda: None, (new_id(), *(trace or ())))


def _token(facts: Facts) -> Any:
    """The token that the server has verified; never what a header or an argument says."""
    scope = getattr(facts.request, "scope", None)
    user = scope.get("user") if isinstance(scope, Mapping) else None
    token = getattr(user, "access_token", None)
    if token is None and facts.request is not None:
        from mcp.server.auth.middleware.auth_context import (  # noqa: PLC0415 - loads much of Starlette
            get_access_token,
        )

        token = get_access_token()
    return token


def _outcome(result: Any, error: BaseException | None) -> str:
    if error is not None:
        return "cancelled" if is_cancelled(type(error)) else "failure"
    result = getattr(result, "root", result)  # mcp 1.x
    names = ("isError", "is_error")
    if isinstance(result, Mapping):
        failed = any(result.get(name) for name in names)
    else:
        failed = any(getattr(result, name, False) for name in names)
    return "failure" if failed else "success"


def client_of(session: Any) -> str | None:
    """``name/version`` as the client has said them; nobody has verified that."""
    info = getattr(getattr(session, "client_params", None), "clientInfo", None) or getattr(
        getattr(session, "client_params", None), "client_info", None
    )
    return None if info is None else f"{info.name}/{info.version}"


def session_of(request: Any) -> str | None:
    """The id of the session over HTTP."""
    headers = getattr(request, "headers", None)
    return None if headers is None else headers.get("mcp-session-id")


class McpAudit(Recorder):
    """The middleware for ``MCPServer(middleware=[…])`` and ``Server.middleware`` of mcp 2.x."""

    async def __call__(self, ctx: Any, call_next: Any) -> Any:
        """Serve one message."""
        facts = Facts(ctx.method, ctx.params, ctx.request_id)
        facts.request, facts.meta = ctx.request, ctx.meta
        facts.is_stdio = ctx.request is None
        facts.client = client_of(ctx.session)
        facts.session_id = session_of(ctx.request)
        return await self.record(facts, lambda: call_next(ctx))


def attach(
    server: Any, *, arguments: bool = True, lists: bool = False, emitter: Emits | None = None
) -> None:
    """Record the calls of a server of mcp 1.x; after its tools were added, or before.

    Args:
        server: a ``FastMCP`` or a low-level ``Server``.
        arguments, lists, emitter: see ``Recorder``.

    Raises:
        TypeError: it is a server of mcp 2.x (use ``McpAudit``), or none.
    """
    recorder = Recorder(arguments=arguments, lists=lists, emitter=emitter)
    low: Any = getattr(server, "_mcp_server", server)
    handlers = getattr(low, "request_handlers", None)
    if not isinstance(handlers, dict):
        raise TypeError("attach takes a server of mcp 1.x; for 2.x use middleware=[McpAudit()]")
    from mcp import types  # noqa: PLC0415 - the names of 1.x

    for name, method in (
        ("CallToolRequest", "tools/call"),
        ("ReadResourceRequest", "resources/read"),
        ("GetPromptRequest", "prompts/get"),
        ("ListToolsRequest", "tools/list"),
        ("ListResourcesRequest", "resources/list"),
        ("ListPromptsRequest", "prompts/list"),
    ):
        kind = getattr(types, name)
        if kind in handlers:
            handlers[kind] = _recording(handlers[kind], recorder, low, method)


def _recording(handler: Any, recorder: Recorder, low: Any, method: str) -> Any:
    async def recorded(message: Any) -> Any:
        try:
            context = low.request_context
        except LookupError:  # a call of the server's own
            return await handler(message)
        params = getattr(message, "params", None)
        values = {} if params is None else params.model_dump()
        facts = Facts(method, values, context.request_id)
        facts.request, facts.meta = context.request, context.meta
        facts.is_stdio = context.request is None
        facts.client = client_of(context.session)
        facts.session_id = session_of(context.request)
        return await recorder.record(facts, lambda: handler(message))

    return recorded
