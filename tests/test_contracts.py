"""The eight contracts of the schema's first version, each as an application meets it.

1. A line on stdout begins with ``audit: `` and is the record.
2. The file is appended to, one JSON object a line.
3. The actor is a ``user`` unless said otherwise.
4. ``fields.workspace_id`` overrides the context and is not repeated.
5. A secret value is in no output; only its hash is.
6. A failure of the file does not stop stdout.
7. Fifty concurrent emitters never interleave.
8. The prefix of a hash is stable and bounded.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.plain_log_reader import chain_ok, records
from support.waiting import PATIENCE

from audit_emit import Secret, configure, emit, hash_value_prefix, health
from audit_emit._stores.stdout.mirror import PREFIX

STABLE = [
    "ts",
    "event_type",
    "workspace_id",
    "user_id",
    "actor_kind",
    "correlation_id",
    "fields",
]


def run(code: str, *arguments: Path | str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\nfrom audit_emit import *\n{code}",
            *map(str, arguments),
        ],
        capture_output=True,
        check=True,
        timeout=PATIENCE,
        env={**os.environ, **environ},
    )


def shown(output: bytes) -> list[dict[str, Any]]:
    """The records of a process's stdout, where every line must be one."""
    lines = output.split(b"\n")
    assert lines.pop() == b""
    assert all(line.startswith(PREFIX) for line in lines)
    return [json.loads(line.removeprefix(PREFIX)) for line in lines]


# 1


def test_1_a_line_on_stdout_is_the_prefixed_record(log: Path) -> None:
    done = run(
        "configure(service='secrets', jsonl=sys.argv[1])\n"
        "emit({'workspace_id': 'w', 'user_id': 'u', 'correlation_id': 'c'}, 'secret.set',\n"
        "     {'key': 'STRIPE_LIVE_KEY', 'scope': 'workspace'})",
        log,
    )
    record = shown(done.stdout)[-1]
    assert list(record)[:7] == STABLE
    assert record["event_type"] == "secret.set"
    assert record["workspace_id"] == "w"
    assert record["user_id"] == "u"
    assert record["correlation_id"] == "c"
    assert record["fields"] == {"key": "STRIPE_LIVE_KEY", "scope": "workspace"}
    assert record["service"] == "secrets"
    assert done.stderr == b""


def test_1_it_is_the_line_of_the_file(log: Path) -> None:
    done = run("configure(jsonl=sys.argv[1])\nemit(None, 'a.b', {'note': 'ü\\u2028\\n'})", log)
    assert done.stdout == b"".join(PREFIX + line for line in log.read_bytes().splitlines(True))


# 2


