"""Who takes alerts: programs without a shell, and a webhook that may fail."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.tiers import starts_a_server

from audit_emit._detection.alert import Alert
from audit_emit._detection.delivery import FIRST_SECONDS, MOST, Deliveries
from audit_emit._detection.sinks import Command, Webhook
from audit_emit.errors import ConfigError, DeliveryError

ALERT = Alert(
    rule="r",
    title="T; $(touch pwned) `id`",
    level="high",
    chain="c",
    seqs=(1, 2),
    group={"user_id": "\u202e\x1b[2J\n"},
    first_ts="2026-06-01T00:00:00.000000000Z",
    last_ts="2026-06-01T00:00:00.000000000Z",
    reason="why",
)


def python(code: str) -> Command:
    return Command([sys.executable, "-c", code])


def test_a_program_reads_the_alert_as_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    python(f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())").send(ALERT)
    (line,) = out.read_text("utf-8").splitlines()
    found = json.loads(line)
    assert (found["id"], found["seqs"], found["title"]) == (ALERT.id, [1, 2], ALERT.title)


def test_no_shell_reads_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"import sys; open({str(out)!r}, 'w').write(repr(sys.argv[1:]))"
    Command([sys.executable, "-c", code, "$HOME", "; id", "*"]).send(ALERT)
    assert out.read_text() == "['$HOME', '; id', '*']"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (python("import sys; sys.stdin.read(); sys.exit(3)"), "ended with 3"),
        (Command(["/nowhere/at/all"]), "cannot be started"),
        (Command([sys.executable, "-c", "import time; time.sleep(60)"], 0.2), "took more than"),
    ],
    ids=["status", "missing", "slow"],
)
def test_a_program_that_fails_has_not_taken_it(command: Command, reason: str) -> None:
    with pytest.raises(DeliveryError, match=reason):
        command.send(ALERT)


def test_a_program_that_does_not_read_it_has_taken_it() -> None:
    python("pass").send(ALERT)


class Hook(BaseHTTPRequestHandler):
    status = 204
    seen: ClassVar[list[tuple[dict[str, str], Any]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((dict(self.headers), json.loads(body)))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
@starts_a_server
def hook() -> Iterator[str]:
    Hook.status, Hook.seen = 204, []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_alert_with_its_id(hook: str) -> None:
    webhook = Webhook(hook, "Bearer x")
    webhook.send(ALERT)
    webhook.close()
    ((headers, body),) = Hook.seen
    assert body["id"] == headers["Idempotency-Key"] == ALERT.id
    assert headers["Authorization"] == "Bearer x"


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_any_other_status_is_a_failure_and_no_redirect_is_followed(hook: str, status: int) -> None:
    Hook.status = status
    webhook = Webhook(hook)
    with pytest.raises(DeliveryError, match=f"answered {status}"):
        webhook.send(ALERT)
    webhook.close()
    assert len(Hook.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://h:99999/",
        "https://h:x/",
        "http://[",
        "https://h/\x01",
        f"https://{'a' * 300}/",
        "ftp://h/",
    ],
)
def test_an_address_that_none_can_be_sent_to_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="webhook"):
        Webhook(url)


@pytest.mark.parametrize("value", ["Bearer \xfc", "a\r\nX: b"])
def test_what_is_no_value_of_a_header_is_refused_at_once(value: str) -> None:
    with pytest.raises(ConfigError, match="webhook_authorization"):
        Webhook("https://h.example/", value)


@starts_a_server
def test_an_answer_that_comes_byte_by_byte_does_not_hold_the_others_up() -> None:
    over = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not over.wait(0.05):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=drip, args=(listening,))
        server.start()
        webhook = Webhook(f"http://127.0.0.1:{listening.getsockname()[1]}/", seconds=0.5)
        for said in ("took more than", "still has not answered"):
            with pytest.raises(DeliveryError, match=said):
                webhook.send(ALERT)
        over.set()
        server.join()
    assert webhook._waiting is not None
    webhook._waiting.join()
    webhook.close()


def test_nobody_there_is_a_failure_that_tells_no_password(hook: str) -> None:
    webhook = Webhook("http://user:hunter2@127.0.0.1:1/x", seconds=5)
    assert "hunter2" not in webhook.name
    with pytest.raises(DeliveryError) as caught:
        webhook.send(ALERT)
    webhook.close()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://a/b", "alerts.example.com", "https://", "file:///etc/x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        Webhook(url)


class Sink:
    def __init__(self, name: str) -> None:
        self.name = name
        self.taken: list[Alert] = []
        self.refuses = False

    def send(self, alert: Alert) -> None:
        if self.refuses:
            raise DeliveryError("no")
        self.taken.append(alert)


def test_who_fails_is_left_in_peace_for_longer_and_longer() -> None:
    sink, said = Sink("s"), list[str]()
    sink.refuses = True
    deliveries = Deliveries([sink], {}, said.append)
    deliveries.add([ALERT])
    assert not deliveries.deliver(100)
    sink.refuses = False
    assert not deliveries.deliver(100 + FIRST_SECONDS / 4)
    assert deliveries.deliver(100 + FIRST_SECONDS)
    assert sink.taken == [ALERT]
    assert len(said) == 1


def test_each_has_its_own_queue_and_what_waits_is_known_by_its_name() -> None:
    good, bad = Sink("good"), Sink("bad")
    bad.refuses = True
    deliveries = Deliveries([good, bad], {"bad": [ALERT], "gone": [ALERT]}, lambda _: None)
    deliveries.add([ALERT])
    deliveries.deliver(1)
    assert good.taken == [ALERT]
    assert deliveries.pending() == {"bad": [ALERT, ALERT]}


def test_with_too_many_waiting_no_more_should_come() -> None:
    deliveries = Deliveries([Sink("s")], {}, lambda _: None)
    deliveries.add([ALERT] * (MOST - 1))
    assert not deliveries.is_full
    deliveries.add([ALERT])
    assert deliveries.is_full


def test_of_two_receivers_with_one_name_what_the_slower_one_waits_for_is_kept() -> None:
    class Named:
        name = "one address, two tokens"

        def __init__(self, fails: bool) -> None:
            self.fails = fails

        def send(self, alert: Alert) -> None:
            if self.fails:
                raise DeliveryError("not now")

    for sinks in ([Named(True), Named(False)], [Named(False), Named(True)]):
        deliveries = Deliveries(sinks, {}, lambda _: None)
        deliveries.add([ALERT])
        deliveries.deliver(0)
        assert deliveries.pending() == {Named.name: [ALERT]}
