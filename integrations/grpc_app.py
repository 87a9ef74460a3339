"""A greeter on gRPC, without generated code: requests and responses are bytes.

pip install 'audit-emit[grpc]'
python grpc_app.py 50051
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from audit_emit import emit
from audit_emit.integrations.grpc import AuditInterceptor, set_actor

USERS = {"dev-token": "u-17"}
"""A service has verified tokens here."""


def greet(request: bytes, context: Any) -> bytes:
    """Emits with the user whom the token names."""
    token = dict(context.invocation_metadata()).get("authorization", "")
    user = USERS.get(token)
    if user is None:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    set_actor(user)
    emit(None, "guest.greeted", {"name": request.decode()})
    return b"hello " + request


def made(port: int = 0) -> tuple[Any, int]:
    """A server that was started, and its port."""
    server = grpc.server(ThreadPoolExecutor(8), interceptors=[AuditInterceptor()])
    handler = grpc.unary_unary_rpc_method_handler(greet)
    service = grpc.method_handlers_generic_handler("greeter.Greeter", {"Greet": handler})
    server.add_generic_rpc_handlers((service,))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


if __name__ == "__main__":
    made(int(sys.argv[1]))[0].wait_for_termination()
