"""Comparing a million records with Loki, beside only reading them from it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from bench.bench_verify import CLI, Run, timed
from bench.event import IDS, SERVICE, variants
from bench.figure import Figure
from support import loki_supervisor
from support.fake_loki import LokiServer
from support.fake_loki_store import CONFIGURED
from support.loki_program import CONFIG

from audit_emit._format.chain import ZERO
from audit_emit._format.encode import to_json
from audit_emit._format.record import chain_line, context_part, ts_of
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._loki.labels import placement_of
from audit_emit.errors import Limited

CHAIN = "00112233445566ff"
TENANT = "bench"
TYPES = ("secret.set", "secret.set", "secret.read", "key.created")
SPAN = 3 * 24 * 3600 * 10**9
"""Nanoseconds over which the records are spread: three days."""

BATCH = 1500
READ = f"""
import sys
from audit_emit._loki.client import LokiClient
url, start, end, wanted = sys.argv[1], *map(int, sys.argv[2:])
with LokiClient(url, tenant={TENANT!r}) as client:
    found = sum(1 for _ in client.query_range('{{job="audit", service="{SERVICE}"}}', start, end))
sys.exit(found != wanted)
"""


class Served(NamedTuple):
    """A Loki, and how many records it can take in a reasonable time."""

    url: str
    name: str
    records: int


@contextmanager
def served(directory: Path, *, quick: bool) -> Iterator[Served]:
    """The real Loki where there is one, else the small one of the tests."""
    program = shutil.which("loki")
    if program is None:
        server = LokiServer(tenants=True, limits=CONFIGURED)
        try:
            name = "the small Loki of the tests, as there is no program `loki` on the path"
            yield Served(server.url, name, 20_000)
        finally:
            server.close()
        return
    (directory / "rules").mkdir()
    process, port = loki_supervisor.start(program, CONFIG, directory)
    try:
        yield Served(f"http://127.0.0.1:{port}", "a real Loki", 100_000 if quick else 1_000_000)
    finally:
        process.kill()
        process.wait()


def lines(count: int, begin: int) -> Iterator[bytes]:
    """A chain of records as long as real ones, in equal steps of time."""
    context = context_part(IDS["user_id"], IDS["actor_kind"], IDS["correlation_id"])
    fields = cycle([to_json(each) for each in variants()])
    digest, step = ZERO, SPAN // count
    for number, event_type in zip(range(count), cycle(TYPES), strict=False):
        prefix = (
            f'{{"ts":"{ts_of(begin + number * step)}","event_type":"{event_type}","workspace_id":'
            f'"{IDS["workspace_id"]}"{context}{next(fields)},"v":1,'
            f'"id":"0190f6f5-6d3a-7c44-9d0e-{number:012d}","service":"{SERVICE}"'
        )
        line, digest = chain_line(prefix, CHAIN, number + 1, digest)
        yield line.encode()


def fill(path: Path, client: LokiClient, count: int, begin: int) -> None:
    """The same records into a file and into a Loki."""
    batch: list[Entry] = []

    def send() -> None:
        while True:
            try:
                return client.push(batch)
            except Limited:
                time.sleep(0.5)

    with path.open("wb") as file:
        for line in lines(count, begin):
            file.write(line)
            found = placement_of(line[:-1])
            assert found is not None
            batch.append(Entry(found.ts, line[:-1].decode(), found.labels))
            if len(batch) == BATCH:
                send()
                batch = []
    if batch:
        send()


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """In turn, so that a busy machine is so for both."""
    path = directory / "log" / "audit.jsonl"
    path.parent.mkdir()
    with served(directory, quick=quick) as loki:
        end = time.time_ns() - 3600 * 10**9
        begin = end - SPAN
        with LokiClient(loki.url, tenant=TENANT, timeout=300) as client:
            fill(path, client, loki.records, begin)
        read = [sys.executable, "-c", READ, loki.url, *map(str, (begin, end, loki.records))]
        where = [str(path), "--loki", loki.url, "--tenant", TENANT]
        compare = [sys.executable, "-c", CLI, "reconcile", *where]
        cores = os.cpu_count() or 1
        reading: list[Run] = []
        comparing: list[Run] = []
        for _ in range(2):
            reading.append(timed(read, cores=cores))
            comparing.append(timed(compare, cores=cores))
    base, whole = min(run.wall for run in reading), min(run.wall for run in comparing)
    detail = {"reading": reading, "comparing": comparing}
    size = path.stat().st_size / 1e6
    path.unlink()
    return [
        Figure(
            name=f"reconcile {loki.records:,} records / reading them from Loki",
            value=whole / base,
            limit=2.0,
            unit="x",
            note=f"{whole:.1f} / {base:.1f} s on the clock, {size:.0f} MB, {loki.name}",
            detail=detail,
        ),
        Figure(
            name="peak memory of reconcile",
            value=max(run.memory for run in comparing),
            limit=128.0,
            unit=" MB",
            note=f"of only reading: {max(run.memory for run in reading):.0f} MB",
        ),
    ]
