"""``audited``: one event around a piece of work, with how it ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from audit_emit import _process

P = ParamSpec("P")
R = TypeVar("R")


class _Span:
    """One run of the work: what ``with audited(…) as event`` gives.

    ``fields`` may be filled while the work goes on.
    """

    __slots__ = ("_begun", "_event_type", "fields")

    def __init__(self, event_type: str, fields: dict[str, Any]) -> None:
        self.fields = dict(fields)
        self._event_type = event_type
        self._begun = time.perf_counter_ns()

    def end(self, error: BaseException | None) -> None:
        """Emit the event; ``error`` is what the work raised."""
        took = (time.perf_counter_ns() - self._begun) / 1e6
        fields = {**self.fields, "outcome": _outcome(error), "duration_ms": round(took, 3)}
        if error is not None:
            fields["error"] = type(error).__name__
        _process.emit(None, self._event_type, fields)


class audited:  # noqa: N801 - used as a decorator and in with statements, where names are lower-case
    """Emit one event when the work ends, however it ends.

    ``@audited("secret.rotate", scope="global")`` on a function, async function, generator or
    async generator, or ``with audited(…) as event:`` (also ``async with``) around a block, in which
    ``event.fields`` may be added to. The event gets ``outcome`` (``success``, ``failure``,
    ``cancelled``), ``duration_ms`` and, when the work raised, ``error``: the type of the
    exception and nothing of its text. The exception goes on unchanged.

    Args:
        event_type: as for ``emit``.
        fields: the event's payload.
    """

    def __init__(self, event_type: str, /, **fields: Any) -> None:
        self._event_type = event_type
        self._fields = fields
        self._spans: list[_Span] = []

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Decorate ``func``."""
        import inspect  # noqa: PLC0415 - costs 10 ms; only decorators need it

        if inspect.iscoroutinefunction(func):

            @wraps(func)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                with audited(self._event_type, **self._fields):
                    return await func(*args, **kwargs)

            return cast("Callable[P, R]", awaited)
        if inspect.isasyncgenfunction(func):

            @wraps(func)
            async def streamed(*args: P.args, **kwargs: P.kwargs) -> Any:
                with audited(self._event_type, **self._fields):
                    async for item in func(*args, **kwargs):
                        yield item

            return cast("Callable[P, R]", streamed)
        if inspect.isgeneratorfunction(func):

            @wraps(func)
            def yielded(*args: P.args, **kwargs: P.kwargs) -> Any:
                with audited(self._event_type, **self._fields):
                    return (yield from func(*args, **kwargs))

            return cast("Callable[P, R]", yielded)

        @wraps(func)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with audited(self._event_type, **self._fields):
                return func(*args, **kwargs)

        return called

    def __enter__(self) -> _Span:
        span = _Span(self._event_type, self._fields)
        self._spans.append(span)
        return span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._spans.pop().end(error)

    async def __aenter__(self) -> _Span:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "success"
    # Importing asyncio costs 40 ms; where nobody has imported it, nothing was cancelled.
    asyncio = sys.modules.get("asyncio.exceptions")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return "cancelled"
    # GeneratorExit: whoever consumed the stream stopped, as a cancellation does.
    return "cancelled" if isinstance(error, GeneratorExit) else "failure"
