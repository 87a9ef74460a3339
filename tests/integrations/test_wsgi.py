from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from support import requirements
from support.audit_log import AuditLog
from support.waiting import PATIENCE, until

from audit_emit.context import current_context, update_request
from audit_emit.errors import ConfigError
from audit_emit.integrations.wsgi import AuditMiddleware, WsgiApp

EXAMPLES = Path(__file__).parents[2] / "integrations"

Environ = dict[str, Any]
Start = Callable[..., Any]


def environ_of(**members: Any) -> Environ:
    environ: Environ = {"REMOTE_ADDR": "192.0.2.9", **members}
    setup_testing_defaults(environ)
    environ.setdefault("QUERY_STRING", "")
    return environ


def served(app: WsgiApp, environ: Environ) -> bytes:
    """What the standard library's own server makes of it, the application and us validated."""
    return as_it_is(validator(app), environ)


def as_it_is(app: Any, environ: Environ) -> bytes:
    output = BytesIO()
    SimpleHandler(BytesIO(), output, StringIO(), environ).run(app)
    return output.getvalue()


def greeting(_environ: Environ, start_response: Start) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def wrapped(log: AuditLog, app: Any, **options: Any) -> AuditMiddleware:
    """Validated on the inside, too: the middleware is a server for the application."""
    return AuditMiddleware(validator(app), emitter=log.emitter, **options)


def test_a_request_is_recorded(audit_log: AuditLog) -> None:
    response = served(wrapped(audit_log, greeting), environ_of(PATH_INFO="/a", SCRIPT_NAME="/m"))
    record = audit_log.only()
    fields = record["fields"]
    assert fields.pop("duration_ms") >= 0
    assert fields == {
        "method": "GET",
        "path": "/m/a",
        "status": 200,
        "outcome": "success",
        "bytes": 5,
        "client_ip": "192.0.2.0/24",
    }
    assert (record["event_type"], record["actor_kind"]) == ("http.request", "anonymous")
    assert f"X-Request-ID: {record['correlation_id']}".encode() in response


def test_a_server_still_knows_the_length_of_a_body_of_one_part(audit_log: AuditLog) -> None:
    plain = AuditMiddleware(greeting, emitter=audit_log.emitter)
    assert b"Content-Length: 5\r\n" in as_it_is(plain, environ_of())


@pytest.mark.parametrize("writes", [True, False])
def test_a_body_of_a_head_response_is_not_counted(audit_log: AuditLog, writes: bool) -> None:
    def app(_environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        if writes:
            write(b"hello")
            return []
        return [b"hello"]

    as_it_is(AuditMiddleware(app, emitter=audit_log.emitter), environ_of(REQUEST_METHOD="HEAD"))
    assert audit_log.only()["fields"]["bytes"] == 0


def test_a_length_that_is_no_number_for_python_is_the_servers_to_refuse(
    audit_log: AuditLog,
) -> None:
    def app(_environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9" * 5000)])
        return [b"hello"]

    body = AuditMiddleware(app, emitter=audit_log.emitter)(environ_of(), lambda *_: print)
    assert [*body] == [b"hello"]
    assert audit_log.only()["fields"]["status"] == 200


def test_a_stream_is_bound_at_every_step_and_recorded_at_its_end(audit_log: AuditLog) -> None:
    def stream(_environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for _ in range(3):
            yield current_context().correlation_id.encode()

    response = served(wrapped(audit_log, stream), environ_of())
    record = audit_log.only()
    assert response.count(record["correlation_id"].encode()) == 3 + 1  # and the header
    assert record["fields"]["bytes"] == 3 * 32
    assert current_context().correlation_id == ""


def test_a_stream_that_the_server_closes_before_its_end_is_aborted(audit_log: AuditLog) -> None:
    def stream(_environ: Environ, start_response: Start) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        yield b"two"

    body = AuditMiddleware(stream, emitter=audit_log.emitter)(environ_of(), lambda *_: print)
    assert next(iter(body)) == b"one"
    assert audit_log.records() == []
    body.close()  # type: ignore[attr-defined] # as PEP 3333 wants of a server
    assert audit_log.only()["fields"]["outcome"] == "aborted"


def test_bytes_that_are_written_by_hand_count(audit_log: AuditLog) -> None:
    def writes(_environ: Environ, start_response: Start) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"by hand")
        return []

    assert served(wrapped(audit_log, writes), environ_of()).endswith(b"by hand")
    assert audit_log.only()["fields"]["bytes"] == 7


def test_an_application_that_raises_is_a_500(audit_log: AuditLog) -> None:
    def fails(_environ: Environ, _start: Start) -> Iterable[bytes]:
        raise ValueError("CANARY")

    with pytest.raises(ValueError, match="CANARY"):
        AuditMiddleware(fails, emitter=audit_log.emitter)(environ_of(), lambda *_: print)
    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "ValueError")


def test_an_exception_that_the_application_answers_is_named(audit_log: AuditLog) -> None:
    def answers(_environ: Environ, start_response: Start) -> Iterable[bytes]:
        try:
            raise LookupError("CANARY")
        except LookupError:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    assert served(wrapped(audit_log, answers), environ_of()).endswith(b"sorry")
    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "LookupError")


