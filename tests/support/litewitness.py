"""litewitness, a witness that others wrote, unmodified from its Go module.

It is built once, into the cache of the user, which takes a minute and the network. So that happens
only where ``AUDIT_EMIT_TEST_LITEWITNESS=build`` says so; what was built is used from then on.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from support import requirements
from support.ports import free_port
from support.ssh_agent import takes_requests
from support.tiers import starts_a_server
from support.waiting import PATIENCE, until

VERSION = "v0.9.0"
MODULE = f"filippo.io/torchwood/cmd/litewitness@{VERSION}"
VARIABLE = "AUDIT_EMIT_TEST_LITEWITNESS"
_BUILD = os.environ.get(VARIABLE) == "build"  # read once: within a test there is no such variable
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audit-emit-tests"
_EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


class Litewitness(NamedTuple):
    """A running one: where it answers, its verifier key, and its database."""

    url: str
    vkey: str
    database: Path

    def know(self, vkey: str) -> None:
        """Take checkpoints of the log with this verifier key."""
        origin = vkey.partition("+")[0]
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute("INSERT INTO log VALUES (?, 0, ?)", (origin, _EMPTY))
            database.execute("INSERT INTO key VALUES (?, ?)", (origin, vkey))


def program() -> str:
    """The program, built if that is wanted; the test skips without it."""
    path = _CACHE / f"litewitness-{VERSION}" / "litewitness"
    if path.exists():
        return str(path)
    if not _BUILD:
        pytest.skip(f"litewitness is not built; {VARIABLE}=build builds it once, in a minute")
    go = requirements.program("go")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        environ = {**os.environ, "GOBIN": place, "GOFLAGS": "-mod=mod"}
        subprocess.run([go, "install", MODULE], env=environ, check=True, timeout=600)
        os.replace(Path(place, "litewitness"), path)
    return str(path)


@starts_a_server
@contextmanager
def running(place: Path) -> Iterator[Litewitness]:
    """One on a free port, with a key of its own in an agent of its own."""
    binary, agent, add = (
        program(),
        requirements.program("ssh-agent"),
        requirements.program("ssh-add"),
    )
    key = place / "id"
    keygen = requirements.program("ssh-keygen")
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    listed = subprocess.run(
        [keygen, "-lf", f"{key}.pub"], check=True, capture_output=True, text=True
    )
    with tempfile.TemporaryDirectory(prefix="lw") as short:  # the path of a socket is short
        sock = f"{short}/agent"
        with _started([agent, "-D", "-a", sock], place / "agent.log"):
            until(lambda: takes_requests(sock))
            subprocess.run([add, "-q", str(key)], env={"SSH_AUTH_SOCK": sock}, check=True)
            port = free_port()
            words = ["-name", "w.example/lite", "-db", str(place / "db"), "-ssh-agent", sock]
            words += ["-key", listed.stdout.split()[1], "-listen", f"127.0.0.1:{port}"]
            log = place / "litewitness.log"
            with _started([binary, *words], log):
                until(lambda: "vkey=" in log.read_text() and _answers(port))
                found = re.search(r'vkey="?([^\s"]+)', log.read_text())
                assert found is not None
                yield Litewitness(f"http://127.0.0.1:{port}", found[1], place / "db")


@contextmanager
def _started(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE):
        return True
    return False
