"""Secrets wherever one can stand, in a process whose every output is kept."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
import structlog

import audit_emit
from audit_emit import AuditError, ConfigError, Secret
from audit_emit._settings import settings as _config

CANARY = "CANARY-7f3a9c"


def canary(number: int) -> str:
    return f"{CANARY}{number:04d}"


@dataclasses.dataclass
class Login:
    user: str
    password: str


class Model(pydantic.BaseModel):
    api_key: pydantic.SecretStr
    blob: pydantic.SecretBytes


class Hostile:
    def __str__(self) -> str:
        raise ValueError(canary(90))

    __repr__ = __str__


def payloads() -> list[tuple[str, Any]]:
    c = canary
    model = Model(api_key=pydantic.SecretStr(c(10)), blob=pydantic.SecretBytes(c(11).encode()))
    return [
        ("user.login", {"password": c(1), "userPassword": c(2), "X-Api-Key": c(3)}),
        ("user.login", {"a": [{"b": {"token": c(4)}}], "credentials": {"x": [c(5)]}}),
        ("secret.set", {"value": c(6), "old_value": c(7), "new_value": c(8), "plaintext": c(9)}),
        ("user.model", {"m": model, "secret": Secret(c(12)), "plain": [Secret(c(13))]}),
        ("user.login", {"login": Login("u", c(14)), "bytes": {"password": c(15).encode()}}),
        ("db.open", {"url": f"postgres://u:{c(16)}@h/db", "headers": {"Authorization": c(17)}}),
        ("db.open", {"body": json.dumps({"password": c(18)}), "query": f"a=1&password={c(19)}"}),
        ("user.login", {"name": "password", "value": c(20)}),
        ("user.login", {"error": ValueError("x"), "hostile": Hostile()}),
        ("user.login", Secret(c(21))),
        ("user.login", {"auth": (c(22),), "session_id": {c(23)}, "otp": Secret(4711)}),
        (f"not a type password={c(24)}", {"password": c(25)}),
        ("user.login", {"password": c(26) * 1000, "deep": _nested(c(27), 40)}),
    ]


def _nested(secret: str, depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"password": secret}
    for _ in range(depth):
        value = {"in": value}
    return value


def attempt(call: Callable[[], Any]) -> None:
    """Whatever it raises is printed as an application would."""
    try:
        result = call()
    except Exception:
        traceback.print_exc()
    else:
        print(repr(result))


def everything(directory: Path) -> None:
    """Emit, fail, ask, show: with and without a key, with a file that works and one that fails."""
    fail_processor: list[Any] = [_failing]
    blocked = directory / "blocked"
    blocked.touch()
    for settings in (
        {"jsonl": directory / "log" / "audit.jsonl"},
        {"jsonl": directory / "keyed" / "audit.jsonl", "hash_key": canary(50) * 3},
        {"jsonl": directory / "proc" / "audit.jsonl", "processors": fail_processor},
        {"jsonl": blocked / "audit.jsonl", "hash_key": canary(51) * 3},
        {"jsonl": "off"},
    ):
        emitter = audit_emit.configure(service="canary", **settings)
        for event_type, fields in payloads():
            print(repr(audit_emit.emit(None, event_type, fields)))
            attempt(lambda e=event_type, f=fields: audit_emit.emit_strict(None, e, f))  # type: ignore[misc]
        attempt(lambda: _audited(canary(60)))
        audit_emit.hash_value_prefix(canary(61), 64)
        print(audit_emit.health(), repr(emitter.settings), str(emitter.settings), repr(emitter))
        print(vars(emitter.settings) if hasattr(emitter.settings, "__dict__") else "")
        _bridges()
        audit_emit.flush(0.1)
    _settings(directory)


def _failing(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError(f"processor {canary(80)} {event!r}")


@audit_emit.audited("canary.work", password=canary(62))
def _audited(secret: str) -> None:
    assert secret
    raise AuditError("canary", "the application's own failure")


def _bridges() -> None:
    from audit_emit.integrations.stdlib import AuditHandler
    from audit_emit.integrations.structlog import AuditTee

    logger = logging.getLogger("canary")
    logger.propagate = False
    handler = AuditHandler()
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.info("canary.log", extra={"audit": {"password": canary(70), "n": 1}})
    structlog.configure(processors=[AuditTee(), _swallow])
    structlog.get_logger().info("canary.tee", audit=True, password=canary(71), token=canary(72))


def _swallow(logger: Any, name: str, event: Any) -> Any:
    raise structlog.DropEvent


def _settings(directory: Path) -> None:
    """Mistakes in the configuration whose message could show what was mistaken."""
    key_file = directory / "key"
    key_file.write_text(canary(52)[:10])
    mistakes: list[dict[str, Any]] = [
        {"hash_key": CANARY},
        {"hash_key": CANARY.encode()},
        {"hash_key": [canary(53)]},
        {"hash_key_file": canary(54) * 3},
        {"hash_key_file": key_file},
        {"hash_key": Secret(canary(55) * 3)},
    ]
    for mistake in mistakes:
        try:
            audit_emit.configure(service="canary", jsonl="off", **mistake)
        except ConfigError as error:
            print(error, repr(error), vars(error))
            traceback.print_exc()
    key_file.unlink()
    os.environ["AUDIT_EMIT_HASH_KEY"] = CANARY
    _config._SYSTEM_DIRECTORY = str(directory / "system")
    audit_emit._core.default.swap_emitter(None)
    audit_emit.emit(None, "canary.implicit", {"password": canary(56)})
    sys.stdout.flush()


def services(directory: Path, framework: str) -> None:
    """The example service: secrets set, rotated, refused, malformed, and crashes in handlers."""
    audit_emit.configure(service="canary", jsonl=directory / "log" / "audit.jsonl")
    requests: list[tuple[str, str, dict[str, str], bytes]] = [
        (method, path, headers, body)
        for method in ("POST", "PUT")
        for path in ("/workspaces/acme/secrets", "/admin/secrets", "/nowhere")
        for headers in (
            {},
            {"Authorization": f"Bearer {canary(1)}"},
            {"Authorization": canary(2), "X-Request-ID": f"password={canary(3)}"},
            {"Authorization": f"Bearer {TOKEN}", "Cookie": f"session={canary(4)}"},
        )
        for body in (
            json.dumps({"key": "STRIPE", "value": canary(5)}).encode(),
            json.dumps({"key": "STRIPE", "value": canary(6)})[:-1].encode(),
            json.dumps({"key": "STRIPE", "value": [canary(7)]}).encode(),
            json.dumps([canary(8)]).encode(),
        )
    ]
    _drive(framework, requests)
    audit_emit.flush()


TOKEN = "token-of-dev"


def _drive(framework: str, requests: list[Any]) -> None:
    if framework == "flask":
        from flask_app import create_app

        client: Any = create_app().test_client()
        for method, path, headers, body in requests:
            answer = client.open(path, method=method, headers=headers, data=body)
            print(answer.status, answer.get_data(as_text=True))
        return
    from fastapi_app import create_app as create
    from starlette.testclient import TestClient

    with TestClient(create(), raise_server_exceptions=False) as client:
        for method, path, headers, body in requests:
            answer = client.request(method, path, headers=headers, content=body)
            print(answer.status_code, answer.text)
