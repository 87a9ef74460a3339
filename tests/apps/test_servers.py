"""Both services on their real servers: what no test client can do to them."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from secrets_store import MAX_BODY
from support.waiting import PATIENCE

from audit_emit.cli._service import Service, as_json, find_apps

ACME = "/workspaces/acme/secrets"


@pytest.fixture(params=["fastapi", "flask"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with Service(request.param, tmp_path, find_apps()) as service:
        yield service


def send_raw(service: Service, length: int, *parts: bytes, hang_up: bool = False) -> bytes:
    """A request sent by hand, in parts that arrive one by one, and the first of its answer."""
    head = (
        f"POST {ACME} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        f"Authorization: Bearer {service.tokens['dev']}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (head.encode(), *parts):
            connection.sendall(part)
            select.select([connection], [], [], 0.05)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        return connection.recv(65536)


def test_a_body_that_comes_in_pieces_is_read_whole(service: Service) -> None:
    body = as_json(key="K", value="v" * 100)
    assert b" 201 " in send_raw(service, len(body), body[:10], body[10:20], body[20:])


def test_a_body_that_ends_too_early_is_rejected(service: Service) -> None:
    send_raw(service, 100, b'{"key":"K","value":"CANARY', hang_up=True)
    service.wait_for('"secret.rejected"', '"reason":"incomplete-body"', '"user_id":"dev"')
    assert service.ask("GET", ACME, "dev").text.replace(" ", "") == '{"keys":[]}'
    assert b"CANARY" not in b"".join(service.lines) + service.errors.read_bytes()


def test_a_body_without_end_is_not_read_to_its_end(service: Service) -> None:
    send_raw(service, 10**12, b"x" * (MAX_BODY + 1))
    service.wait_for('"secret.rejected"', '"reason":"body-too-large"')


def test_a_header_line_cannot_forge_an_audit_line(service: Service) -> None:
    forged = "/workspaces/acme/secrets/x%0aaudit:%20%7b%22event_type%22:%22secret.delete%22%7d"
    answered = service.ask("DELETE", forged, "dev")
    assert answered.status == 422
    service.wait_for_request(answered.correlation_id)
    for line in service.lines:
        assert line.startswith(b"audit: ")
        assert json.loads(line.removeprefix(b"audit: "))["event_type"] != "secret.delete"


def test_stdout_and_the_file_say_the_same(service: Service) -> None:
    for number in range(5):
        body = as_json(key=f"K{number}", value="v")
        service.wait_for_request(service.ask("POST", ACME, "dev", body).correlation_id)
    lines = [line.removeprefix(b"audit: ") for line in service.lines]
    assert sorted(lines) == sorted(service.log.read_bytes().splitlines(keepends=True))


def test_a_broken_store_is_a_500_and_a_record_of_the_request(service: Service) -> None:
    service.ask("GET", "/health")
    database = service.log.with_name("secrets.db")
    database.write_bytes(b"no database" * 100)
    answered = service.ask("GET", ACME, "dev")
    assert answered.status == 500
    service.wait_for('"http.request"', '"status":500', answered.correlation_id)
