"""FastAPI: dependencies with which a route declares its audit events and sets the actor.

app = FastAPI()
service = AuditMiddleware(app)               # from audit_emit.integrations.asgi; serve this

def signed_in(token: Annotated[str, Depends(bearer)]) -> User:
    user = verify(token)
    set_actor(user.id)                       # works in sync dependencies and endpoints, too
    return user

@app.delete("/invoices/{id}", dependencies=[audited_route("invoice.void")])
def void(id: str, user: Annotated[User, Depends(signed_in)]) -> None: ...
"""

from __future__ import annotations

from typing import Annotated, Any

try:
    from fastapi import Depends
    from starlette.requests import HTTPConnection
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.fastapi needs FastAPI: pip install 'audit-emit[fastapi]'",
        name=_missing.name,
    ) from _missing

from audit_emit.context import AuditContext, current_context
from audit_emit.integrations._request import KEY, RequestAudit, RouteEvent, set_actor

__all__ = ["CurrentAudit", "RouteEvent", "audited_route", "set_actor"]


async def _current() -> AuditContext:
    return current_context()


CurrentAudit = Annotated[AuditContext, Depends(_current, use_cache=False)]
"""The context at the moment the dependency is resolved: ``ctx: CurrentAudit``.

Dependencies are resolved in the order of the parameters, so place this one after the dependency
that sets the actor. ``emit(None, …)`` needs no such care: it uses the context at the time of the
call.
"""


def audited_route(event_type: str, /, **fields: Any) -> Any:
    """Declare an event that is written when the outcome of the request is known.

    The middleware writes it once, just before ``http.request``, with ``status``, ``outcome``,
    ``duration_ms`` and ``error`` added, also when the endpoint raises. In ``dependencies=[…]``
    of the route it is resolved before the dependencies of the parameters, so that a request which
    one of those refuses is recorded, too. As a parameter it lets the endpoint add fields:

        event: Annotated[RouteEvent, audited_route("secret.set")]
        event.fields["key"] = key

    The result of one call declares one event per request, even if a route uses it twice.

    Args:
        event_type: the event type, as for ``emit``.
        fields: fields that are the same for every request of the route.
    """

    async def declare(connection: HTTPConnection) -> RouteEvent:
        audit = connection.scope.get(KEY)
        if not isinstance(audit, RequestAudit):
            raise RuntimeError(  # noqa: TRY004 - an error of the set-up, not of a type
                "audited_route needs audit_emit.integrations.asgi.AuditMiddleware around the app"
            )
        event = RouteEvent(event_type, fields)
        audit.declared.append(event)
        return event

    return Depends(declare)
