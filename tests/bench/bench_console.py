"""The console: pages of a large log, the live tail, and verifying in the browser."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from bench.bench_startup import grow
from bench.bench_verify import RECORD
from bench.event import variants
from bench.figure import Figure
from playwright.sync_api import expect, sync_playwright
from support.postgres_records import drafts
from support.postgres_server import server
from support.served_console import Served

import audit_emit.console
from audit_emit._query.question import Question
from audit_emit._query.search import ask_log
from audit_emit._settings.address import Address
from audit_emit._stores.postgres import schema
from audit_emit._stores.postgres.chains import Chains
from audit_emit.console.access import LOCAL
from audit_emit.console.filters import Filters
from audit_emit.console.place import PAGE
from audit_emit.console.source import Source

ROWS_SECONDS, QUERY_RATIO, DEEP_RATIO, BROWSER, TAIL_SECONDS, LOAD_KB, WHEEL_KB = (
    0.1, 1.1, 2.0, 50_000, 1.0, 100, 400,
)  # fmt: skip
FIRST_LOAD = (
    *("/", "/static/console.css", "/static/console.js", "/static/over_time.js", "/messages.js"),
    "/events/histogram.svg?links=1",
)


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """All figures; those of the browser where Chromium is at hand."""
    records = 100_000 if quick else 1_000_000
    log = directory / "log"
    log.mkdir()
    count = grow(log / "audit.jsonl", records * RECORD, variants())
    figures = [*_rows(records), _wheel(directory)]
    served = Served(log)
    try:
        figures += _files(served.address, str(log), count)
        figures += [_first_load(served.address), _tail(served.address, log)]
        chromium = shutil.which("chromium")
        if chromium is not None:
            figures += _in_browser(chromium, served.address, count)
    finally:
        served.stop()
    return figures


def _best(
    work: Callable[[], object], runs: int = 7, clock: Callable[[], float] = time.process_time
) -> float:
    """Seconds that a call takes, of the processor in this process, the best of some."""
    taken = []
    for _ in range(runs):
        begin = clock()
        work()
        taken.append(clock() - begin)
    return min(taken)


def _files(address: str, where: str, count: int) -> list[Figure]:
    """Pages with their answers over HTTP, whose server is a thread of this process."""
    source = Source(where)
    found = _best(lambda: source.page(Filters({}), LOCAL))
    asked = _best(lambda: ask_log(Question(), [where], PAGE), 2)
    first, far, old = (_best(partial(_got, address + at)) for at in _depths(count))
    return [
        Figure(f"first page of {count:,} records / query for the same {PAGE}", found / asked,
               QUERY_RATIO, note=f"found in {found * 1000:.1f} ms of the processor"),
        Figure("a page far back / the first page", max(far, old) / first, DEEP_RATIO,
               note=f"whole answers; the first one {first * 1000:.0f} ms of the processor"),
    ]  # fmt: skip


def _depths(count: int) -> tuple[str, str, str]:
    return "/", f"/?before={count * 19 // 20}", f"/?before={count // 10}"


def _rows(records: int) -> list[Figure]:
    """The same from PostgreSQL, on the clock, as the server is another process."""
    with server("shared_buffers=256MB") as made:
        made.run("CREATE DATABASE console")
        url = made.url("console")
        schema.migrate(Address(url))
        chains = Chains(Address(url), service="shop")
        for _ in range(records // 5000):
            chains.append(drafts(5000, key="STRIPE_LIVE_KEY", scope="workspace", operation="set"))
        chains.close()
        served = Served(url)
        try:
            depths = _depths(records)
            first, far, old = (
                _best(partial(_got, served.address + at), 11, time.perf_counter) for at in depths
            )
        finally:
            served.stop()
    return [
        Figure(f"first page of {records:,} records in PostgreSQL", first, ROWS_SECONDS, " s",
               note="the whole answer"),
        Figure("… a page far back / the first page", max(far, old) / first, DEEP_RATIO),
    ]  # fmt: skip


def _wheel(directory: Path) -> Figure:
    """What the console adds to a wheel, packed as one is."""
    packed, place = directory / "console.zip", Path(audit_emit.console.__file__).parent
    with ZipFile(packed, "w", ZIP_DEFLATED) as made:
        for path in place.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                made.write(path, path.relative_to(place))
    return Figure("the console in the wheel", packed.stat().st_size / 1000, WHEEL_KB, " kB")


def _got(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        body: bytes = answer.read()
        return body


def _first_load(address: str) -> Figure:
    bodies = [_got(address + path) for path in FIRST_LOAD]
    sent = sum(map(len, bodies)) / 1000
    packed = sum(len(gzip.compress(body)) for body in bodies) / 1000
    note = f"{sent:.0f} kB as they are sent, without a proxy that packs"
    return Figure("first load, packed by gzip", packed, LOAD_KB, " kB", note=note)


def _tail(address: str, log: Path) -> Figure:
    """From a line in the file to its event in a live tail, the slowest of some."""
    path = log / "audit.jsonl"
    chain, taken = b'"chain":"00112233445566ff"', []
    with urllib.request.urlopen(f"{address}/events/stream", timeout=60) as stream:
        stream.readline()
        seq = int(_last(path).rpartition(b'"seq":')[2].partition(b",")[0])
        for number in range(seq + 1, seq + 8):
            head = _last(path)[-66:-2]
            line = (
                b'{"ts":"2026-05-19T20:00:00.123456789Z","event_type":"bench.tailed",%s,"seq":%d,'
                b'"prev_hash":"%s","hash":"%064x"}\n' % (chain, number, head, number)
            )
            begin = time.perf_counter()
            with path.open("ab") as file:
                file.write(line)
            while not stream.readline().startswith(b"data:"):
                pass
            taken.append(time.perf_counter() - begin)
    # Its lines have no hash of their own, so they go again.
    os.truncate(path, path.stat().st_size - 7 * len(line))
    return Figure("from the file to a live tail, the slowest of 7", max(taken), TAIL_SECONDS, " s")


def _last(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-4096, os.SEEK_END)
        return file.read().splitlines()[-1]


def _children(pid: int) -> list[int]:
    """A process's children and theirs (Linux)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_children(int(child))]
    return found


