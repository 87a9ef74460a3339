"""gRPC: each way in which a call can end is one record, on real servers of both sorts."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from support.audit_log import AuditLog
from support.requirements import package
from support.tiers import starts_a_server
from support.waiting import PATIENCE, until

package("grpcio", "grpc")

import grpc  # noqa: E402

from audit_emit.integrations._grpc_deadline import is_late  # noqa: E402
from audit_emit.integrations.grpc import (  # noqa: E402
    AsyncAuditInterceptor,
    AuditInterceptor,
    set_actor,
)

CODE = grpc.StatusCode.FAILED_PRECONDITION
DENIED = grpc.StatusCode.PERMISSION_DENIED


class Servicer:
    """Does what the request says."""

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        self.left = threading.Event()

    def act(self, request: bytes, context: Any) -> bytes:
        set_actor("u-17")
        self.log.emitter.emit(None, "work.done", {"request": request.decode()})
        if request == b"raise":
            raise ValueError("a secret")
        if request == b"abort":
            context.abort(DENIED, "no")
        if request == b"code":
            context.set_code(CODE)
        if request == b"wait":
            self.left.wait(PATIENCE)
        return b"done"

    def unary(self, request: bytes, context: Any) -> bytes:
        return self.act(request, context)

    def stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield b"first"
        yield self.act(request, context)

    def collect(self, requests: Iterator[bytes], context: Any) -> bytes:
        return self.act(list(requests)[-1], context)

    def chat(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield b"first"
        for request in requests:
            yield self.act(request, context)

    async def act_async(self, request: bytes, context: Any) -> bytes:
        if request == b"abort":
            await context.abort(DENIED, "no")
        if request == b"wait":
            self.log.emitter.emit(None, "work.done", {})
            set_actor("u-17")
            await asyncio.sleep(30)
        return self.act(request, context)

    async def aunary(self, request: bytes, context: Any) -> bytes:
        return await self.act_async(request, context)

    async def astream(self, request: bytes, context: Any) -> Any:
        yield b"first"
        yield await self.act_async(request, context)

    async def acollect(self, requests: Any, context: Any) -> bytes:
        return await self.act_async([one async for one in requests][-1], context)

    async def achat(self, requests: Any, context: Any) -> Any:
        yield b"first"
        async for request in requests:
            yield await self.act_async(request, context)


def handlers(servicer: Servicer, prefix: str) -> Any:
    found = {
        "unary": grpc.unary_unary_rpc_method_handler(getattr(servicer, f"{prefix}unary")),
        "stream": grpc.unary_stream_rpc_method_handler(getattr(servicer, f"{prefix}stream")),
        "collect": grpc.stream_unary_rpc_method_handler(getattr(servicer, f"{prefix}collect")),
        "chat": grpc.stream_stream_rpc_method_handler(getattr(servicer, f"{prefix}chat")),
    }
    return grpc.method_handlers_generic_handler("tests.Work", found)


class Served:
    """A server in its own thread, and a client of it."""

    def __init__(self, kind: str, log: AuditLog) -> None:
        self.log = log
        self.kind = kind
        self.servicer = Servicer(log)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.port = 0
        if kind == "sync":
            self._server = grpc.server(
                ThreadPoolExecutor(8), interceptors=[AuditInterceptor(emitter=log.emitter)]
            )
            self._server.add_generic_rpc_handlers((handlers(self.servicer, ""),))
            self.port = self._server.add_insecure_port("127.0.0.1:0")
            self._server.start()
        else:
            self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
            self._thread.start()
            until(lambda: self.port)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")

    async def _serve(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        server = grpc.aio.server(
            ThreadPoolExecutor(8), interceptors=[AsyncAuditInterceptor(emitter=self.log.emitter)]
        )
        prefix = "a" if self.kind == "aio" else ""
        server.add_generic_rpc_handlers((handlers(self.servicer, prefix),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self.port = port
        await self._stop.wait()
        await server.stop(0)

    def close(self) -> None:
        self.servicer.left.set()
        self.channel.close()
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE)
        else:
            self._server.stop(0).wait()

    def call(self, method: str, request: bytes, **options: Any) -> str:
        """The code with which a call ended, as the client sees it."""
        path = f"/tests.Work/{method}"
        try:
            if method in ("unary", "nothing"):
                self.channel.unary_unary(path)(request, **options)
            elif method == "stream":
                list(self.channel.unary_stream(path)(request, **options))
            elif method == "collect":
                self.channel.stream_unary(path)(iter([b"a", request]), **options)
            else:
                list(self.channel.stream_stream(path)(iter([request]), **options))
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def record(self) -> dict[str, Any]:
        until(lambda: self.log.records("grpc.request"), "the record")
        (record,) = self.log.records("grpc.request")
        return record


@pytest.fixture(params=["sync", "aio", "sync handlers on aio"])
@starts_a_server
def served(request: pytest.FixtureRequest, audit_log: AuditLog) -> Iterator[Served]:
    made = Served(request.param, audit_log)
    yield made
    made.close()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def wait_for_deadline(port: int, method: str, milliseconds: int) -> None:
    """A call whose client does nothing at its deadline, so that the server's ends the call.

    grpcio's client cancels the call then, and which of the two is first is not known.
    """
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/tests.Work/{method}",
        ":authority": "tests",
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": f"{milliseconds}m",
    }
    # Literals without indexing and Huffman's code (RFC 7541, 6.2.2), each shorter than 127 bytes.
    fields = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    message = b"\0" + struct.pack(">I", 4) + b"wait"
    with socket.create_connection(("127.0.0.1", port), 60) as server:
        server.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(4, 0, 0, b"")  # SETTINGS
            + frame(1, 4, 1, fields)  # HEADERS, and no more of them
            + frame(0, 1, 1, message)  # DATA, and the end of what the client says
        )
        answers = server.makefile("rb")
        while True:
            head = answers.read(9)
            assert len(head) == 9, "the server has closed the connection"
            answers.read(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if stream == 1 and (kind == 3 or (kind == 1 and flags & 1)):
                return  # reset, or the trailers


METHODS = {
    "unary": "unary_unary",
    "stream": "unary_stream",
    "collect": "stream_unary",
    "chat": "stream_stream",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("request_", "code", "outcome", "error"),
    [
        (b"work", "OK", "success", None),
        (b"raise", "UNKNOWN", "failure", "ValueError"),
        (b"abort", "PERMISSION_DENIED", "denied", None),
        (b"code", "FAILED_PRECONDITION", "failure", None),
    ],
)
def test_each_ending_of_each_kind_is_one_record(
    served: Served, method: str, request_: bytes, code: str, outcome: str, error: str | None
) -> None:
    assert served.call(method, request_) == code
    record = served.record()
    fields = record["fields"]
    assert (fields["service"], fields["method"]) == ("tests.Work", method)
    assert (fields["kind"], fields["code"]) == (METHODS[method], code)
    assert (fields["outcome"], fields.get("error")) == (outcome, error)
    if not (served.kind == "aio" and request_ == b"abort"):
        assert record["user_id"] == "u-17"
        work = served.log.records("work.done")
        assert {one["correlation_id"] for one in work} == {record["correlation_id"]}
    assert "a secret" not in str(served.log.records())


@pytest.mark.parametrize("method", METHODS)
def test_a_deadline_is_recorded_while_the_handler_still_runs(served: Served, method: str) -> None:
    log = served.log
    for milliseconds in (500, 4_000, 16_000):
        wait_for_deadline(served.port, method, milliseconds)
        if log.records("work.done"):
            break  # on a loaded machine the handler may not have come so far by its deadline
    until(lambda: len(log.records("grpc.request")) >= len(log.records("work.done")), "the record")
    served.servicer.left.set()
    calls = log.records("grpc.request")
    assert {one["fields"]["code"] for one in calls} == {"DEADLINE_EXCEEDED"}
    assert {one["fields"]["outcome"] for one in calls} == {"failure"}
    assert all(one["fields"]["deadline_ms"] <= 16_000 for one in calls)
    assert len({one["correlation_id"] for one in calls}) == len(calls)


@pytest.mark.parametrize(
    ("allowed", "remaining", "late"),
    [
        (None, None, False),
        (0.5, 0.0, True),
        (0.5, 0.1, True),  # of a client whose clock began 100 ms before the server's
        (0.5, 0.2, False),
        (0.1, 0.06, False),  # the first half of a short deadline
        (3600.0, 36.0, True),  # gRPC has rounded it up
        (3600.0, 60.0, False),
    ],
)
def test_a_cancellation_just_before_the_deadline_is_the_deadline(
    allowed: float | None, remaining: float | None, late: bool
) -> None:
    assert is_late(allowed, remaining) is late


@pytest.mark.parametrize(("method", "timeout"), [("unary", None), ("stream", 3600)])
def test_a_cancelled_call_is_recorded(served: Served, method: str, timeout: int | None) -> None:
    path = f"/tests.Work/{method}"
    if method == "unary":
        call: Any = served.channel.unary_unary(path).future(b"wait", timeout=timeout)
    else:
        call = served.channel.unary_stream(path)(b"wait", timeout=timeout)
    until(lambda: served.log.records("work.done"), "the call's start")
    call.cancel()
    fields = served.record()["fields"]
    assert (fields["code"], fields["outcome"]) == ("CANCELLED", "cancelled")


def test_an_unknown_method_is_recorded(served: Served) -> None:
    assert served.call("nothing", b"x") == "UNIMPLEMENTED"
    assert served.record()["fields"]["code"] == "UNIMPLEMENTED"


def test_what_metadata_says_is_only_claimed(served: Served) -> None:
    metadata = (("x-request-id", "mine"), ("x-user-id", "root"))
    served.call("unary", b"work", metadata=metadata)
    record = served.record()
    assert record["user_id"] == "u-17"
    assert record["correlation_id"] != "mine"
    assert record["fields"]["client_request_id"] == "mine"
    assert record["fields"]["client_ip"] == "127.0.0.0/24"


def test_a_call_has_not_ended_where_a_context_says_nothing_of_callbacks(
    audit_log: AuditLog,
) -> None:
    nothing = {name: lambda *_: None for name in ("add_callback", "code", "time_remaining")}
    # As another interceptor may give it to the next one.
    wrapped = SimpleNamespace(peer=lambda: "unix:", peer_identities=lambda: None, **nothing)
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: b"done")
    details = SimpleNamespace(method="/tests.Work/unary", invocation_metadata=())
    audited = AuditInterceptor(emitter=audit_log.emitter).intercept_service(
        lambda _: handler, details
    )
    assert audited.unary_unary(b"work", wrapped) == b"done"
    assert [one["fields"]["code"] for one in audit_log.records("grpc.request")] == ["OK"]


@starts_a_server
def test_what_a_call_held_is_free_when_it_is_over(audit_log: AuditLog) -> None:
    """It does not wait for the garbage collector."""
    held: list[weakref.ref[Any]] = []
    served = Served("sync", audit_log)
    act = served.servicer.act

    def remembering(request: bytes, context: Any) -> bytes:
        held.append(weakref.ref(context))
        return act(request, context)

    served.servicer.act = remembering  # type: ignore[method-assign]
    gc.disable()
    try:
        assert served.call("unary", b"x") == "OK"
        until(lambda: held[0]() is None, "the end of the context")
    finally:
        gc.enable()
        served.close()
