"""A PostgreSQL of the tests' own: in a temporary directory, on a free port of the loopback.

``postgres_server`` is started once for each process of the tests; ``database`` is a new and empty
database in it, ``audited`` one that has the schema.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from support import requirements
from support.ports import free_port
from support.tiers import starts_a_server
from support.waiting import PATIENCE, until

_PDEATHSIG = 1


def programs() -> str:
    """The directory with ``initdb`` and ``postgres``, the newest there is; empty without one."""
    found = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda name: float(name.split("/")[4]))
    if found:
        return found[-1]
    there = shutil.which("initdb")
    return os.path.dirname(there) if there else ""


def as_ordinary_user() -> dict[str, Any]:
    """How to start a program that refuses to run as root, and that ends with these tests."""
    libc = ctypes.CDLL(None)

    def end_with_parent() -> None:
        libc.prctl(_PDEATHSIG, signal.SIGQUIT)

    arguments: dict[str, Any] = {"preexec_fn": end_with_parent}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        arguments |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    return arguments


def own_directory(name: str) -> Path:
    """A directory of that user: what pytest makes is closed to everybody else."""
    place = tempfile.mkdtemp(prefix=f"audit-emit-{name}-", dir="/tmp")
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
    return Path(place)


class Server:
    """One server. ``settings`` go to ``postgres -c``."""

    def __init__(self, settings: Sequence[str] = (), directory: Path | None = None) -> None:
        self.directory = directory or own_directory("postgres")
        self.data = self.directory / "data"
        self.settings = list(settings)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def init(self) -> None:
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "-E", "UTF8", "--locale=C",
                  "-A", "trust", "--no-sync")  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [f"{programs()}/{program}", *arguments],
            cwd=self.directory,
            capture_output=True,
            env=self._environment(),
            check=False,
            **as_ordinary_user(),
        )
        assert done.returncode == 0, done.stderr.decode()

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        return kept | {"HOME": str(self.directory), "LC_ALL": "C"}

    def copy_to(self, other: Server) -> None:
        """A standby of this server."""
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                  "-D", str(other.data), "-R", "--checkpoint=fast", "--no-sync")  # fmt: skip

    def promote(self) -> None:
        self._run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def start(self) -> None:
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    f"{programs()}/postgres", "-D", str(self.data), "-p", str(self.port),
                    "-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "max_connections=60",
                    "-c", "shared_buffers=32MB", "-c", "log_min_messages=warning",
                    *(word for setting in self.settings for word in ("-c", setting)),
                ],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                env=self._environment(),
                **as_ordinary_user(),
            )  # fmt: skip
        started = self.process
        until(lambda: self.answers() or started.poll() is not None, "the start of PostgreSQL")
        assert started.poll() is None, self.log()

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=int(PATIENCE)).close()
        except psycopg.Error:
            return False
        return True

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """``SIGINT`` ends it cleanly, ``SIGQUIT`` at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
        self.process = None

    def kill(self) -> None:
        """Kill -9 of the server and of all its children, which then cannot write anything more."""
        process = self.process
        assert process is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.wait(PATIENCE)
        until(lambda: not any(os.path.exists(f"/proc/{child}/exe") for child in children))
        self.process = None
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def url(self, database: str, user: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
@starts_a_server
def server(*settings: str) -> Iterator[Server]:
    """A server for one test, to be stopped, killed and started by it."""
    if not programs():
        requirements.missing("postgres", "PostgreSQL is not installed")
    made = Server(settings)
    try:
        made.init()
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with server() as made:
        yield made


class Database:
    """One database, and addresses of it for each role."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.url = server.url(name)

    def as_user(self, user: str, port: int | None = None) -> str:
        return self.server.url(self.name, user, port)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.run(statement, self.name)


_numbers = iter(range(1, 100_000))


def _new(server: Server, template: str = "template0") -> Database:
    name = f"t{next(_numbers)}"
    server.run(f"CREATE DATABASE {name} TEMPLATE {template}")
    return Database(server, name)


def _drop(server: Server, database: Database) -> None:
    server.run(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Database]:
    """A new, empty database."""
    made = _new(postgres_server)
    yield made
    _drop(postgres_server, made)


@pytest.fixture(scope="session")
def _audited_template(postgres_server: Server) -> str:
    from audit_emit._settings.address import Address
    from audit_emit._stores.postgres.schema import migrate

    postgres_server.run("CREATE DATABASE audited TEMPLATE template0")
    migrate(Address(postgres_server.url("audited")))
    for role in ("writer", "reader", "pruner"):
        postgres_server.run(f"CREATE ROLE the_{role} LOGIN IN ROLE audit_emit_{role}")
    return "audited"


@pytest.fixture
def audited(postgres_server: Server, _audited_template: str) -> Iterator[Database]:
    """A new database that has the schema; ``the_writer``, ``the_reader``, ``the_pruner`` log in."""
    made = _new(postgres_server, _audited_template)
    yield made
    _drop(postgres_server, made)


@contextmanager
def pgbouncer(server: Server, *, mode: str = "transaction", size: int = 2) -> Iterator[int]:
    """A pooler in front of a server; its port."""
    program = requirements.program("pgbouncer")
    directory = own_directory("pgbouncer")
    port = free_port()
    users = directory / "users"
    users.write_text("".join(f'"{name}" ""\n' for name in ("postgres", "the_writer", "the_reader")))
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
        f"listen_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\n"
        f"auth_type=trust\nauth_file={users}\n"
        f"pool_mode={mode}\ndefault_pool_size={size}\nmax_client_conn=100\n"
    )
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            [program, str(settings)], stdout=log, stderr=log, **as_ordinary_user()
        )
    try:
        until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (directory / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)
        shutil.rmtree(directory, ignore_errors=True)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