def _busy() -> float:
    """Seconds of the processor that the browser has taken so far."""
    ticks = 0
    for pid in _children(os.getpid()):
        try:
            values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(values[11]) + int(values[12])
    return ticks / os.sysconf("SC_CLK_TCK")


_BARE = """async (records) => {
  const bodies = Array.from({ length: 2048 }, (_, n) => new Uint8Array(%d).fill(n));
  const begun = performance.now();
  for (let done = 0; done < records; done += bodies.length) {
    await Promise.all(bodies.map((one) => crypto.subtle.digest("SHA-256", one)));
  }
  return records / (performance.now() - begun) * 1000;
}""" % (RECORD - 73)  # noqa: UP031 - braces of JavaScript


def _in_browser(chromium: str, address: str, count: int) -> list[Figure]:
    """The page that verifies, beside nothing but the hashes of so many records by WebCrypto."""
    if sys.platform != "linux":
        return []
    rates, shares, bare = [], [], []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for _ in range(3):
            page: Any = browser.new_context().new_page()
            page.goto(f"{address}/verify")
            begin, busy = time.perf_counter(), _busy()
            page.get_by_role("button", name="Verify in this browser").click()
            done = page.locator("#result").get_by_text(f"{count} records of chain")
            expect(done).to_be_visible(timeout=600_000)
            rates.append(count / (time.perf_counter() - begin))
            shares.append(count / (_busy() - busy))
            bare.append(float(page.evaluate(_BARE, 100_000)))
            page.context.close()
        browser.close()
    note = (
        f"{max(shares):,.0f} a second of the browser's processor; bare SHA-256 of WebCrypto, "
        f"without chain and tree: {max(bare):,.0f}"
    )
    name = f"verified in the browser, records of {RECORD} bytes a second"
    return [Figure(name, max(rates), BROWSER, at_least=True, note=note)]
