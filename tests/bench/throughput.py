"""Requests in a second that servers answer with the middleware and without, side by side.

Eight clients ask independently of each other, each as soon as it has its answer, as load generators
do. Nobody here makes them ask in step: then the server's work for all eight stands beside one wait
of a handler, and it is the burst that is measured. asyncio does that to them all the same: it
rounds its waits up, so that requests that wait equally long end in one turn (docs/hosts.md).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.figure import Figure
from bench.process import environment

_UVICORN = (
    *("uvicorn", "--factory", "--no-access-log", "--log-level", "error"),
    *("--timeout-keep-alive", "600", "--port", "{port}"),
)
_GUNICORN = ("gunicorn", "--threads", "8", "--keep-alive", "600", "--bind", "127.0.0.1:{port}")
SERVERS = {
    "FastAPI on uvicorn": (*_UVICORN, "bench.served_apps:fastapi_app"),
    "Flask on gunicorn": (*_GUNICORN, "bench.served_apps:flask_app()"),
    "Django on gunicorn": (*_GUNICORN, "bench.served_apps:django_app()"),
}
"""By name: the module to run, its arguments."""

CONNECTIONS = 8
"""So many clients ask at once: the server always has something to do."""

_TICK = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60.0


class Served:
    """A server, and connections to it that stay open.

    Args:
        pid: of the server; its children serve, where it has some.
        port: of the server.
    """

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._connections = [
            socket.create_connection(("127.0.0.1", port), 60) for _ in range(CONNECTIONS)
        ]
        self._ready = select.epoll()
        for one in self._connections:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ready.register(one, select.EPOLLIN)

    def close(self) -> None:
        """Close the connections."""
        self._ready.close()
        for one in self._connections:
            one.close()

    def ask(self, path: str, count: int) -> tuple[float, float]:
        """Ask so many times, always on every connection that waits for no answer.

        Returns:
            Seconds for each request: of time, and of the server's processors.
        """
        asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()
        of_number = {one.fileno(): one for one in self._connections}
        before, began = self._spent(), time.perf_counter()
        for one in self._connections:
            one.sendall(asked)
        left, waiting = count - CONNECTIONS, CONNECTIONS
        while waiting:
            for number, _ in self._ready.poll():
                _answer(of_number[number])
                if left > 0:
                    left -= 1
                    of_number[number].sendall(asked)
                else:
                    waiting -= 1
        return (time.perf_counter() - began) / count, (self._spent() - before) / count

    def _spent(self) -> float:
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        return sum(map(_seconds, [str(self._pid), *children]))


def _answer(connection: socket.socket) -> None:
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b" 200 " in lines[0] + b" ", head
    length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
    while len(body) < length:
        body += _more(connection)


def _more(connection: socket.socket) -> bytes:
    more = connection.recv(65536)
    assert more, "the server has closed the connection"
    return more


def _seconds(pid: str) -> float:
    """Seconds that the threads of a process have run; finer than the ticks of ``stat``."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except FileNotFoundError:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def served(command: tuple[str, ...], log: Path, *, audited: bool) -> Iterator[Served]:
    """Start a server, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {
        **environment(),
        "BENCH_AUDIT": str(int(audited)),
        "AUDIT_EMIT_SERVICE": "bench",
        "AUDIT_EMIT_JSONL": str(log),
    }
    words = [word.format(port=port) for word in command]
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        found = _connected(process, port)
        try:
            yield found
        finally:
            found.close()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _connected(process: subprocess.Popen[bytes], port: int) -> Served:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        assert process.poll() is None, "the server has ended"
        try:
            found = Served(process.pid, port)
            found.ask("/nothing", 400)
        except (ConnectionRefusedError, ConnectionResetError):
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        else:
            return found


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """The six ratios: three hosts, two handlers."""
    return [
        figure
        for number, (name, command) in enumerate(SERVERS.items())
        for figure in _of_host(name, command, directory / f"served-{number}.jsonl", quick=quick)
    ]


def _of_host(name: str, command: tuple[str, ...], log: Path, *, quick: bool) -> Iterator[Figure]:
    rounds = 2 if quick else 15
    with ExitStack() as stack:
        both = [stack.enter_context(served(command, log, audited=one)) for one in (False, True)]
        for path, count, limit in (("/nothing", 1000, 0.7), ("/slow", 400, 0.97)):
            taken = [[one.ask(path, count) for one in both] for _ in range(rounds)]
            # A processor that others use makes times longer, never shorter: the best of each.
            walls = [min(one[which][0] for one in taken) for which in (0, 1)]
            spent = [min(one[which][1] for one in taken) for which in (0, 1)]
            what = "nothing" if path == "/nothing" else "5 ms"
            yield Figure(
                f"{name}, {what}: throughput with the middleware / without",
                walls[0] / walls[1],
                limit,
                at_least=True,
                note=f"processor time {spent[0] * 1e6:.0f} and {spent[1] * 1e6:.0f} µs",
                detail={"µs": [one * 1e6 for one in walls], "cpu": [one * 1e6 for one in spent]},
            )