def test_an_answer_that_comes_too_late_is_not_the_answer(audit_log: AuditLog) -> None:
    def begins(_environ: Environ, start_response: Start) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"begun"
        try:
            raise LookupError("CANARY")
        except LookupError:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())

    assert served(wrapped(audit_log, begins), environ_of()).endswith(b"begun")
    fields = audit_log.only()["fields"]
    assert (fields["status"], fields["outcome"], fields["error"]) == (200, "failure", "LookupError")


def test_the_user_of_the_server_is_the_actor(audit_log: AuditLog) -> None:
    served(wrapped(audit_log, greeting), environ_of(REMOTE_USER="u-17"))
    record = audit_log.only()
    assert (record["user_id"], record["actor_kind"]) == ("u-17", "user")


def test_a_header_is_no_user_of_the_server(audit_log: AuditLog) -> None:
    served(wrapped(audit_log, greeting), environ_of(HTTP_REMOTE_USER="u-17"))
    assert audit_log.only()["actor_kind"] == "anonymous"


def test_what_the_application_says_comes_before_the_user_of_the_server(
    audit_log: AuditLog,
) -> None:
    def knows(environ: Environ, start_response: Start) -> Iterable[bytes]:
        update_request(user_id="u-18", actor_kind="agent")
        return greeting(environ, start_response)

    served(wrapped(audit_log, knows), environ_of(REMOTE_USER="u-17"))
    record = audit_log.only()
    assert (record["user_id"], record["actor_kind"]) == ("u-18", "agent")


def test_a_request_through_the_middleware_twice_is_one_record(audit_log: AuditLog) -> None:
    twice = wrapped(audit_log, AuditMiddleware(greeting, emitter=audit_log.emitter))
    served(twice, environ_of())
    assert len(audit_log.records()) == 1


def test_an_id_of_a_trusted_proxy_is_that_of_the_request(audit_log: AuditLog) -> None:
    service = wrapped(audit_log, greeting, trusted_proxies=["192.0.2.0/24"])
    served(service, environ_of(HTTP_X_REQUEST_ID="req-1", HTTP_X_FORWARDED_FOR="198.51.100.7"))
    record = audit_log.only()
    assert record["correlation_id"] == "req-1"
    assert record["fields"]["client_ip"] == "198.51.100.0/24"


def test_an_unknown_option_is_told_at_once(audit_log: AuditLog) -> None:
    with pytest.raises(ConfigError, match="skip_pats"):
        wrapped(audit_log, greeting, skip_pats=["/health"])


# The example, on a real server


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """``integrations/wsgi_app.py`` under gunicorn: its port, and its log."""
    requirements.package("gunicorn")
    log = tmp_path / "audit.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as listener, (tmp_path / "err").open("wb") as err:
        command = [sys.executable, "-m", "gunicorn", "wsgi_app:service", "--workers", "1"]
        server = subprocess.Popen(
            [*command, "--bind", f"fd://{listener.fileno()}"],
            cwd=EXAMPLES,
            pass_fds=[listener.fileno()],
            env={**os.environ, "AUDIT_EMIT_JSONL": str(log), "FLAGS_TOKEN": "of-ops"},
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        try:
            yield listener.getsockname()[1], log
        finally:
            server.terminate()
            server.wait(PATIENCE)


def asked(port: int, method: str, path: str, body: str = "", token: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()


def lines_of(log: Path, wanted: int) -> list[str]:
    """The lines of the log once there are ``wanted``: a record follows the last byte it is of."""
    until(lambda: log.exists() and log.read_bytes().count(b"\n") >= wanted, f"{wanted} lines")
    return log.read_text(encoding="utf-8").splitlines()


def test_the_example_is_audited_under_gunicorn(gunicorn: tuple[int, Path]) -> None:
    port, log = gunicorn
    assert asked(port, "PUT", "/flags/dark-mode", "on") == (401, b"who are you?\n")
    assert asked(port, "PUT", "/flags/dark-mode", "on", "of-ops") == (200, b"on\n")
    assert asked(port, "GET", "/flags/dark-mode") == (200, b"on\n")
    denied, _, flag, request, read = lines_of(log, 1 + 5)[1:]
    assert '"event_type":"flag.denied"' in denied
    assert '"event_type":"flag.set"' in flag
    assert '"user_id":"ops"' in flag
    assert '"before":"off","after":"on"' in flag
    assert '"user_id":"ops"' in request
    assert '"outcome":"success"' in read
    assert "of-ops" not in log.read_text(encoding="utf-8")
