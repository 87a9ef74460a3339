"""The context of events: who acts, for which tenant, in which request. Kept in one ``ContextVar``.

The value is immutable and is replaced as a whole, so a task, a thread or a nested ``bind`` cannot
change what another one sees.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar
from functools import wraps
from itertools import islice
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, cast

from audit_emit._runtime import foreign as _foreign
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import door, let_through
from audit_emit._runtime.lazy import Pattern
from audit_emit._runtime.structlog_context import mirror, unmirror
from audit_emit._runtime.sync_dependency import is_entered_by_worker_thread

__all__ = [
    "AuditContext",
    "LiveContext",
    "bind",
    "current_context",
    "resolve",
    "understand",
    "update_request",
    "with_actor_kind",
    "with_correlation_id",
    "with_user_id",
    "with_workspace_id",
    "wrap_context",
]

P = ParamSpec("P")
R = TypeVar("R")

FIELDS = ("workspace_id", "user_id", "actor_kind", "correlation_id", "trace_id", "span_id")
"""The members of a context, in the order in which a record has them."""

_MAX_NAMES = 64
"""How many names of a mapping are checked."""

_PLAIN_NAME = Pattern(r"[a-z][a-z0-9_]{0,31}")
"""A name that is safe to print on stderr."""


class Ids(TypedDict, total=False):
    """The members of a context as arguments, for type checkers; a test holds it to ``FIELDS``."""

    workspace_id: Any
    user_id: Any
    actor_kind: Any
    correlation_id: Any
    trace_id: Any
    span_id: Any


class AuditContext:
    """The ids that every record of a request carries. Immutable.

    Args:
        workspace_id: the tenant.
        user_id: the actor.
        actor_kind: ``user`` (default), ``admin``, ``agent``, ``cron``, ``service``, ``anonymous``
            or another name that matches ``[a-z][a-z0-9_]{0,31}``.
        correlation_id: the id that all records of one request share.
        trace_id: trace id of 32 lower-case hex digits (W3C Trace Context).
        span_id: span id of 16 lower-case hex digits (W3C Trace Context).

    A value may be of any type. When a record is built, it is converted to text, and sanitised if it
    is not well-formed. The constructor accepts every value and never raises.
    """

    __slots__ = (*FIELDS, "wire")

    workspace_id: Any
    user_id: Any
    actor_kind: Any
    correlation_id: Any
    trace_id: Any
    span_id: Any
    wire: Any
    """A cache of the emitter: the encoded members, which are the same for a whole request."""

    def __init__(
        self,
        workspace_id: Any = "",
        user_id: Any = "",
        actor_kind: Any = "user",
        correlation_id: Any = "",
        trace_id: Any = "",
        span_id: Any = "",
    ) -> None:
        put = object.__setattr__
        put(self, "workspace_id", workspace_id)
        put(self, "user_id", user_id)
        put(self, "actor_kind", actor_kind)
        put(self, "correlation_id", correlation_id)
        put(self, "trace_id", trace_id)
        put(self, "span_id", span_id)
        put(self, "wire", None)

    def replace(self, **ids: Unpack[Ids]) -> AuditContext:
        """Return a copy with some members changed.

        Raises:
            TypeError: a name is not a member.
        """
        return AuditContext(**{**self.as_dict(), **ids})

    def __replace__(self, **ids: Unpack[Ids]) -> AuditContext:
        return self.replace(**ids)

    def as_dict(self) -> dict[str, Any]:
        """The members by name."""
        return {name: getattr(self, name) for name in FIELDS}

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"AuditContext is immutable; use .replace({name}=…)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("AuditContext is immutable")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AuditContext):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.as_dict().values()))

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items() if value)
        return f"AuditContext({inner})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (AuditContext, tuple(self.as_dict().values()))


def is_empty(value: Any) -> bool:
    """Whether an id is not set.

    Not a comparison with ``""``: ids may be of any type, and comparing some types raises.
    """
    return isinstance(value, str) and not value


class LiveContext:
    """The context of one request, shared by every task and thread that copied the ``ContextVar``.

    Frameworks run synchronous dependencies and endpoints in a worker thread, in a copy of the
    context. A ``ContextVar`` that is set there keeps its old value everywhere else, but a change of
    a shared object is visible everywhere. This is that object. The ``AuditContext`` in it is still
    immutable, and replaced as a whole.
    """

    __slots__ = ("context",)

    def __init__(self, context: AuditContext) -> None:
        self.context: AuditContext = context


GivenContext = AuditContext | LiveContext | Context | Mapping[str, Any] | None
"""What ``ctx`` may be; ``understand`` says what each means."""

EMPTY = AuditContext()
VAR: ContextVar[AuditContext | LiveContext] = ContextVar("audit_emit_context", default=EMPTY)


def current_context() -> AuditContext:
    """Return the bound context; an empty one when nothing is bound."""
    bound = VAR.get()
    return bound if isinstance(bound, AuditContext) else bound.context


def update_request(**ids: Unpack[Ids]) -> AuditContext:
    """Change members of the context for the rest of the request, from any task or thread of it.

    For ids that become known during the request, such as the actor once the application has
    verified who it is. Outside a request the change holds for the current task or thread, as with
    ``ContextVar.set``.

    Raises:
        TypeError: a name is not a member.
    """
    bound = VAR.get()
    if isinstance(bound, LiveContext):
        bound.context = context = bound.context.replace(**ids)
    else:
        context = bound.replace(**ids)
        VAR.set(context)
    mirror(ids)
    return context


def resolve(ctx: object) -> AuditContext:
    """The context that the argument ``ctx`` of ``emit`` stands for; see ``understand``."""
    return understand(ctx)[0]


def understand(ctx: object) -> tuple[AuditContext, str]:
    """Interpret the argument ``ctx`` of ``emit``.

    ``None`` means the bound context, a ``contextvars.Context`` the one that is bound in it, and a
    mapping changes the members of the bound context that it names. With any other object, and one
    that raises (a proxy outside its request), the bound context is used, and a mistake is reported.

    Returns:
        The context; and a description of the mistake, without values, or an empty string.
    """
    if ctx is None:
        return current_context(), ""
    try:
        return _meant(ctx) if _is_plain(ctx) else _foreign.call(_meant, ctx)
    except Exception as error:  # noqa: BLE001 - an object may raise anything; use the bound context
        let_through(error)
        return current_context(), f"it failed with {bare_name(type(error))}"


def _is_plain(ctx: Any) -> bool:
    """Whether no code of the application is behind a context, which might emit with it again."""
    kind = type(ctx)
    if kind is dict:
        return len(ctx) <= _MAX_NAMES and {*map(type, ctx)} <= {str}
    return kind is AuditContext or kind is LiveContext or kind is Context


@door
def _meant(ctx: Any) -> tuple[AuditContext, str]:
    if isinstance(ctx, LiveContext):
        ctx = ctx.context
    if isinstance(ctx, AuditContext):
        # A proxy says that it is one; what it stands for has to be one.
        found = ctx if issubclass(type(ctx), AuditContext) else ctx.replace()
        if issubclass(type(found), AuditContext):
            return found, ""
    if isinstance(ctx, Context):
        bound = ctx.get(VAR, EMPTY)
        found = bound if isinstance(bound, AuditContext) else bound.context
        if issubclass(type(found), AuditContext):
            return found, ""
    if isinstance(ctx, Mapping):
        ids = {name: ctx[name] for name in FIELDS if name in ctx}
        return current_context().replace(**ids), _unknown(ctx)
    return current_context(), f"it is {bare_name(type(ctx))}"


@door
def _unknown(ids: Mapping[Any, Any]) -> str:
    """Describe the first name in a mapping that is not a member of a context, if there is one."""
    for name in islice(ids, _MAX_NAMES):
        if not isinstance(name, str) or name not in FIELDS:
            plain = type(name) is str and _PLAIN_NAME.fullmatch(name)
            return f"{name if plain else 'one of its names'} is no member of a context"
    return ""


@contextmanager
def _bound(ids: Ids) -> Iterator[AuditContext]:
    context = current_context().replace(**ids)
    token = VAR.set(context)
    mirrored = mirror(ids, FIELDS)
    try:
        yield context
    finally:
        try:
            VAR.reset(token)
        except ValueError as error:
            # The block ends in another context than it began in: a generator that was resumed
            # elsewhere. Nothing was bound in that context, so there is nothing to restore.
            let_through(error)
        unmirror(mirrored)


_ENTERED: ContextVar[tuple[tuple[_Bind, Any], ...]] = ContextVar("audit_emit_entered", default=())
"""The blocks of ``bind`` that are open here, innermost last."""


class _Bind:
    """The result of ``bind``: a context manager and a decorator.

    Each use has a state of its own, so a decorated function may be recursive.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        import inspect  # noqa: PLC0415 - costs 10 ms; only decorators need it

        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            # The ids would stay bound in the caller's code between two items.
            raise TypeError("bind cannot decorate a generator; use `with bind(…):` inside it")
        if inspect.iscoroutinefunction(func):

            @wraps(func)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                with _bound(self._ids):
                    return await func(*args, **kwargs)

            return cast("Callable[P, R]", awaited)

        @wraps(func)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with _bound(self._ids):
                return func(*args, **kwargs)

        return called

    def __enter__(self) -> AuditContext:
        if isinstance(VAR.get(), LiveContext) and is_entered_by_worker_thread(sys._getframe(1)):  # noqa: SLF001
            # A synchronous dependency with ``yield``: its worker thread ends when the block is
            # entered, and what is bound in the thread's copy of the context is lost. So the ids
            # are set for the rest of the request instead.
            return update_request(**self._ids)
        manager = _bound(self._ids)
        context = manager.__enter__()
        # Not kept in self: tasks and threads may share this object, and each must leave its own
        # block.
        _ENTERED.set((*_ENTERED.get(), (self, manager)))
        return context

    def __exit__(self, *exc: object) -> None:
        entered = _ENTERED.get()
        for at in reversed(range(len(entered))):
            if entered[at][0] is self:
                _ENTERED.set(entered[:at] + entered[at + 1 :])
                entered[at][1].__exit__(*exc)
                return


