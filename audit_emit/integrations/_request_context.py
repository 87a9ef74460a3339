"""The context of one request: how it is bound, and the actor while nobody has signed in."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from typing import Any, Unpack

from audit_emit._facade.adapters import is_mirrored, let_through, mirror, unmirror
from audit_emit.context import EMPTY, VAR, AuditContext, Ids, LiveContext, is_empty

__all__ = [
    "AnonymousContext",
    "FindUser",
    "VerifiedContext",
    "enter_request",
    "leave_request",
]

FindUser = Callable[[], str | None]
"""Returns the id of the user that the application has verified, or ``None``."""


class AnonymousContext(AuditContext):
    """The context of a request in which nobody has signed in: its actor kind is ``anonymous``.

    As soon as a copy of it has a user id, the default actor kind, ``user``, applies again.
    """

    __slots__ = ()

    @classmethod
    def unless_known(cls, context: AuditContext) -> AuditContext:
        """``context`` if it names a user or a kind of actor, else an anonymous copy of it."""
        if is_empty(context.user_id) and context.actor_kind == "user":
            return cls(
                context.workspace_id,
                context.user_id,
                "anonymous",
                context.correlation_id,
                context.trace_id,
                context.span_id,
            )
        return context

    def explicit(self) -> dict[str, Any]:
        """The members as the application has set them, with the default actor kind."""
        return {**self.as_dict(), "actor_kind": "user"}

    def replace(self, **ids: Unpack[Ids]) -> AuditContext:
        """A new context with some members changed; see ``AuditContext.replace``."""
        return AnonymousContext.unless_known(AuditContext(**{**self.explicit(), **ids}))


class _Open:
    """A context while it is made, which can be assigned to: ``AuditContext`` itself cannot."""

    __slots__ = AuditContext.__slots__


_new = object.__new__


def _anonymous(correlation_id: str, trace_id: str, span_id: str) -> AuditContext:
    """The context of a request of nobody; a fifth of the time of ``AuditContext(…)``."""
    made: Any = _new(_Open)
    made.workspace_id = made.user_id = ""
    made.actor_kind = "anonymous"
    made.correlation_id = correlation_id
    made.trace_id = trace_id
    made.span_id = span_id
    made.wire = None
    made.__class__ = AnonymousContext  # the same slots: nothing is copied
    context: AuditContext = made
    return context


class VerifiedContext(LiveContext):
    """A live context that looks up the verified user where the application keeps it.

    The lookup happens only while no actor was set explicitly. Its result is stored beside the
    explicit context and never in it, so it cannot overwrite an actor that another thread sets at
    the same time. When there is no such user either, the actor kind is ``anonymous``.

    Args:
        around: the context around the request, which it begins with.
        find: looks the user up.
        ids: the ids of the request: correlation id, and trace id and span id where there are any.
            A context is made of them when it is first needed: many requests emit nothing.
    """

    __slots__ = ("_around", "_filled", "_finders", "_first", "_ids", "_set")

    def __init__(self, around: AuditContext, find: FindUser, ids: tuple[str, ...] = ()) -> None:
        self._finders = [find]
        self._filled: tuple[AuditContext, AuditContext] | None = None
        self._around = around
        self._ids = ids
        self._first = None if ids else around
        # Kept apart from the first context, so that a thread that makes that one late does not
        # overwrite an actor that another thread sets at the same time.
        self._set: AuditContext | None = None

    @property
    def context(self) -> AuditContext:
        """The current context, with the verified user when no actor was set explicitly."""
        return self.known()

    @context.setter
    def context(self, context: AuditContext) -> None:
        self._set = context

    def known(self) -> AuditContext:
        """``context``, for those who call it once for each request."""
        stated = self._set
        if stated is None:
            stated = self._first
            if stated is None:
                stated = self._made()
                if type(stated) is AnonymousContext:
                    # Of most requests, what is found out below.
                    user_id = self._found()
                    actor = stated.replace(user_id=user_id) if user_id else stated
                    self._filled = stated, actor
                    return actor
        user_id = stated.user_id
        if user_id != "" if type(user_id) is str else not is_empty(user_id):
            return stated
        filled = self._filled
        known = filled[1] if filled is not None and filled[0] is stated else None
        if known is not None and known is not stated and not isinstance(known, AnonymousContext):
            return known
        user_id = self._found()
        if user_id:
            known = stated.replace(user_id=user_id)
        elif known is None:
            is_one = type(stated) is AnonymousContext
            known = stated if is_one else AnonymousContext.unless_known(stated)
        self._filled = stated, known
        return known

    def _made(self) -> AuditContext:
        around, ids = self._around, self._ids
        if around is EMPTY:  # whom nobody knows yet: one object, not two
            first = _anonymous(*ids) if len(ids) > 1 else _anonymous(ids[0], "", "")
        else:
            trace_id, span_id = ids[1:] or (around.trace_id, around.span_id)
            first = AuditContext(
                around.workspace_id, around.user_id, around.actor_kind, ids[0], trace_id, span_id
            )
        self._first = first
        return first

    def also(self, find: FindUser) -> None:
        """Add another place to look for the user, after those that are known."""
        # A list, not functions that call each other: a request that calls an inner application a
        # thousand times would reach Python's recursion limit.
        self._finders.append(find)

    def let_go(self) -> None:
        """Look the user up a last time, and keep only what is known then: the request is over."""
        filled = self._filled
        # Whether there is a user now where there was none when the record was written.
        if (
            self._set is not None
            or filled is None
            or (type(filled[1]) is AnonymousContext and self._found() is not None)
        ):
            # Where requests are not recorded, nobody may have looked before.
            self.remember_user()
            filled = self._filled
        if filled is not None and filled[0] is self._first:
            # Not into what is set: a thread of the request may set an actor at the same time.
            self._first = filled[1]
        self._finders = []

    def remember_user(self) -> None:
        """Look the verified user up now, because the application is about to let go of it."""
        # This is all for most requests without a user: no context is made before a record needs it.
        if self._set is not None or self._filled is not None or self._found():
            _ = self.context

    def _found(self) -> str | None:
        try:
            for find in self._finders:
                user_id = find()
                if user_id:
                    return user_id
        except Exception as error:  # noqa: BLE001 - a user object is the application's and may raise anything
            let_through(error)
        return None


def enter_request(live: LiveContext) -> tuple[Token[AuditContext | LiveContext], Any]:
    """Bind the context of a request. Pass the result to ``leave_request`` to end it.

    All ids are copied into ``structlog.contextvars``, empty ones as unbound, so that a copy that
    ``update_request`` makes later is removed at the end of the request, too.
    """
    if not is_mirrored():
        return VAR.set(live), None
    context = live.context
    # Do not copy "anonymous": a user that is found later would not replace it there.
    ids = context.explicit() if isinstance(context, AnonymousContext) else context.as_dict()
    token = VAR.set(live)
    empty = {name: ... for name, value in ids.items() if is_empty(value)}
    return token, mirror({**ids, **empty})


def leave_request(entered: tuple[Token[AuditContext | LiveContext], Any]) -> None:
    """Restore what was bound before ``enter_request``."""
    try:
        VAR.reset(entered[0])
    except ValueError as error:
        # Called in another context than enter_request was: nothing was bound there.
        let_through(error)
    if entered[1] is not None:
        unmirror(entered[1])
