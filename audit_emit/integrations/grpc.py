"""gRPC: interceptors that bind the ids of each call and record it, for sync and asyncio servers.

    grpc.server(pool, interceptors=[AuditInterceptor()])
    grpc.aio.server(interceptors=[AsyncAuditInterceptor()])

Put it first: what an interceptor before it refuses is not seen. ``grpc.request`` is written once
for each call, when the handler ends or the call does, whichever is first.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Any, Unpack

try:
    import grpc
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.grpc needs grpcio: pip install 'audit-emit[grpc]'",
        name=_missing.name,
    ) from _missing

import audit_emit
from audit_emit._facade.adapters import bare_name, let_through
from audit_emit.context import EMPTY
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._exchange import Exchange
from audit_emit.integrations._grpc_deadline import is_late, seconds_left
from audit_emit.integrations._http import (
    client_address,
    identify,
    is_cancelled,
    new_id,
    parse_traceparent,
)
from audit_emit.integrations._options import Options, RequestOptions
from audit_emit.integrations._request import live_span, set_actor
from audit_emit.integrations._request_context import (
    VerifiedContext,
    enter_request,
    leave_request,
)

__all__ = ["AsyncAuditInterceptor", "AuditInterceptor", "set_actor"]

_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED")
_MAX_CLAIMED = 128


class _Settings:
    """The arguments of both interceptors, checked."""

    def __init__(self, emitter: Emits | None, given: RequestOptions) -> None:
        self.emitter: Emits | None = emitter
        self.options: Options = Options.make(given)

    def wrap(self, handler: Any, details: Any, task: asyncio.Task[Any] | None = None) -> Any:
        """A handler of the same kind that is recorded; and a record where there is none.

        Args:
            handler: what serves the call.
            details: of the call.
            task: in which an asyncio server serves it.
        """
        if handler is None:
            _Call(self, details, None, "unknown").end("UNIMPLEMENTED")
            return None
        kind = ("stream" if handler.request_streaming else "unary") + (
            "_stream" if handler.response_streaming else "_unary"
        )
        function = getattr(handler, kind)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        begin = partial(_Call, self, details, kind=kind, task=task)
        return make(
            _wrapped(function, begin, streams=handler.response_streaming),
            handler.request_deserializer,
            handler.response_serializer,
        )


class AuditInterceptor(grpc.ServerInterceptor):  # type: ignore[misc] # the package has no types
    """Records the calls of a ``grpc.server``.

    Args:
        emitter: writes the records; the process-wide one when ``None``.
        options: those of the request adapters (docs/configuration.md). A path is the whole name
            of a method, ``/package.Service/Method``; headers are the metadata of the call.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used.
    """

    def __init__(self, *, emitter: Emits | None = None, **options: Unpack[RequestOptions]) -> None:
        self._settings = _Settings(emitter, options)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap the handler of one call."""
        return self._settings.wrap(continuation(handler_call_details), handler_call_details)


class AsyncAuditInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc] # the same
    """Records the calls of a ``grpc.aio.server``, those of its synchronous handlers, too.

    Args:
        emitter, options: see ``AuditInterceptor``.

    Raises:
        ConfigError: an option is unknown, or has a value that cannot be used.
    """

    def __init__(self, *, emitter: Emits | None = None, **options: Unpack[RequestOptions]) -> None:
        self._settings = _Settings(emitter, options)

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap the handler of one call."""
        handler = await continuation(handler_call_details)
        return self._settings.wrap(handler, handler_call_details, asyncio.current_task())


class _Call:
    """One call, from its first message to its record."""

    def __init__(
        self,
        settings: _Settings,
        details: Any,
        context: Any,
        kind: str,
        task: asyncio.Task[Any] | None = None,
    ) -> None:
        self._settings = settings
        self._kind = kind
        self._method = str(details.method)
        self._context = context
        self._task = task
        self._started = perf_counter()
        self._lock = Lock()
        self._done = False
        self.noted: str | None = None
        self.is_noted: bool = context is not None and not hasattr(context, "code")
        self.messages_out: int = 0
        headers: dict[str, list[str]] = {}
        for key, value in details.invocation_metadata or ():
            if isinstance(value, str):
                headers.setdefault(key.lower(), []).append(value)
        peer = "" if context is None else _address_of(context)
        self._exchange = Exchange(headers=headers, peer=peer, client=peer)
        self._inbound = identify(settings.options, self._exchange, new_id())
        self._allowed = self._remaining()
        trace = live_span() or parse_traceparent(headers.get("traceparent", ()))
        ids = (self._inbound.correlation_id, *(trace or ()))
        # Not a method of this object: each would hold the other, for the garbage collector.
        self.live: VerifiedContext = VerifiedContext(EMPTY, partial(_verified, context), ids)
        if context is not None:
            self._watch()

    def _watch(self) -> None:
        """Be told when the call ends: a client may leave while the handler still runs."""
        add = getattr(self._context, "add_done_callback", None)
        if add is not None:
            add(lambda _: self._terminated())
        elif self.is_noted and self._task is not None:
            # The context of a synchronous handler does not tell, but the task ends. The handler
            # runs in a thread, and callbacks are added in that of the loop.
            add = partial(self._task.add_done_callback, lambda _: self._terminated())
            self._task.get_loop().call_soon_threadsafe(add)
        elif self._context.add_callback(self._terminated) is False:
            self._terminated()  # it has ended; the context of another interceptor may say nothing

    def _terminated(self) -> None:
        self.end("DEADLINE_EXCEEDED" if self._is_late() else "CANCELLED")

    def _is_late(self) -> bool:
        return is_late(self._allowed, self._remaining())

    def _remaining(self) -> float | None:
        return None if self._context is None else seconds_left(self._context)

    def ended(self, error: BaseException | None = None) -> None:
        """The handler has ended."""
        code = self.noted or self._code()
        if error is not None and is_cancelled(type(error)):
            code = "DEADLINE_EXCEEDED" if self._is_late() else "CANCELLED"
        elif error is not None and code is None:
            code = "UNKNOWN"
        aborted = error is not None and bare_name(type(error)) in ("AbortError", "Exception")
        self.end(code or "OK", None if aborted and code != "UNKNOWN" else error)

    def _code(self) -> str | None:
        code = getattr(self._context, "code", None)
        return _name(code()) if callable(code) else None

    def end(self, code: str, error: BaseException | None = None) -> None:
        """Write the record, the first time. Never raises."""
        with self._lock:
            if self._done:
                return
            self._done = True
        try:
            self._write(code, error)
        except Exception as failed:  # noqa: BLE001 - a broken context made the facts; the call goes on
            let_through(failed)
            report_failure("a call of gRPC", failed)

    def _write(self, code: str, error: BaseException | None) -> None:
        options = self._settings.options
        if not options.requests or options.skips(self._method):
            return
        service, _, method = self._method.removeprefix("/").rpartition("/")
        fields: dict[str, Any] = {"service": service, "method": method, "kind": self._kind}
        fields["code"] = code
        fields["outcome"] = _outcome(code)
        fields["duration_ms"] = round((perf_counter() - self._started) * 1000, 3)
        if self._allowed is not None:
            fields["deadline_ms"] = round(self._allowed * 1000, 3)
        if error is not None and not is_cancelled(type(error)):
            fields["error"] = bare_name(type(error))
        if self._kind.endswith("stream"):
            fields["messages_out"] = self.messages_out
        address = client_address(options, self._exchange)
        if address is not None:
            fields["client_ip"] = address
        if self._inbound.client_request_id is not None:
            fields["client_request_id"] = self._inbound.client_request_id[:_MAX_CLAIMED]
        emitter = self._settings.emitter
        emit = audit_emit.emit if emitter is None else emitter.emit
        emit(self.live.context, "grpc.request", fields)


def _verified(context: Any) -> str | None:
    """The peer that TLS has verified; what metadata says is only claimed."""
    identities = context.peer_identities() if context is not None else None
    return identities[0].decode("utf-8", "replace") if identities else None


def _outcome(code: str) -> str:
    if code == "OK":
        return "success"
    if code in _DENIED:
        return "denied"
    return "cancelled" if code == "CANCELLED" else "failure"


def _name(code: Any) -> str | None:
    """The name of a status code; an asyncio server gives numbers."""
    if code is None or code == 0:
        return None
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    return next((one.name for one in grpc.StatusCode if one.value[0] == code), str(code))


def _address_of(context: Any) -> str:
    """The address in ``ipv4:127.0.0.1:50051``, ``ipv6:%5B::1%5D:50051``."""
    kind, _, rest = str(context.peer()).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return rest.replace("%5B", "[").replace("%5D", "]").replace("%25", "%")


class _Noting:
    """The context of a synchronous handler on an asyncio server, which cannot be asked its code."""

    def __init__(self, context: Any, call: _Call) -> None:
        self._audited = context, call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._audited[0], name)

    def set_code(self, code: Any) -> None:
        context, call = self._audited
        call.noted = _name(code)
        context.set_code(code)

    def abort(self, code: Any, *args: Any, **kwargs: Any) -> None:
        context, call = self._audited
        call.noted = _name(code)
        context.abort(code, *args, **kwargs)

    def abort_with_status(self, status: Any) -> None:
        context, call = self._audited
        call.noted = _name(status.code)
        context.abort_with_status(status)


def _wrapped(function: Any, begin: Any, *, streams: bool) -> Any:
    """A function of the same kind: servers look at what it is to know how to call it."""
    if inspect.isasyncgenfunction(function):
        return _async_stream(function, begin)
    if inspect.iscoroutinefunction(function):
        return _async_call(function, begin)
    return _stream(function, begin) if streams else _call(function, begin)


def _call(function: Any, begin: Any) -> Any:
    def behavior(request: Any, context: Any) -> Any:
        call = begin(context)
        if call.is_noted:
            context = _Noting(context, call)
        entered = enter_request(call.live)
        try:
            response = function(request, context)
            call.ended()
            return response
        except BaseException as error:
            call.ended(error)
            raise
        finally:
            leave_request(entered)

    return behavior


def _stream(function: Any, begin: Any) -> Any:
    def behavior(request: Any, context: Any) -> Iterator[Any]:
        call = begin(context)
        if call.is_noted:
            context = _Noting(context, call)
        steps: Any = None
        while True:
            # Bound around each step: between two of them the thread serves other calls.
            entered = enter_request(call.live)
            try:
                if steps is None:
                    steps = iter(function(request, context))
                response = next(steps)
            except StopIteration:
                call.ended()
                return
            except BaseException as error:
                call.ended(error)
                raise
            finally:
                leave_request(entered)
            call.messages_out += 1
            yield response

    return behavior


def _async_call(function: Any, begin: Any) -> Any:
    async def behavior(request: Any, context: Any) -> Any:
        call = begin(context)
        entered = enter_request(call.live)
        try:
            response = await function(request, context)
            call.ended()
            return response
        except BaseException as error:
            call.ended(error)
            raise
        finally:
            leave_request(entered)

    return behavior


def _async_stream(function: Any, begin: Any) -> Any:
    async def behavior(request: Any, context: Any) -> AsyncIterator[Any]:
        call = begin(context)
        steps = function(request, context)
        while True:
            entered = enter_request(call.live)
            try:
                response = await steps.__anext__()
            except StopAsyncIteration:
                call.ended()
                return
            except BaseException as error:
                call.ended(error)
                raise
            finally:
                leave_request(entered)
            call.messages_out += 1
            yield response

    return behavior
