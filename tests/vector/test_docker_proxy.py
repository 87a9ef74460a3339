"""``vector/docker-proxy.conf``: of the Docker daemon only what Vector asks for, only to read."""

from __future__ import annotations

import http.client
import re
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from support import requirements
from support.host_server import answers
from support.ports import free_port
from support.vrl_engine import VECTOR
from support.waiting import PATIENCE, until

TEXT = (VECTOR / "docker-proxy.conf").read_text(encoding="utf-8")
ID = "4f2a9c11d0"
ASKED = (
    "/_ping",
    "/version",
    "/v1.41/info",
    "/v1.41/events?filters=%7B%7D",
    "/v1.41/containers/json?all=0",
    f"/v1.41/containers/{ID}/json",
    f"/containers/{ID}/logs?follow=1&stdout=1",
)
"""What ``docker_logs`` of Vector 0.58 sends."""

REFUSED = (
    f"/v1.41/containers/{ID}/archive?path=/etc/shadow",
    f"/v1.41/containers/{ID}/export",
    f"/v1.41/containers/{ID}/attach",
    "/v1.41/containers/../images/json",
    f"/v1.41/containers/{ID}/logs/../archive",
    "/v1.41/images/json",
    "/v1.41/secrets",
    "/",
)
WRITES = (
    ("POST", "/v1.41/containers/create"),
    ("POST", f"/v1.41/containers/{ID}/json"),
    ("POST", "/v1.41/containers/json"),
    ("DELETE", f"/v1.41/containers/{ID}/json"),
    ("PUT", f"/v1.41/containers/{ID}/logs"),
)


def allowed() -> re.Pattern[str]:
    (found,) = re.findall(r"location ~ (\S+) \{", TEXT)
    return re.compile(found)


def test_what_vector_asks_for_passes_and_nothing_else() -> None:
    assert all(allowed().search(path.partition("?")[0]) for path in ASKED)
    assert not any(allowed().search(path.partition("?")[0]) for path in REFUSED)
    assert "limit_except GET { deny all; }" in TEXT
    assert re.search(r"location / \{ return 403; \}", TEXT)


class _Daemon(BaseHTTPRequestHandler):
    def _do(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"docker")

    do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - named by http.server

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """The port of an nginx before a stand-in for the daemon; skips where there is no nginx."""
    program = requirements.program("nginx")
    port = free_port()
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "d"), _Daemon) as daemon:
        thread = threading.Thread(target=daemon.serve_forever, args=(0.01,))
        thread.start()
        text = TEXT.replace("/var/run/docker.sock", str(tmp_path / "d"))
        text = text.replace("listen 2375", f"listen 127.0.0.1:{port}")
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
            text = text.replace("http {", f"http {{ {name}_temp_path {tmp_path}/{name};", 1)
        config = tmp_path / "nginx.conf"
        config.write_text(f"pid {tmp_path}/pid;\n{text}", encoding="utf-8")
        command = [program, "-c", str(config), "-e", str(tmp_path / "errors"), "-g", "daemon off;"]
        with subprocess.Popen(command) as process:
            try:
                until(lambda: answers(port), "the start of nginx")
                yield port
            finally:
                process.terminate()
                process.wait(PATIENCE)
                daemon.shutdown()
                thread.join()


def answer(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_nginx_lets_vector_read_and_nobody_write(proxy: int) -> None:
    assert {answer(proxy, "GET", path) for path in ASKED} == {200}
    assert 200 not in {answer(proxy, "GET", path) for path in REFUSED}
    assert {answer(proxy, method, path) for method, path in WRITES} == {403}