def test_2_the_file_is_appended_to(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    emit(None, "a.b", {"n": 1})
    before = log.read_bytes()
    emit(None, "a.b", {"n": 2})
    configure(jsonl=log, stdout=False)
    emit(None, "a.b", {"n": 3})
    assert log.read_bytes().startswith(before)
    found = [one["fields"]["n"] for one in chain_ok(log) if one["event_type"] == "a.b"]
    assert found == [1, 2, 3]


def test_2_records_from_before_stay_where_they_are(log: Path) -> None:
    old = b'{"ts": "2026-05-19T20:00:00Z", "event_type": "secret.set", "fields": {}}\n'
    log.write_bytes(old)
    configure(jsonl=log, stdout=False)
    emit(None, "a.b")
    assert log.read_bytes().startswith(old)
    assert len(chain_ok(log, foreign=1)) == 2


# 3


@pytest.mark.parametrize("ctx", [None, {}, {"user_id": "u"}, {"actor_kind": ""}, 7])
def test_3_the_actor_is_a_user(log: Path, ctx: Any) -> None:
    configure(jsonl=log, stdout=False)
    emit(ctx, "a.b", {"actor_kind": "admin"})
    assert records(log)[-1]["actor_kind"] == "user"


@pytest.mark.parametrize("kind", ["admin", "agent", "cron", "service", "anonymous", "robot_7"])
def test_3_unless_said_otherwise(log: Path, kind: str) -> None:
    configure(jsonl=log, stdout=False)
    emit({"actor_kind": kind}, "a.b")
    assert records(log)[-1]["actor_kind"] == kind


# 4


def test_4_workspace_in_fields_overrides_and_is_not_repeated(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    fields = {"workspace_id": "given", "key": "A"}
    emit({"workspace_id": "bound", "user_id": "u"}, "secret.set", fields)
    record = records(log)[-1]
    assert record["workspace_id"] == "given"
    assert record["user_id"] == "u"
    assert record["fields"] == {"key": "A"}
    assert fields == {"workspace_id": "given", "key": "A"}, "the caller's dict is left alone"


# 5

CANARY = "CANARY-" + "41f7c0e25a9d"
LEAKY = f"""
from dataclasses import dataclass
canary = {CANARY!r}
class Shows:
    def __str__(self): raise RuntimeError(canary)
    __repr__ = __str__
@dataclass
class Row:
    password: str
def bad(logger, method, event): raise ValueError(str(event))
configure(jsonl=sys.argv[1], processors=[bad])
for fields in (
    {{"value": canary}}, {{"old_value": canary, "new_value": canary}}, {{"plaintext": canary}},
    {{"password": canary}}, {{"apiKey": canary}}, {{"deep": [{{"x-auth-token": canary}}]}},
    {{"any": Secret(canary)}}, {{"row": Row(canary)}}, {{"any": Shows()}}, Secret(canary),
    {{"url": "postgres://u:" + canary + "@db/x"}}, {{"note": "password=" + canary}},
    {{"json": '{{"password": "' + canary + '"}}'}}, {{"token": canary.encode()}},
):
    emit(None, "secret.set", fields)
    emit(None, "Secret Set", fields)
emit({{"user_id": Secret(canary)}}, "a.b")
emit(None, Secret(canary), None)
try:
    with audited("secret.rotate", password=canary):
        raise LookupError(canary)
except LookupError:
    pass
try:
    emit_strict(None, "a.b", {{"password": canary}})
    configure(hash_key_file=canary)
except ConfigError as error:
    print(error, file=sys.stderr)
print(health(), file=sys.stderr)
"""


@pytest.mark.parametrize("key", ["", "k" * 32])
def test_5_a_secret_value_is_in_no_output(tmp_path: Path, log: Path, key: str) -> None:
    done = run(LEAKY, log, AUDIT_EMIT_HASH_KEY=key)
    everything = done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        everything += path.read_bytes() if path.is_file() else b""
        everything += os.fsencode(path)
    assert CANARY.encode() not in everything
    assert CANARY.encode().hex().encode() not in everything
    assert hashlib.sha256(CANARY.encode()).hexdigest()[:16].encode() not in everything
    assert len(chain_ok(log)) == 1 + 28 + 4


def test_5_equal_secrets_have_equal_hashes_under_a_key(log: Path) -> None:
    configure(jsonl=log, stdout=False, hash_key="k" * 32)
    for value in ("one", "one", "two"):
        emit(None, "secret.set", {"key": "A", "value": value, "value_hash": "3f8a1b2c"})
    first, second, third = (one["fields"] for one in records(log)[1:])
    assert first == second
    assert first["value"] != third["value"]
    assert first["value"].startswith("hmac-sha256:")
    assert first["value_hash"] == "3f8a1b2c"


# 6


def test_6_a_file_that_cannot_be_opened_does_not_stop_stdout(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(
        "configure(jsonl=sys.argv[1])\n"
        "assert [emit(None, 'a.b', {'n': n}) for n in range(3)] == [None] * 3\n"
        "flush(0)",
        tmp_path / "file" / "audit.jsonl",
    )
    assert [one["fields"]["n"] for one in shown(done.stdout)] == [0, 1, 2]
    assert b"cannot be written (ENOTDIR)" in done.stderr


def test_6_a_file_that_fails_later_does_not_stop_stdout(log: Path) -> None:
    done = run(
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "configure(jsonl=sys.argv[1])\n"
        "emit(None, 'a.b', {'n': 0})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))\n"
        "assert [emit(None, 'a.b', {'n': n}) for n in range(1, 4)] == [None] * 3\n"
        "flush(0)",
        log,
    )
    found = [one for one in shown(done.stdout) if one["event_type"] == "a.b"]
    assert [one["fields"]["n"] for one in found] == [0, 1, 2, 3]
    assert ["hash" in one for one in found] == [True, False, False, False]


# 7

COUNT = 20


def read_all(reader: int) -> bytes:
    parts = []
    while part := os.read(reader, 65536):
        parts.append(part)
    return b"".join(parts)


CROWD = (
    "import threading\n"
    "configure(jsonl=sys.argv[1], max_bytes=200000)\n"
    "def work(name):\n"
    f"    for n in range({COUNT}):\n"
    "        emit({'user_id': name}, 'a.b', {'n': n, 'pad': 'x' * (n * 300), 'note': 'ü' * 50})\n"
    "names = [sys.argv[2] + str(number) for number in range(int(sys.argv[3]))]\n"
    "threads = [threading.Thread(target=work, args=(name,)) for name in names]\n"
    "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
    "assert flush(30)\n"
    "counters = health()['counters']\n"
    "assert counters['lost'] == 0, counters\n"
)


@pytest.mark.parametrize(("processes", "threads"), [(1, 50), (10, 5)])
def test_7_fifty_concurrent_emitters_never_interleave(
    log: Path, processes: int, threads: int
) -> None:
    """Threads and processes on one pipe and one file, with lines up to beyond PIPE_BUF."""
    reader, writer = os.pipe()
    code = f"import sys\nfrom audit_emit import *\n{CROWD}"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(log), f"p{number}t", str(threads)], stdout=writer
        )
        for number in range(processes)
    ]
    os.close(writer)
    output: list[bytes] = []
    thread = threading.Thread(target=lambda: output.append(read_all(reader)))
    thread.start()
    assert [one.wait(PATIENCE) for one in running] == [0] * processes
    thread.join(PATIENCE)
    os.close(reader)

    wanted = {
        (f"p{one}t{two}", n)
        for one in range(processes)
        for two in range(threads)
        for n in range(COUNT)
    }
    closed = sorted(log.parent.glob("audit-*.jsonl"))
    kept = [one for one in chain_ok(*closed, log) if one["event_type"] == "a.b"]
    assert {(one["user_id"], one["fields"]["n"]) for one in kept} == wanted
    assert len(kept) == len(wanted) == 50 * COUNT

    assert max(map(len, output[0].splitlines(True))) <= 4096
    seen = [one for one in shown(output[0]) if "seq" in one and one["event_type"] == "a.b"]
    by_hash = {one["hash"]: one for one in kept}
    for record in seen:
        whole = by_hash[record["hash"]]
        assert record | {"fields": whole["fields"]} == whole
    lost = sum(
        one["fields"]["lost"] for one in chain_ok(*closed, log) if one["event_type"] == "audit.gap"
    )
    assert len({one["hash"] for one in seen}) >= len(kept) - lost


