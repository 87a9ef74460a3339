"""A chain in PostgreSQL beside the obvious ways, in one run on one server that syncs.

Ratios: what a commit costs is the disk's, and both sides of each figure pay it.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import psycopg
from bench.figure import Figure
from support.postgres_records import drafts
from support.postgres_server import Server, server

from audit_emit import Emitter
from audit_emit._readers.opening import open_reader
from audit_emit._readers.postgres.reader import PostgresReader
from audit_emit._settings.address import Address
from audit_emit._stores.postgres import schema
from audit_emit._stores.postgres.chains import Chains
from audit_emit._verify.verify import Options, verify_log
from audit_emit.outbox import emit_in, start_sealer

WORK_SECONDS = 0.005
"""What an application does in its transaction besides."""

_TURNS = 4


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """All figures, on a server of their own."""
    records, seconds = (100_000, 2.0) if quick else (1_000_000, 8.0)
    with server("fsync=on", "shared_buffers=256MB") as made:
        url = _database(made)
        made.run(
            "CREATE TABLE naive (seq bigint PRIMARY KEY, hash text, line text); "
            "CREATE TABLE orders (number int)",
            "bench",
        )
        naive = _rate(url, 1, seconds)
        naive16 = _rate(url, 16, seconds)
        batch = _batches(url, seconds)
        callers = _callers(url, seconds)
        return [
            Figure("batch of 64 / naive, 1 connection", batch / naive, 25, "x", at_least=True,
                   note=f"{batch:,.0f}/s and {naive:,.0f}/s"),
            Figure("64 waiting callers / naive, 16 connections", callers / naive16, 8, "x",
                   at_least=True, note=f"{callers:,.0f}/s and {naive16:,.0f}/s"),
            *_outbox(url, seconds),
            _emit(url, directory, seconds),
            *_read(url, directory, records),
        ]  # fmt: skip


def _database(made: Server) -> str:
    made.run("CREATE DATABASE bench")
    url = made.url("bench")
    schema.migrate(Address(url))
    return url


def _for(seconds: float, work: Callable[[], int]) -> float:
    """What is done in a second."""
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


def _together(many: int, seconds: float, make: Callable[[], Callable[[], int]]) -> float:
    """The rate of several threads, each with its own work."""
    rates: list[float] = []
    ready = threading.Barrier(many)

    def run() -> None:
        work = make()
        ready.wait()
        rates.append(_for(seconds, work))

    threads = [threading.Thread(target=run) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def _rate(url: str, connections: int, seconds: float) -> float:
    """Lock, read the tail, insert, commit: one record each.

    It is favoured: it makes no hash, and its table has one index, where ``records`` has six.
    """

    def make() -> Callable[[], int]:
        connection = psycopg.connect(url, autocommit=True)
        line = drafts(1)[0]

        def work() -> int:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(1)")
                row = connection.execute(
                    "SELECT seq, hash FROM naive ORDER BY seq DESC LIMIT 1"
                ).fetchone()
                seq = row[0] + 1 if row else 1
                connection.execute("INSERT INTO naive VALUES (%s, '', %s)", [seq, line])
            return 1

        return work

    return _together(connections, seconds, make)


def _batches(url: str, seconds: float) -> float:
    chains = Chains(Address(url), service="batch")
    # As with the other way, the clock does not run while the events are made.
    made = cycle([drafts(64) for _ in range(200)])

    def work() -> int:
        return len(chains.append(next(made)))

    rate = _for(seconds, work)
    chains.close()
    return rate


def _callers(url: str, seconds: float) -> float:
    emitter = Emitter(service="callers", jsonl="off", stdout=False, store=url)

    def work() -> int:
        emitter.emit_strict(None, "order.placed", {"number": 1})
        return 1

    rate = _together(64, seconds, lambda: work)
    emitter.close()
    return rate


def _outbox(url: str, seconds: float) -> list[Figure]:
    """Transactions of eight threads, with and without the record, and a sealer beside them.

    They take turns, as what the disk and the checkpoints of the server do changes as time goes on.
    """
    emitter = Emitter(service="outbox", jsonl="off", stdout=False)
    plain, recorded = _Transactions(), _Transactions()
    for _ in range(_TURNS):
        _transactions(url, seconds / _TURNS, None, plain)
        sealer = start_sealer(url, emitter=emitter)
        _transactions(url, seconds / _TURNS, emitter, recorded)
        sealer.stop()
    emitter.close()
    return [
        Figure("outbox / no audit, tx/s", recorded.rate / plain.rate, 0.95, "x", at_least=True,
               note=f"{recorded.rate:,.0f} and {plain.rate:,.0f}"),
        Figure("outbox / no audit, p99", recorded.slowest / plain.slowest, 1.1, "x",
               note=f"{recorded.slowest * 1e3:.1f} and {plain.slowest * 1e3:.1f} ms"),
    ]  # fmt: skip


class _Transactions:
    """How long each took, and how many there were in a second, turn by turn."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.rates: list[float] = []

    @property
    def rate(self) -> float:
        return statistics.fmean(self.rates)

    @property
    def slowest(self) -> float:
        return statistics.quantiles(self.took, n=100)[98]


