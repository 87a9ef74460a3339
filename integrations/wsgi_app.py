"""Feature flags over HTTP without a framework: a WSGI application in which every change is audited.

    AUDIT_EMIT_SERVICE=flags FLAGS_TOKEN=secret python integrations/wsgi_app.py 8000
    AUDIT_EMIT_SERVICE=flags FLAGS_TOKEN=secret gunicorn --chdir integrations wsgi_app:service
    curl -X PUT -H "Authorization: Bearer secret" http://127.0.0.1:8000/flags/dark-mode -d on

What auditing costs a service: the middleware, the verified actor, and one ``emit`` per change.
"""

from __future__ import annotations

import hmac
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import make_server

from audit_emit import emit
from audit_emit.context import update_request
from audit_emit.integrations.wsgi import AuditMiddleware

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]

FLAG = re.compile(r"/flags/([a-z0-9-]{1,64})")
OPERATOR = "ops"
"""Who the one token belongs to; a real service looks tokens up."""

flags: dict[str, str] = {}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """``GET`` and ``PUT /flags/NAME``; the body of a change is ``on`` or ``off``."""
    status, body = answer(environ)
    data = f"{body}\n".encode()
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))]
    start_response(status, headers)
    return [data]


def answer(environ: Environ) -> tuple[str, str]:
    """The status and the text of one response."""
    found = FLAG.fullmatch(environ["PATH_INFO"])
    if found is None:
        return "404 Not Found", "there is no such page"
    name = found[1]
    if environ["REQUEST_METHOD"] == "GET":
        return "200 OK", flags.get(name, "off")
    if environ["REQUEST_METHOD"] != "PUT":
        return "405 Method Not Allowed", "GET or PUT"
    return change(environ, name)


def change(environ: Environ, name: str) -> tuple[str, str]:
    """Set a flag, when the caller may, and record both outcomes."""
    if not authorised(environ.get("HTTP_AUTHORIZATION", "")):
        emit(None, "flag.denied", {"flag": name})
        return "401 Unauthorized", "who are you?"
    # From here on every record of this request names the operator.
    update_request(user_id=OPERATOR)
    state = (
        environ["wsgi.input"]
        .read(min(int(environ.get("CONTENT_LENGTH") or 0), 8))
        .decode("ascii", "replace")
    )
    if state not in ("on", "off"):
        return "400 Bad Request", "on or off"
    before, flags[name] = flags.get(name, "off"), state
    emit(None, "flag.set", {"flag": name, "before": before, "after": state})
    return "200 OK", state


def authorised(header: str) -> bool:
    """Whether the header holds the token; compared in a time that does not tell how far."""
    token = os.environ.get("FLAGS_TOKEN", "")
    return bool(token) and hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


service = AuditMiddleware(app)

if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with make_server("127.0.0.1", port, service) as server:  # for a look; gunicorn for the rest
        server.serve_forever()