# 8


def test_8_the_prefix_of_a_hash_is_stable(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    assert hash_value_prefix("sk_" + "test_1") == hashlib.sha256(b"sk_test_1").hexdigest()[:8]
    assert hash_value_prefix("ü") == hash_value_prefix("ü".encode())
    assert hash_value_prefix(Secret("x")) == hash_value_prefix("x")


@pytest.mark.parametrize(
    ("n", "length"),
    [
        (8, 8),
        (1, 1),
        (0, 1),
        (-5, 1),
        (64, 64),
        (65, 64),
        (10**9, 64),
        (None, 8),
        ("x", 8),
        (3.9, 3),
    ],
)
def test_8_the_prefix_of_a_hash_is_bounded(log: Path, n: Any, length: int) -> None:
    configure(jsonl=log, stdout=False)
    for key in (None, "k" * 32):
        configure(jsonl=log, stdout=False, hash_key=key)
        prefix = hash_value_prefix("value", n)
        assert len(prefix) == length
        assert set(prefix) <= set("0123456789abcdef")


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


@pytest.mark.parametrize("value", [None, 7, Hostile(), "\ud800", bytearray(b"x"), object, []])
def test_8_the_prefix_of_a_hash_never_raises(log: Path, value: Any) -> None:
    configure(jsonl=log, stdout=False)
    assert len(hash_value_prefix(value)) == 8


def test_health_is_well_after_all_of_this(log: Path) -> None:
    configure(jsonl=log, stdout=False)
    emit(None, "a.b")
    assert health()["status"] == "ok"
