"""A secrets service on Flask in which every change is audited.

    AUDIT_EMIT_SERVICE=secrets PYTHONPATH=integrations flask --app flask_app run

What auditing costs a service: the extension, the verified actor, and one ``emit`` per change.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from secrets_store import MAX_BODY, Denied, Refused, Rejected, Store, check_name, parse_secret
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from audit_emit import emit, hash_value_prefix, health
from audit_emit.context import update_request
from audit_emit.integrations.flask import AuditEmit

bp = Blueprint("secrets", __name__)
audit = AuditEmit()


def the_store() -> Store:
    """The store of this application."""
    store: Store = current_app.extensions["secrets_store"]
    return store


def authorise(workspace_id: str | None) -> None:
    """Let the caller change this workspace; ``None`` is the global scope.

    From here on every record of the request names the verified caller.
    """
    update_request(workspace_id=workspace_id or "", actor_kind="anonymous")
    user = the_store().authenticate(request.headers.get("Authorization"))
    update_request(user_id=user.user_id, actor_kind=user.actor_kind)
    the_store().allow(user, workspace_id)


def read_body() -> bytes:
    """The body, within ``MAX_CONTENT_LENGTH``."""
    try:
        return request.get_data()
    except RequestEntityTooLarge:
        raise Rejected(413, "body-too-large", f"the body has more than {MAX_BODY} bytes") from None
    except ClientDisconnected:
        raise Rejected(400, "incomplete-body", "the body ended too early") from None


@bp.put("/workspaces/<workspace_id>/secrets")
@bp.post("/workspaces/<workspace_id>/secrets")
@bp.post("/admin/secrets")
@bp.post("/settings/secrets")
def set_secret(workspace_id: str | None = None) -> ResponseReturnValue:
    """Set a new secret or rotate a known one."""
    authorise(workspace_id)
    secret = parse_secret(read_body())
    operation = the_store().put(workspace_id, secret.key, secret.value)
    emit(None, "secret.set", change(workspace_id, secret.key, secret.value, operation))
    answer = jsonify(key=secret.key, operation=operation)
    return answer, 201 if operation == "set" else 200


@bp.delete("/workspaces/<workspace_id>/secrets/<key>")
@bp.delete("/admin/secrets/<key>")
@bp.delete("/settings/secrets/<key>")
def delete_secret(key: str, workspace_id: str | None = None) -> ResponseReturnValue:
    """Delete a secret; where there was none, nothing happened and nothing is recorded."""
    authorise(workspace_id)
    check_name("key", key)
    value = the_store().delete(workspace_id, key)
    if value is None:
        return jsonify(error="there is no such secret"), 404
    emit(None, "secret.delete", change(workspace_id, key, value, "delete"))
    return jsonify(key=key, operation="delete")


@bp.get("/workspaces/<workspace_id>/secrets")
@bp.get("/admin/secrets")
@bp.get("/settings/secrets")
def list_secrets(workspace_id: str | None = None) -> ResponseReturnValue:
    """The names of the secrets, never a value."""
    authorise(workspace_id)
    return jsonify(keys=the_store().names(workspace_id))


@bp.get("/health")
def service_health() -> ResponseReturnValue:
    """Whether the store answers, and how the audit trail is."""
    the_store().names(None)
    return jsonify(status="ok", audit=health()["status"])


@bp.errorhandler(Denied)
def on_denied(error: Denied) -> ResponseReturnValue:
    """Answer a caller who may not do this, and record the attempt."""
    emit(None, "secret.denied", attempt(error))
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return jsonify(error=error.message), error.status, headers


@bp.errorhandler(Rejected)
def on_rejected(error: Rejected) -> ResponseReturnValue:
    """Answer a request that cannot be understood, and record why."""
    emit(None, "secret.rejected", attempt(error))
    return jsonify(error=error.message), error.status


def change(workspace_id: str | None, key: str, value: str, operation: str) -> dict[str, str]:
    """What the record of a change says: the value only as the prefix of its hash."""
    scope = "global" if workspace_id is None else "workspace"
    return {
        "key": key,
        "value_hash": hash_value_prefix(value),
        "scope": scope,
        "operation": operation,
    }


def attempt(error: Refused) -> dict[str, Any]:
    """What the record of a refused request says: nothing of its body."""
    return {"reason": error.reason, "method": request.method, "path": request.path}


def plain_error(error: HTTPException) -> Any:
    """An unknown path or method, answered as JSON like everything else."""
    response = error.get_response()
    response.set_data(jsonify(error=error.name).get_data())
    response.content_type = "application/json"
    return response


def create_app(store: Store | None = None) -> Flask:
    """The application, on a given store or the one that the environment names."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.extensions["secrets_store"] = store or Store.from_env()
    app.register_blueprint(bp)
    app.register_error_handler(HTTPException, plain_error)
    audit.init_app(app)
    return app