def _transactions(url: str, seconds: float, emitter: Emitter | None, to: _Transactions) -> None:
    def make() -> Callable[[], int]:
        connection = psycopg.connect(url, autocommit=True)

        def work() -> int:
            began = time.perf_counter()
            with connection.transaction():
                connection.execute("INSERT INTO orders VALUES (1)")
                if emitter is not None:
                    emit_in(connection, None, "order.placed", {"number": 1}, emitter=emitter)
                time.sleep(WORK_SECONDS)
            to.took.append(time.perf_counter() - began)
            return 1

        return work

    to.rates.append(_together(8, seconds, make))


def _emit(url: str, directory: Path, seconds: float) -> Figure:
    def median(emitter: Emitter) -> float:
        took = []
        end = time.perf_counter() + seconds / 2
        while time.perf_counter() < end:
            began = time.perf_counter()
            emitter.emit(None, "order.placed", {"number": 1})
            took.append(time.perf_counter() - began)
            time.sleep(0.0005)
        emitter.close(30)
        return statistics.median(took)

    direct = median(Emitter(service="emit", jsonl="off", stdout=False, store=url))
    file = median(Emitter(service="emit", jsonl=str(directory / "emit.jsonl"), stdout=False))
    note = f"{direct * 1e6:.0f} and {file * 1e6:.0f} us"
    return Figure("emit, direct store / file, p50", direct / file, 1.5, "x", note=note)


def _read(url: str, directory: Path, records: int) -> list[Figure]:
    chains = Chains(Address(url), service="read")
    path = directory / "audit.jsonl"
    with path.open("wb") as file:
        for _ in range(records // 500):
            file.writelines(one.line for one in chains.append(drafts(500, text="y" * 200)))
    chains.close()
    rows, lines = (
        min(_verified(where) for _ in range(3)) for where in (f"{url}#service=read", str(path))
    )
    path.unlink()
    with open_reader(f"{url}#service=read") as reader:
        assert isinstance(reader, PostgresReader)
        newest = _median(lambda: next(reader.newest()))
        deep = _median(lambda: next(reader.newest(records // 10)))
    return [
        Figure(f"verify {records:,} rows / file, one process", rows / lines, 1.5, "x",
               note=f"{rows:.2f} and {lines:.2f} s"),
        Figure(f"newest page of {records:,}", newest * 1e3, 5, " ms"),
        Figure("page at nine tenths / newest page", deep / newest, 2, "x",
               note=f"{deep * 1e3:.2f} and {newest * 1e3:.2f} ms"),
    ]  # fmt: skip


def _verified(where: str) -> float:
    began = time.perf_counter()
    with open_reader(where) as reader:
        assert verify_log(reader, Options(jobs=1)).report.exit_status == 0
    return time.perf_counter() - began


def _median(work: Callable[[], object]) -> float:
    took = []
    for _ in range(30):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)
