"""Services with several workers, one of which is killed while all of them are asked."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.host_server import children, running
from support.plain_log_reader import of_type, records
from support.ports import free_port
from support.requirements import package
from support.waiting import PATIENCE, until

import audit_emit

for needed in ("gunicorn", "uvicorn", "hypercorn"):
    package(needed)

GUNICORN = ("gunicorn", "support.echo_apps:wsgi_app", "--workers=2", "--bind=127.0.0.1:{port}")
SERVERS = {
    "gunicorn sync": GUNICORN,
    "gunicorn gthread": (*GUNICORN, "--threads=4"),
    "gunicorn preload": (*GUNICORN, "--preload"),
    "uvicorn": ("uvicorn", "support.echo_apps:asgi_app", "--workers=2", "--port={port}"),
    "hypercorn": (
        "hypercorn",
        "support.echo_apps:asgi_app",
        "--workers=2",
        "--bind=127.0.0.1:{port}",
    ),
}
REQUESTS = 240
CALLERS = 6


@pytest.mark.parametrize("server", SERVERS)
def test_each_request_is_recorded_once_by_whoever_made_it(server: str, tmp_path: Path) -> None:
    log, port = tmp_path / "audit.jsonl", free_port()
    command = [argument.format(port=port) for argument in SERVERS[server]]
    env = {
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "echo",
        "AUDIT_EMIT_STDOUT": "0",
    }
    output = tmp_path / "output.txt"
    with running("python", "-W", "ignore", "-m", *command, port=port, log=output, env=env) as main:

        def ask(caller: int) -> list[str]:
            """The numbers of the requests that were answered."""
            answered = []
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                for number in range(caller, REQUESTS, CALLERS):
                    if number == REQUESTS // 2:
                        _kill_a_worker(main.pid, log)
                    headers = {"X-Caller": f"u-{caller}", "X-Number": f"{number}"}
                    try:
                        if client.get("/item", headers=headers).status_code == 204:
                            answered.append(f"{number}")
                    except httpx.TransportError:
                        continue  # its worker was killed
            return answered

        with ThreadPoolExecutor(CALLERS) as pool:
            answered = {one for found in pool.map(ask, range(CALLERS)) for one in found}

    found = records(log)
    items = [one for one in found if one["event_type"] == "item.set"]
    numbers = Counter(one["fields"]["number"] for one in items)
    assert answered <= set(numbers)
    assert set(numbers.values()) == {1}
    assert all(one["user_id"] == f"u-{int(one['fields']['number']) % CALLERS}" for one in items)
    requests = {
        one["correlation_id"]: one["user_id"]
        for one in found
        if one["event_type"] == "http.request"
    }
    # A worker may be killed after its answer and before the record of the request.
    assert len(answered) - CALLERS <= len(requests) <= len(items)
    assert len(answered) > CALLERS
    assert requests.items() <= {(one["correlation_id"], one["user_id"]) for one in items}
    assert not audit_emit.open_log(log).verify().tampered


def test_requests_that_share_a_connection_of_http_2_are_recorded_each_by_itself(
    tmp_path: Path,
) -> None:
    package("h2")
    log, port = tmp_path / "audit.jsonl", free_port()
    command = [argument.format(port=port) for argument in SERVERS["hypercorn"]]
    env = {"AUDIT_EMIT_JSONL": str(log), "AUDIT_EMIT_SERVICE": "echo", "AUDIT_EMIT_STDOUT": "0"}

    async def ask_all() -> list[httpx.Response]:
        one = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            http1=False,
            http2=True,
            limits=one,
            timeout=PATIENCE,
        ) as client:
            asked = (
                client.get("/item", headers={"X-Caller": f"u-{number}", "X-Number": f"{number}"})
                for number in range(50)
            )
            return await asyncio.gather(*asked)

    output = tmp_path / "output.txt"
    with running("python", "-W", "ignore", "-m", *command, port=port, log=output, env=env):
        answers = asyncio.run(ask_all())
        until(lambda: len(of_type(log, "http.request")) == 50, "the record of each request")
    assert {(one.http_version, one.status_code) for one in answers} == {("HTTP/2", 204)}
    items = {one["fields"]["number"]: one for one in of_type(log, "item.set")}
    assert {number: one["user_id"] for number, one in items.items()} == {
        f"{number}": f"u-{number}" for number in range(50)
    }
    assert {(one["correlation_id"], one["user_id"]) for one in items.values()} == {
        (one["correlation_id"], one["user_id"]) for one in of_type(log, "http.request")
    }


def _kill_a_worker(main: int, log: Path) -> None:
    """Kill a process that has written a record; some servers have others beside the workers."""
    writers = {one["fields"].get("pid") for one in of_type(log, "audit.started")}
    os.kill(until(lambda: writers & {*children(main)}, "a worker").pop(), signal.SIGKILL)
