"""Who acts, for whom, and in which request: one frozen value in one ContextVar.

The value is replaced, never mutated, so a task, a thread or a nested ``bind`` can never change
what another one sees.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from functools import wraps
from itertools import islice
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, cast

from audit_emit._runtime.entered import entered_alone
from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import door, let_through
from audit_emit._runtime.lazy import Pattern
from audit_emit._runtime.structlog_context import mirror, unmirror

__all__ = [
    "AuditContext",
    "LiveContext",
    "bind",
    "current_context",
    "enter_request",
    "leave_request",
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
"""The members of a context, in the order of the record."""

_NAMES_LOOKED_AT = 64
_PLAIN_NAME = Pattern(r"[a-z][a-z0-9_]{0,31}")
"""A name that may be repeated on stderr."""


class Ids(TypedDict, total=False):
    """The members of a context as arguments, for type checkers; a test holds it to ``FIELDS``."""

    workspace_id: Any
    user_id: Any
    actor_kind: Any
    correlation_id: Any
    trace_id: Any
    span_id: Any


class AuditContext:
    """The identities that every record of a request carries. Immutable.

    Args:
        workspace_id: the tenant.
        user_id: who acts.
        actor_kind: ``user`` (default), ``admin``, ``agent``, ``cron``, ``service``, ``anonymous``
            or another ``[a-z][a-z0-9_]{0,31}``.
        correlation_id: what ties the records of one request together.
        trace_id: W3C trace id, 32 lower-case hex digits.
        span_id: W3C span id, 16 lower-case hex digits.

    Values may be of any type; what is not text becomes text, and what is not well-formed is
    sanitised, when a record is built. Nothing here raises on a strange value.
    """

    __slots__ = (*FIELDS, "wire")

    workspace_id: Any
    user_id: Any
    actor_kind: Any
    correlation_id: Any
    trace_id: Any
    span_id: Any
    wire: Any
    """The encoded members, kept by the emitter: they are the same for a whole request."""

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
        """A new context with some members changed.

        Raises:
            TypeError: for a name that is not a member.
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


class Nobody(AuditContext):
    """What is known of who acts in a request while nobody has signed in: ``anonymous``.

    Once somebody has, the default kind holds again, whichever way it is said.
    """

    __slots__ = ()

    @classmethod
    def unless_known(cls, context: AuditContext) -> AuditContext:
        """``context``, as nobody's when it says neither who acts nor what kind of actor that is."""
        if is_empty(context.user_id) and context.actor_kind == "user":
            return cls(**{**context.as_dict(), "actor_kind": "anonymous"})
        return context

    def told(self) -> dict[str, Any]:
        """The members as the application knows them."""
        return {**self.as_dict(), "actor_kind": "user"}

    def replace(self, **ids: Unpack[Ids]) -> AuditContext:
        """A new context with some members changed; see ``AuditContext.replace``."""
        return Nobody.unless_known(AuditContext(**{**self.told(), **ids}))


def is_empty(value: Any) -> bool:
    """Whether an id is not set. Ids may be of any type, and some types cannot be compared."""
    return isinstance(value, str) and not value


class LiveContext:
    """The context of one request, seen by every task and thread that copied it.

    A sync dependency or endpoint runs in a thread with a copy of the context: a value that it
    sets in a ContextVar is lost to the others, a change of an object that they share is not. This
    is that object; the ``AuditContext`` in it is still replaced, never mutated.
    """

    __slots__ = ("context",)

    def __init__(self, context: AuditContext) -> None:
        self.context: AuditContext = context


GivenContext = AuditContext | LiveContext | Context | Mapping[str, Any] | None
"""What ``ctx`` may be; ``understand`` says what each means."""

EMPTY = AuditContext()
VAR: ContextVar[AuditContext | LiveContext] = ContextVar("audit_emit_context", default=EMPTY)


def current_context() -> AuditContext:
    """The context bound here; an empty one when nothing is bound."""
    bound = VAR.get()
    return bound if isinstance(bound, AuditContext) else bound.context


def update_request(**ids: Unpack[Ids]) -> AuditContext:
    """Change members for the rest of the request, wherever in it this is called.

    For what becomes known on the way: the actor, once the application has verified who it is.
    Outside a request the change holds for the current task or thread, as ``ContextVar.set`` does.

    Raises:
        TypeError: for a name that is not a member.
    """
    bound = VAR.get()
    if isinstance(bound, LiveContext):
        bound.context = context = bound.context.replace(**ids)
    else:
        context = bound.replace(**ids)
        VAR.set(context)
    mirror(ids)
    return context


def enter_request(live: LiveContext) -> tuple[Token[AuditContext | LiveContext], Any]:
    """Bind the context of a request here, until ``leave_request`` is given what this returns.

    All ids are mirrored into ``structlog.contextvars``, the empty ones as unbound, so that what
    ``update_request`` mirrors later ends with the request too.
    """
    context = live.context
    # Not that nobody acts: a user that is found later is not mirrored.
    ids = context.told() if isinstance(context, Nobody) else context.as_dict()
    token = VAR.set(live)
    empty = {name: ... for name, value in ids.items() if is_empty(value)}
    return token, mirror({**ids, **empty})


