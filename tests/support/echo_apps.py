"""Two small services, on WSGI and ASGI, whose caller says in a header who he is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from audit_emit import emit
from audit_emit.context import update_request
from audit_emit.integrations import asgi, wsgi

__all__ = ["asgi_app", "wsgi_app"]


def _answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    update_request(user_id=environ["HTTP_X_CALLER"])
    emit(None, "item.set", {"number": environ["HTTP_X_NUMBER"]})
    start_response("204 No Content", [])
    return []


async def _answer_async(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    headers = dict(scope["headers"])
    update_request(user_id=headers[b"x-caller"].decode())
    emit(None, "item.set", {"number": headers[b"x-number"].decode()})
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


wsgi_app = wsgi.AuditMiddleware(_answer)
asgi_app = asgi.AuditMiddleware(_answer_async)
