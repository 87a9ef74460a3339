"""Two replicas without a disk, one audit trail: see it hold while one of them is killed.

    make demo-replicas

Starts PostgreSQL, two instances of ``fastapi_app.py`` and HAProxy in front of them, on free ports
of this machine, in a directory that is removed afterwards; changes secrets through both ways of the
proxy (each request in turn, and sticky by a cookie); kills one replica with SIGKILL in the middle;
verifies what is in the database; and says what it did.

Needs haproxy and postgresql, which it installs where it may (root on Debian), and
``pip install 'audit-emit[cli,fastapi,postgres]' uvicorn``. Any user may run it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from audit_emit import open_log

HERE = Path(__file__).resolve().parent
SECONDS = 60.0
"""How long anything here is waited for."""

INSTALL = "apt-get install --no-install-recommends haproxy postgresql"
SESSIONS = 6
_CLIENTS = 4
_TOKEN = "a-token-of-the-demo"  # noqa: S105 - it opens nothing but this demo


class Failed(Exception):  # noqa: N818 - reads as what happened
    """It did not go as it should; the text says what."""


class Addresses(NamedTuple):
    """Where everything listens, each as host and port."""

    database: str
    one: str
    two: str
    round_robin: str
    sticky: str


class Answer(NamedTuple):
    """What a client was told about its change."""

    key: str
    status: int
    replica: str
    session: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it: 0 if all held, 1 if not, 2 if something is missing that it needs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=400, help="changes to make (default: 400)")
    chosen = parser.parse_args(arguments)
    if missing() and os.getuid() == 0 and shutil.which("apt-get"):
        install()
    if missing():
        sys.stderr.write(f"not found: {', '.join(missing())}; {INSTALL} brings them (Debian)\n")
        return 2
    try:
        with ExitStack() as stack:
            return run(stack, max(chosen.requests, 8 * SESSIONS))
    except Failed as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1


def run(stack: ExitStack, requests: int) -> int:
    """The demo, step by step."""
    directory = stack.enter_context(scratch())
    at = Addresses(*(f"127.0.0.1:{port}" for port in free_ports(len(Addresses._fields))))
    stack.enter_context(postgres(directory, at))
    address = prepared(at)
    say(f"PostgreSQL on {at.database}, with the schema of audit_emit")
    replicas = {
        name: stack.enter_context(replica(directory, name, where, address))
        for name, where in (("one", at.one), ("two", at.two))
    }
    stack.enter_context(proxy(directory, at))
    pids = {name: process.pid for name, process in replicas.items()}
    say(f"two replicas, processes {pids['one']} and {pids['two']}, behind HAProxy: "
        f"in turn on {at.round_robin}, sticky on {at.sticky}")  # fmt: skip
    answers = driven(at, requests, lambda: replicas["one"].send_signal(signal.SIGKILL))
    told(answers)
    replicas["two"].send_signal(signal.SIGTERM)
    if replicas["two"].wait(SECONDS) not in {0, -signal.SIGTERM}:  # uvicorn ends by the signal
        raise Failed(f"replica two ended with {replicas['two'].returncode} on SIGTERM")
    say("replica two was asked to end (SIGTERM), and did")
    judged(at, answers, pids)
    return 0


# What is started.


def programs() -> dict[str, str]:
    """The paths of what Debian has for this; empty where one is missing."""
    newest = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    places = os.pathsep.join([*map(str, newest[-1:]), os.environ.get("PATH", ""), "/usr/sbin"])
    return {
        name: shutil.which(name, path=places) or "" for name in ("haproxy", "initdb", "postgres")
    }


def missing() -> list[str]:
    """What is not there."""
    return [name for name, path in programs().items() if not path]


def install() -> None:
    """Have Debian bring what is missing, without starting it as a service."""
    say(f"{', '.join(missing())} not found: {INSTALL}")
    environment = os.environ | {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], [*INSTALL.split()[1:], "-y", "-qq"]):
        subprocess.run(["apt-get", *words], env=environment, stdout=sys.stderr, check=False)  # noqa: S603, S607 - ours


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for everything; who starts this as root gives it away, as PostgreSQL demands."""
    made = Path(tempfile.mkdtemp(prefix="audit-emit-replicas-"))
    try:
        if os.getuid() == 0:
            made.chmod(0o711)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def free_ports(many: int) -> list[int]:
    """So many ports that nobody uses."""
    with ExitStack() as stack:
        bound = [stack.enter_context(closing(socket.socket())) for _ in range(many)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


@contextmanager
def started(log: Path, command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file; killed at the end if it did not end by itself."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, **options)  # noqa: S603 - ours
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # a server of PostgreSQL ends its sessions on it
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until something is there, or fail with what the process said."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"{log.stem}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


@contextmanager
def postgres(directory: Path, at: Addresses) -> Iterator[None]:
    """A server with no data yet, that only this machine reaches."""
    found, place, log = programs(), directory / "postgres", directory / "postgres.log"
    place.mkdir(mode=0o700)
    as_whom: dict[str, Any] = {"cwd": place, "env": {"LC_ALL": "C", "PATH": os.defpath}}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
        as_whom |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data = str(place / "data")
    done = subprocess.run(  # noqa: S603 - ours
        [found["initdb"], "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "-A", "trust"],
        capture_output=True, check=False, **as_whom,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"initdb: {done.stderr.decode(errors='replace')}")
    host, _, port = at.database.partition(":")
    command = [found["postgres"], "-D", data, "-h", host, "-p", port, "-k", ""]
    with started(log, command, **as_whom) as process:
        wait_for(lambda: answers_of(f"postgresql://postgres@{at.database}/postgres"), process, log)
        yield


def answers_of(address: str) -> bool:
    """Whether a database answers."""
    try:
        psycopg.connect(address, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def prepared(at: Addresses) -> str:
    """A database with the schema, and a role for the service; the address of that."""
    owner = f"postgresql://postgres@{at.database}"
    with psycopg.connect(f"{owner}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
        connection.execute((HERE / "roles.sql").read_bytes())
    command("db", "migrate", f"{owner}/shop")
    return f"postgresql://shop@{at.database}/shop"


def command(*arguments: str) -> str:
    """What a command of audit-emit says; it must succeed."""
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "audit_emit", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(
            f"audit-emit {arguments[0]} ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout


@contextmanager
def replica(
    directory: Path, name: str, where: str, address: str
) -> Iterator[subprocess.Popen[bytes]]:
    """One instance of the service, which keeps no file of its trail."""
    host, _, port = where.partition(":")
    log = directory / f"{name}.log"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AUDIT_EMIT_")}
    environment = kept | {
        "AUDIT_EMIT_SERVICE": "secrets",
        "AUDIT_EMIT_STORE": address,
        "SECRETS_DB": str(directory / "secrets.db"),
        "SECRETS_TOKEN_OPS": _TOKEN,
    }
    service = ["--app-dir", str(HERE.parent), "--factory", "fastapi_app:create_app"]
    uvicorn = [sys.executable, "-m", "uvicorn", *service, "--host", host, "--port", port]
    with started(log, uvicorn, env=environment) as process:
        wait_for(lambda: status_of(where) == http.client.OK, process, log)
        yield process


@contextmanager
def proxy(directory: Path, at: Addresses) -> Iterator[None]:
    """HAProxy, with the configuration beside this file."""
    log = directory / "haproxy.log"
    environment = os.environ | {
        "REPLICA_1": at.one, "REPLICA_2": at.two, "ROUND_ROBIN": at.round_robin, "STICKY": at.sticky
    }  # fmt: skip
    haproxy = [programs()["haproxy"], "-db", "-f", str(HERE / "haproxy.cfg")]
    with started(log, haproxy, env=environment) as process:
        wait_for(lambda: status_of(at.sticky) == http.client.OK, process, log)
        yield


def status_of(where: str) -> int:
    """What ``/health`` answers; 0 for nothing."""
    with (
        contextlib.suppress(OSError, http.client.HTTPException),
        closing(http.client.HTTPConnection(where, timeout=5)) as connection,
    ):
        connection.request("GET", "/health")
        return connection.getresponse().status
    return 0


# What is done with it.


def driven(at: Addresses, requests: int, kill: Callable[[], None]) -> list[Answer]:
    """Change secrets through both ways at once; when half is done, one replica is killed."""
    answers: list[Answer] = []
    numbers, lock = count(), threading.Lock()

    def work(where: str, session: int) -> None:
        cookie = ""
        while (number := next(numbers)) < requests:
            answer, cookie = changed(where, f"KEY_{number}", session, cookie)
            with lock:
                answers.append(answer)
                if len(answers) == requests // 2:
                    kill()
                    say(f"after {len(answers)} answers, replica one was killed (SIGKILL)")

    ways = [(at.round_robin, -1)] * _CLIENTS + [(at.sticky, session) for session in range(SESSIONS)]
    threads = [threading.Thread(target=work, args=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def changed(where: str, key: str, session: int, cookie: str) -> tuple[Answer, str]:
    """One change, by a connection of its own; what was answered, and the cookie from now on."""
    headers = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}
    if cookie:
        headers["Cookie"] = cookie
    body = json.dumps({"key": key, "value": "a value that no record holds"})
    try:
        with closing(http.client.HTTPConnection(where, timeout=SECONDS)) as connection:
            connection.request("PUT", "/workspaces/acme/secrets", body, headers)
            answer = connection.getresponse()
            answer.read()
    except (OSError, http.client.HTTPException):
        return Answer(key, 0, "", session), cookie
    given = (answer.getheader("Set-Cookie") or "").partition(";")[0]
    return Answer(key, answer.status, answer.getheader("X-Replica") or "", session), given or cookie


def told(answers: Sequence[Answer]) -> None:
    """Say what the clients saw; a session moves once at most, when its replica is gone."""
    done = [one for one in answers if one.status in {200, 201}]
    by_replica = Counter(one.replica for one in done)
    failed = Counter(one.status for one in answers if one.status not in {200, 201})
    shown = ", ".join(f"{many} by replica {name}" for name, many in sorted(by_replica.items()))
    say(f"{len(done)} of {len(answers)} changes were done: {shown}")
    if failed:
        say(f"not done, and the client knows: {sum(failed.values())} (status {sorted(failed)})")
    moved = 0
    for session in range(SESSIONS):
        seen = [one.replica for one in done if one.session == session]
        changes = sum(before != after for before, after in pairwise(seen))
        if changes > 1:
            raise Failed(f"the sticky session {session} was moved {changes} times: {seen}")
        moved += changes
    say(f"{SESSIONS} sticky sessions: {moved} moved to the other replica, each once")
    if set(by_replica) != {"one", "two"}:
        raise Failed("only one of the replicas did anything")


def judged(at: Addresses, answers: Sequence[Answer], pids: dict[str, int]) -> None:
    """One chain, unforked and whole; and what became of each change that was answered."""
    address = f"postgresql://auditor@{at.database}/shop"
    with psycopg.connect(address) as connection:
        heads = connection.execute("SELECT kind, seq FROM audit_emit.heads").fetchall()
    if [kind for kind, _ in heads] != ["live"]:
        raise Failed(f"not one chain, but {heads}")
    command("verify", "--strict", address)
    log = open_log(address)
    writers = {record["fields"]["pid"] for record in log.query("audit.started")}
    if writers != set(pids.values()):
        raise Failed(f"the chain names the processes {sorted(writers)}, and not both replicas")
    keys = Counter(record["fields"]["key"] for record in log.query("secret.set"))
    say(f"one chain of {heads[0][1]} records, written by both replicas, verified: no fork, no hole")
    twice = [key for key, many in keys.items() if many > 1]
    lost = [one for one in answers if one.status in {200, 201} and one.key not in keys]
    if twice or any(one.replica != "one" for one in lost):
        raise Failed(f"recorded twice: {twice}; without a record: {lost}")
    if lost:
        say(
            f"{len(lost)} of the last changes of replica one have no record: it was killed before "
            "its thread had written them. Who cannot have that uses emit_strict or the outbox "
            "(docs/postgresql.md)"
        )
    else:
        say("every change that was answered has its record")


_steps = count(1)


def say(text: str) -> None:
    """One step."""
    sys.stdout.write(f"{next(_steps)}. {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