def leave_request(entered: tuple[Token[AuditContext | LiveContext], Any]) -> None:
    """Restore what was bound before ``enter_request``."""
    token, mirrored = entered
    try:
        VAR.reset(token)
    except ValueError as error:
        let_through(error)
        # left in another context, as in _bound
    unmirror(mirrored)


def resolve(ctx: object) -> AuditContext:
    """The context that ``ctx`` of ``emit`` means; see ``understand``."""
    return understand(ctx)[0]


@door
def understand(ctx: object) -> tuple[AuditContext, str]:
    """What ``ctx`` of ``emit`` means, and what is wrong with it.

    ``None`` is the bound context; an ``AuditContext`` is itself; a ``contextvars.Context`` is what
    was bound in it; a mapping is laid over the bound context: it changes the members that it
    names. Anything else, and anything that fails on the way (a request proxy outside its
    request), means the bound context, and is a mistake.

    Returns:
        The context; and the mistake in words, without values, or an empty text.
    """
    if ctx is None:
        return current_context(), ""
    try:
        if isinstance(ctx, AuditContext):
            return ctx, ""
        if isinstance(ctx, LiveContext):
            return ctx.context, ""
        if isinstance(ctx, Context):
            bound = ctx.get(VAR, EMPTY)
            return bound if isinstance(bound, AuditContext) else bound.context, ""
        if isinstance(ctx, Mapping):
            ids = {name: ctx[name] for name in FIELDS if name in ctx}
            return current_context().replace(**ids), _unknown(ctx)
    except Exception as error:  # noqa: BLE001 - a foreign object may raise anything; the bound context serves
        let_through(error)
        return current_context(), f"it failed with {bare_name(type(error))}"
    return current_context(), f"it is {bare_name(type(ctx))}"


@door
def _unknown(ids: Mapping[Any, Any]) -> str:
    """What to say of the names in a mapping that are no members."""
    for name in islice(ids, _NAMES_LOOKED_AT):
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
            let_through(error)
            # Left in another context (a generator resumed elsewhere): that context was never
            # changed by us, so there is nothing to restore in it.
        unmirror(mirrored)


_ENTERED: ContextVar[tuple[tuple[_Bind, Any], ...]] = ContextVar("audit_emit_entered", default=())
"""The blocks of ``bind`` that are open here, innermost last."""


class _Bind:
    """``with bind(…):`` or ``@bind(…)``; each use enters anew, so a decorator may recurse."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        import inspect  # noqa: PLC0415 - costs 10 ms; only decorators need it

        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            # It would stay bound in the caller between two items.
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
        if isinstance(VAR.get(), LiveContext) and entered_alone(sys._getframe(1)):  # noqa: SLF001
            # What is set in this thread's copy would be lost at once.
            return update_request(**self._ids)
        manager = _bound(self._ids)
        context = manager.__enter__()
        # Not on self: tasks and threads may share one object, and each must leave its own block.
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

    Args:
        ids: any of ``workspace_id``, ``user_id``, ``actor_kind``, ``correlation_id``,
            ``trace_id``, ``span_id``.

    In a synchronous dependency with ``yield`` they hold for the rest of the request.
    The ids are mirrored into ``structlog.contextvars`` when structlog is loaded.

    Raises:
        TypeError: for a name that is not a member.
    """
    EMPTY.replace(**ids)
    return _Bind(ids)


on_mistake: Callable[[str], object] | None = None
"""Called by ``with_…`` with the mistake in a ``ctx``; ``_process`` sets it."""


def _given(ctx: object) -> AuditContext:
    context, mistake = understand(ctx)
    if mistake and on_mistake is not None:
        on_mistake(mistake)
    return context


def with_user_id(ctx: GivenContext, user_id: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another user id."""
    return _given(ctx).replace(user_id=user_id)


def with_actor_kind(ctx: GivenContext, actor_kind: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another actor kind."""
    return _given(ctx).replace(actor_kind=actor_kind)


def with_correlation_id(ctx: GivenContext, correlation_id: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another correlation id."""
    return _given(ctx).replace(correlation_id=correlation_id)


def with_workspace_id(ctx: GivenContext, workspace_id: Any) -> AuditContext:
    """A copy of ``ctx`` (as ``emit`` takes it) with another workspace id."""
    return _given(ctx).replace(workspace_id=workspace_id)


def wrap_context(func: Callable[P, R]) -> Callable[P, R]:
    """Carry the context of here into a thread: ``Thread(target=wrap_context(work))``."""
    context = VAR.get()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        token = VAR.set(context)
        try:
            return func(*args, **kwargs)
        finally:
            VAR.reset(token)

    return carried
