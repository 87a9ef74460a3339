"""A real service in a process of its own, for ``audit-emit demo``: started, asked, ended."""

from __future__ import annotations

import http.client
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

import audit_emit
from audit_emit._facade.records import split_lines
from audit_emit._facade.text import visible_bytes

PREFIX = b"audit: "
USERS = ("dev", "ops", "root")
STOP_SECONDS = 3.0
ANSWER_SECONDS = 10.0
"""Seconds for one answer or one line; on a working machine it is milliseconds."""


class DemoFailed(Exception):  # noqa: N818 - reads as what happened
    """The demonstration could not go on; the message says why, in one sentence."""


class NoApps(DemoFailed):
    """This installation has no example services."""


class Answer(NamedTuple):
    """What the service answered, and the id that ties its records together."""

    status: int
    text: str
    correlation_id: str


def find_apps() -> Path:
    """The directory of the example services.

    They are part of a source checkout, beside the package, and of the sdist; not of a wheel.

    Raises:
        NoApps: this installation has none.
    """
    directory = Path(audit_emit.__file__).resolve().parent.parent / "integrations"
    if (directory / "secrets_store.py").is_file():
        return directory
    raise NoApps(
        "the example services are not part of an installed wheel; run `make demo` in a source "
        "checkout (a git clone, or the unpacked source distribution)"
    )


class Service:
    """One example service on a free loopback port, with its files in ``directory``.

    Args:
        framework: ``fastapi`` or ``flask``.
        directory: an empty directory; the service writes nowhere else.
        apps: where the module of the service is.
    """

    def __init__(self, framework: str, directory: Path, apps: Path) -> None:
        self.log: Path = directory / "audit.jsonl"
        self.errors: Path = directory / "stderr.txt"
        self.tokens: dict[str, str] = {user: secrets.token_hex(16) for user in USERS}
        self.lines: list[bytes] = []
        # Not a Condition: Ctrl-C in the middle of its wait becomes an error of its lock.
        self._arrived: queue.SimpleQueue[None] = queue.SimpleQueue()
        key = directory / "hash.key"
        key.touch(0o600)
        key.write_text(secrets.token_hex(32))
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            # Handing over a listening socket leaves nobody a chance to take the port.
            self.port: int = listener.getsockname()[1]
            self._process = self._start(framework, directory, apps, listener.fileno())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _start(
        self, framework: str, directory: Path, apps: Path, fd: int
    ) -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AUDIT_EMIT_")}
        library = Path(audit_emit.__file__).resolve().parent.parent
        paths = [str(apps), str(library), os.environ.get("PYTHONPATH", "")]
        environment = {
            **inherited,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "AUDIT_EMIT_SERVICE": "secrets-demo",
            "AUDIT_EMIT_JSONL": str(self.log),
            "AUDIT_EMIT_HASH_KEY_FILE": str(directory / "hash.key"),
            "SECRETS_DB": str(directory / "secrets.db"),
            **{f"SECRETS_TOKEN_{user.upper()}": token for user, token in self.tokens.items()},
        }
        with self.errors.open("wb") as errors:
            return subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "audit_emit.cli._serve", framework, str(fd)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                pass_fds=[fd],
                start_new_session=True,  # Ctrl-C is ours; we end the child in order
            )

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        for line in self._process.stdout:
            self.lines.append(line)
            self._arrived.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process and wait for it; kill it when it does not listen."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def ask(
        self,
        method: str,
        path: str,
        user: str | None = None,
        body: bytes | None = None,
        timeout: float = ANSWER_SECONDS,
    ) -> Answer:
        """Send one request over HTTP.

        Raises:
            DemoFailed: no answer came within ``timeout`` seconds.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens.get(user, user)}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace").strip()
        except (OSError, http.client.HTTPException) as error:
            raise DemoFailed(f"no answer to {method} {path}: {error!r}{self.complaint()}") from None
        finally:
            connection.close()
        return Answer(response.status, text, response.headers.get("X-Request-ID", ""))

    def wait_for(self, *parts: str) -> None:
        """Wait until there is a line of stdout with all these parts in it.

        Raises:
            DemoFailed: it did not come in time.
        """
        wanted = [part.encode() for part in parts]

        def there() -> bool:
            return any(all(part in line for part in wanted) for line in self.lines)

        if not self._wait(there, ANSWER_SECONDS):
            raise DemoFailed(f"no audit line with {' and '.join(parts)}{self.complaint()}")

    def wait_for_request(self, correlation_id: str) -> None:
        """Wait until the record of a request is on stdout: its last one.

        Raises:
            DemoFailed: it did not come in time.
        """
        self.wait_for('"event_type":"http.request"', f'"correlation_id":"{correlation_id}"')

    def wait_for_more(self, seen: int, seconds: float) -> None:
        """Wait until there are more than ``seen`` lines, or for that many seconds."""
        self._wait(lambda: len(self.lines) > seen, seconds)

    def _wait(self, there: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not there():
            try:
                self._arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return there()
        return True

    def complaint(self) -> str:
        """The last words of the service, to be appended to a message."""
        words = split_lines(self.errors.read_bytes().strip() + b"\n")[-8:]
        gone = "" if self.running else f"\nthe service ended with status {self._process.poll()}"
        said = "".join(f"\n  {visible_bytes(line, 500)}" for line in words)
        return f"{gone}\nits stderr:{said}" if said else gone


def as_json(**members: object) -> bytes:
    """A request body."""
    return msgspec.json.encode(members)
