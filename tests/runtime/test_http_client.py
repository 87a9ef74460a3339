"""A request to a server that nobody trusts ends in its time."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest
from support.waiting import PATIENCE

from audit_emit._runtime import http_client


@pytest.mark.parametrize("login", ["user@", "user:word@", ":word@", "@"])
def test_an_address_with_a_login_is_refused(login: str) -> None:
    assert http_client.check_url("https://host/path/") == "https://host/path"
    with pytest.raises(ValueError, match="without login"):
        http_client.check_url(f"https://{login}host/path")


def test_a_connection_that_is_there_too_late_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    class Watch(http_client._Watch):
        def end(self) -> None:
            super().end()
            over.set()

    class Slow(http.client.HTTPConnection):
        """As one to a name with several addresses, of which only the last one answers."""

        def connect(self) -> None:
            assert over.wait(PATIENCE)
            super().connect()

    monkeypatch.setattr(http_client, "_Watch", Watch)
    monkeypatch.setattr(http.client, "HTTPConnection", Slow)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = server.getsockname()[1]
        with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
            http_client.ask("GET", f"http://127.0.0.1:{port}/", seconds=0.01)
        made, _ = server.accept()
        with made:
            assert made.recv(100) == b"", "nothing was asked"