def bind(**ids: Unpack[Ids]) -> _Bind:
    """Bind members of the context for a ``with`` block or a decorated function.

    In a synchronous dependency with ``yield`` (FastAPI) they stay bound for the rest of the
    request. The ids are also bound in ``structlog.contextvars`` when structlog is loaded.

    Args:
        ids: any of ``workspace_id``, ``user_id``, ``actor_kind``, ``correlation_id``,
            ``trace_id``, ``span_id``.

    Raises:
        TypeError: a name is not a member.
    """
    EMPTY.replace(**ids)
    return _Bind(ids)


on_mistake: Callable[[str], object] | None = None
"""Called by the ``with_…`` functions with the mistake in a ``ctx``. ``_core.default`` sets it: this
module must not import the emitter."""


def _interpreted(ctx: object) -> AuditContext:
    context, mistake = understand(ctx)
    if mistake and on_mistake is not None:
        on_mistake(mistake)
    return context


def with_user_id(ctx: GivenContext, user_id: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another user id."""
    return _interpreted(ctx).replace(user_id=user_id)


def with_actor_kind(ctx: GivenContext, actor_kind: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another actor kind."""
    return _interpreted(ctx).replace(actor_kind=actor_kind)


def with_correlation_id(ctx: GivenContext, correlation_id: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another correlation id."""
    return _interpreted(ctx).replace(correlation_id=correlation_id)


def with_workspace_id(ctx: GivenContext, workspace_id: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another workspace id."""
    return _interpreted(ctx).replace(workspace_id=workspace_id)


def wrap_context(func: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that it runs with the current context, for use in another thread.

    Example: ``Thread(target=wrap_context(work))``.
    """
    context = VAR.get()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        token = VAR.set(context)
        try:
            return func(*args, **kwargs)
        finally:
            VAR.reset(token)

    return carried
