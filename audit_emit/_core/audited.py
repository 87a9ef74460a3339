"""``audited``: one event around a piece of work, with how it ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial, wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from audit_emit._core import default as _process
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit.context import VAR, LiveContext

P = ParamSpec("P")
R = TypeVar("R")


class _Span:
    """One run of the work; ``with audited(…) as event`` gives it.

    Attributes:
        fields: the payload of the event; the work may add to it until it ends.
    """

    __slots__ = ("_begun", "_bound", "_event_type", "fields")

    def __init__(self, event_type: str, fields: dict[str, Any]) -> None:
        self.fields: dict[str, Any] = dict(fields)
        self._event_type = event_type
        self._bound = VAR.get()
        self._begun = time.perf_counter_ns()

    def end(self, error: BaseException | None, *, elsewhere: bool = False) -> None:
        """Emit the event.

        Args:
            error: the exception that ended the work; ``None`` for none.
            elsewhere: whether the context bound now may belong to other code, as a generator ends
                where its last reference is dropped. The event then has the context in which the
                work began; so it has where that is a ``LiveContext``, which a request shares.
        """
        took = (time.perf_counter_ns() - self._begun) / 1e6
        own: dict[str, Any] = {"outcome": _outcome(error), "duration_ms": round(took, 3)}
        if error is not None:
            own["error"] = bare_name(type(error))
        try:
            fields = {**self.fields, **own}
        except Exception as failed:  # noqa: BLE001 - the block may have put anything there
            let_through(failed)
            fields = {"value": self.fields, **own}
        own_context = elsewhere or type(self._bound) is LiveContext
        _process.emit(self._bound if own_context else None, self._event_type, fields)

    def end_with(self, future: Any) -> None:
        """Emit the event of a future that is done."""
        if future.cancelled():
            self.end(sys.modules["asyncio"].CancelledError())
        else:
            # ``exception()`` would keep asyncio from reporting an exception that nobody retrieved.
            self.end(future._exception)  # noqa: SLF001


_ENTERED: ContextVar[tuple[_Span, ...]] = ContextVar("audit_emit_spans", default=())
"""The runs that were begun in this task or thread and have not ended."""


class audited:  # noqa: N801 - used as a decorator and in with statements, where names are lower-case
    """Emit one event when the work ends, however it ends.

    ``@audited("secret.rotate", scope="global")`` on a function, async function, generator or
    async generator, or ``with audited(…) as event:`` (also ``async with``) around a block, in which
    ``event.fields`` may be added to. The event gets ``outcome`` (``success``, ``failure``,
    ``cancelled``), ``duration_ms`` and, when the work raised, ``error``: the type of the
    exception and nothing of its text. The exception itself propagates unchanged.

    A function that returns a coroutine, a future or another awaitable has not done its work yet:
    that ends when it has been awaited, or when the future is done. What is an async context
    manager as well is left as it is, and the work is the call.

    Args:
        event_type: as for ``emit``.
        fields: the event's payload.

    Raises:
        TypeError: the event type is a function (``@audited`` without parentheses); or, when it
            decorates, the decorated object is not callable, such as a property.
    """

    _streams = False
    """Whether the work is a generator, which runs in pieces, each where the next item is taken."""

    def __init__(self, event_type: str, /, **fields: Any) -> None:
        if callable(event_type) or isinstance(event_type, classmethod):
            raise TypeError("audited needs an event type: @audited('secret.rotate')")
        self._event_type = event_type
        self._fields = fields
        self._spans: list[_Span] = []

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``func``."""
        import inspect  # noqa: PLC0415 - costs 10 ms; only decorators need it

        if isinstance(func, staticmethod | classmethod):
            return cast("Callable[P, R]", type(func)(self(func.__func__)))
        if not callable(func):
            kind = bare_name(type(func))
            raise TypeError(f"audited decorates functions; put it below {kind}, next to one")
        work: Any = func
        code = type(func).__call__  # of an object that is called like a function
        if inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(code):

            @wraps(func)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                with audited(self._event_type, **self._fields):
                    return await work(*args, **kwargs)

            return cast("Callable[P, R]", awaited)
        if inspect.isasyncgenfunction(func) or inspect.isasyncgenfunction(code):
            begin = partial(_AuditedStream, self._event_type, **self._fields)
            return cast("Callable[P, R]", _streamed(func, begin))
        if inspect.isgeneratorfunction(func) or inspect.isgeneratorfunction(code):

            @wraps(func)
            def yielded(*args: P.args, **kwargs: P.kwargs) -> Any:
                with _AuditedStream(self._event_type, **self._fields):
                    return (yield from work(*args, **kwargs))

            return cast("Callable[P, R]", yielded)

        @wraps(func)
        def called(*args: P.args, **kwargs: P.kwargs) -> Any:
            span = _Span(self._event_type, self._fields)
            try:
                result = func(*args, **kwargs)
            except BaseException as error:
                span.end(error)
                raise
            return _ended_with(result, span)

        return cast("Callable[P, R]", called)

    def __enter__(self) -> _Span:
        span = _Span(self._event_type, self._fields)
        self._spans.append(span)
        _ENTERED.set((*_ENTERED.get(), span))
        return span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered = _ENTERED.get()
        # Tasks and threads may share one object, so the run that ends is the newest one that was
        # begun here. A generator may end elsewhere; then it is the newest of all.
        span = next((one for one in reversed(self._spans) if one in entered), self._spans[-1])
        self._spans.remove(span)
        _ENTERED.set(tuple(one for one in entered if one is not span))
        span.end(error, elsewhere=self._streams or span not in entered)

    async def __aenter__(self) -> _Span:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)


class _AuditedStream(audited):
    _streams = True


def _ended_with(result: Any, span: _Span) -> Any:
    """The result of a function, wrapped where its work is not done yet: ``span`` ends with that."""
    if not _is_awaitable(type(result)):
        span.end(None)
        return result
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(result, asyncio.Future):
        result.add_done_callback(span.end_with)
        return result
    return _awaited(result, span)


def _is_awaitable(kind: type) -> bool:
    try:
        return hasattr(kind, "__await__") and not hasattr(kind, "__aenter__")
    except Exception as error:  # noqa: BLE001 - a metaclass may raise anything
        let_through(error)
        return False


async def _awaited(awaitable: Awaitable[R], span: _Span) -> R:
    try:
        result = await awaitable
    except BaseException as error:
        span.end(error)
        raise
    span.end(None)
    return result


def _streamed(func: Callable[P, Any], begin: Callable[[], audited]) -> Callable[P, Any]:
    """An async generator function with ``begin()`` around it: ``yield from``, spelled out."""

    @wraps(func)
    async def streamed(*args: P.args, **kwargs: P.kwargs) -> Any:
        with begin():
            stream = func(*args, **kwargs)
            try:
                item = await anext(stream)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 - it is for the stream
                        item = await stream.athrow(error)
                    else:
                        item = await stream.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await stream.aclose()

    return streamed


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "success"
    # Importing asyncio costs 40 ms; where nobody has imported it, nothing was cancelled.
    asyncio = sys.modules.get("asyncio.exceptions")
    if asyncio is not None and issubclass(type(error), asyncio.CancelledError):
        return "cancelled"
    # GeneratorExit: the consumer of the stream stopped early, which is a cancellation.
    return "cancelled" if issubclass(type(error), GeneratorExit) else "failure"
