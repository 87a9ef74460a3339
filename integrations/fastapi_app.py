"""A secrets service on FastAPI in which every change is audited.

    AUDIT_EMIT_SERVICE=secrets uvicorn --app-dir integrations --factory fastapi_app:create_app

What auditing costs a service: the middleware, the verified actor, and one ``emit`` per change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from secrets_store import (
    MAX_BODY,
    Denied,
    Refused,
    Rejected,
    SecretIn,
    Store,
    check_name,
    parse_secret,
)
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match, Route

from audit_emit import emit, flush, hash_value_prefix, health
from audit_emit.integrations.asgi import AuditMiddleware
from audit_emit.integrations.fastapi import set_actor

router = APIRouter()


def the_store(request: Request) -> Store:
    """The store of this application."""
    store: Store = request.app.state.store
    return store


TheStore = Annotated[Store, Depends(the_store)]


def authorised(request: Request, store: TheStore) -> str | None:
    """The workspace that the caller may change; ``None`` is the global scope.

    From here on every record of the request names the verified caller.
    """
    workspace_id = request.path_params.get("workspace_id")
    set_actor("", actor_kind="anonymous", workspace_id=workspace_id or "")
    user = store.authenticate(request.headers.get("authorization"))
    set_actor(user.user_id, actor_kind=user.actor_kind)
    store.allow(user, workspace_id)
    return workspace_id


Workspace = Annotated[str | None, Depends(authorised)]


async def secret_body(request: Request, _: Workspace) -> SecretIn:
    """The body, read within bounds, and only for a caller who may send one."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                break
    except ClientDisconnect:
        raise Rejected(400, "incomplete-body", "the body ended too early") from None
    return parse_secret(body)


@router.put("/workspaces/{workspace_id}/secrets")
@router.post("/workspaces/{workspace_id}/secrets")
@router.post("/admin/secrets")
@router.post("/settings/secrets")
def set_secret(
    store: TheStore, workspace_id: Workspace, secret: Annotated[SecretIn, Depends(secret_body)]
) -> JSONResponse:
    """Set a new secret or rotate a known one."""
    operation = store.put(workspace_id, secret.key, secret.value)
    emit(None, "secret.set", change(workspace_id, secret.key, secret.value, operation))
    answer = {"key": secret.key, "operation": operation}
    return JSONResponse(answer, 201 if operation == "set" else 200)


@router.delete("/workspaces/{workspace_id}/secrets/{key}")
@router.delete("/admin/secrets/{key}")
@router.delete("/settings/secrets/{key}")
def delete_secret(store: TheStore, workspace_id: Workspace, key: str) -> JSONResponse:
    """Delete a secret; where there was none, nothing happened and nothing is recorded."""
    check_name("key", key)
    value = store.delete(workspace_id, key)
    if value is None:
        return JSONResponse({"error": "there is no such secret"}, 404)
    emit(None, "secret.delete", change(workspace_id, key, value, "delete"))
    return JSONResponse({"key": key, "operation": "delete"})


@router.get("/workspaces/{workspace_id}/secrets")
@router.get("/admin/secrets")
@router.get("/settings/secrets")
@router.head("/workspaces/{workspace_id}/secrets")
@router.head("/admin/secrets")
@router.head("/settings/secrets")
def list_secrets(store: TheStore, workspace_id: Workspace) -> dict[str, list[str]]:
    """The names of the secrets, never a value."""
    return {"keys": store.names(workspace_id)}


@router.get("/health")
@router.head("/health")
def service_health(store: TheStore) -> dict[str, Any]:
    """Whether the store answers, and how the audit trail is."""
    store.names(None)
    return {"status": "ok", "audit": health()["status"]}


def on_denied(request: Request, error: Denied) -> JSONResponse:
    """Answer a caller who may not do this, and record the attempt."""
    emit(None, "secret.denied", attempt(request, error))
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse({"error": error.message}, error.status, headers)


def on_rejected(request: Request, error: Rejected) -> JSONResponse:
    """Answer a request that cannot be understood, and record why."""
    emit(None, "secret.rejected", attempt(request, error))
    return JSONResponse({"error": error.message}, error.status)


def change(workspace_id: str | None, key: str, value: str, operation: str) -> dict[str, str]:
    """What the record of a change says: the value only as the prefix of its hash."""
    scope = "global" if workspace_id is None else "workspace"
    return {
        "key": key,
        "value_hash": hash_value_prefix(value),
        "scope": scope,
        "operation": operation,
    }


def attempt(request: Request, error: Refused) -> dict[str, Any]:
    """What the record of a refused request says: nothing of its body."""
    return {"reason": error.reason, "method": request.method, "path": request.url.path}


def plain_error(request: Request, error: HTTPException) -> Response:
    """An unknown path or method, answered as JSON like everything else."""
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(allowed(request))
        if request.method == "OPTIONS":
            return Response(headers=headers)
    return JSONResponse({"error": error.detail}, error.status_code, headers)


def allowed(request: Request) -> list[str]:
    """The methods of a path; the framework names those of one of its routes only."""
    found = {"OPTIONS"}
    for route in router.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE:
            found |= route.methods or set()
    return sorted(found)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """At the end, wait for what is still to be written: uvicorn runs no exit handlers."""
    yield
    await asyncio.to_thread(flush)


def create_app(store: Store | None = None) -> FastAPI:
    """The application, on a given store or the one that the environment names."""
    app = FastAPI(title="Secrets", redirect_slashes=False, lifespan=lifespan)
    app.state.store = store or Store.from_env()
    app.include_router(router)
    app.add_exception_handler(HTTPException, plain_error)  # type: ignore[arg-type]
    app.add_exception_handler(Denied, on_denied)  # type: ignore[arg-type]
    app.add_exception_handler(Rejected, on_rejected)  # type: ignore[arg-type]
    app.add_middleware(AuditMiddleware)  # last, so that it is outermost
    return app
