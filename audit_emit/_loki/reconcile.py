"""Reconciles a log with Loki: reads both, window by window, and lets ``Reconciler`` compare them.

While one window is compared, the next one is requested. Memory holds two windows of the log and two
pages of Loki's answers, however long the log is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain as joined
from itertools import islice
from typing import NamedTuple

from audit_emit._format.record import ts_of
from audit_emit._loki.client import PAGE, Entry, LokiClient
from audit_emit._loki.comparison import ROUNDED, Missing, Reconciler
from audit_emit._loki.disagreement import Head, Kind, Report
from audit_emit._loki.labels import JOB
from audit_emit._loki.log_index import DAY, LogIndex, Window
from audit_emit._loki.log_scan import Progress
from audit_emit._loki.records import LoggedRecord, hash_holds, is_cut, parse_record, stated_hash

GRACE = 30 * 10**9
"""The nanoseconds that a record may take to arrive in Loki."""

EARLIER = 7 * DAY
"""How far before the first record of a chain to look for records of an older log."""

AHEAD = 600 * 10**9
"""How far ahead a clock may be, in nanoseconds: Loki's default (``creation_grace_period``)."""

FAST_CLOCK = "the clock that wrote it is fast; Loki refuses what is beyond creation_grace_period"

_SECOND = 10**9
_PAGE_BYTES = 8 << 20
_HEADS = 1000


class Options(NamedTuple):
    """What to compare.

    Attributes:
        now: nanoseconds since 1970.
        grace: records that are not older than this, in nanoseconds, are not judged.
        since, until: the first and the last nanosecond; ``None`` for everything in the log.
        shared, own, site: see ``Reconciler``.
        progress: called with the bytes compared and in total.
    """

    now: int
    grace: int = GRACE
    since: int | None = None
    until: int | None = None
    shared: bool = False
    progress: Progress | None = None
    own: tuple[str, ...] = ()
    site: Mapping[str, str] | None = None

    @property
    def fresh(self) -> tuple[int, int]:
        """First and last time of a record that may still be on its way to Loki."""
        return self.now - self.grace, self.now + AHEAD


class Reconciled(NamedTuple):
    """The report, and the records that Loki does not have."""

    report: Report
    missing: Missing


def reconcile(
    index: LogIndex,
    client: LokiClient,
    options: Options,
    sent: Callable[[LoggedRecord], bool] = lambda _: False,
) -> Reconciled:
    """Compare a log with Loki.

    Args:
        index: the log.
        client: the Loki.
        options: what to compare.
        sent: see ``Reconciler``.

    Raises:
        OSError: a file cannot be read.
        LokiError: Loki gives no usable answer.
    """
    reconciler = Reconciler(
        index,
        index.extents,
        index.services,
        shared=options.shared,
        own=options.own,
        site=options.site,
        sent=sent,
    )
    start, end = span(index, options)
    logql = queries(index.services, index.extents)
    done, total = 0, index.size(start, end)
    with closing(_read(index.windows(start, end), client, logql)) as windows:
        for window, lines in windows:
            reconciler.compare(window.records, lines)
            done += _size(window)
            if options.progress is not None:
                options.progress(done, total)
    if start < end and options.since is None and not options.shared:
        _look_before(reconciler, index, client, start)
    young, ask_again = _not_yet(reconciler, index, options, end)
    report = reconciler.finish(
        start,
        max(end - 1, start),
        strange=index.strange,
        young=young,
        ask_again=ask_again,
    )
    return Reconciled(report, reconciler.missing)


def _read(
    windows: Iterable[Window], client: LokiClient, logql: Sequence[str]
) -> Generator[tuple[Window, Iterator[Entry]], None, None]:
    """Each window with Loki's entries of that period. The next page is requested in advance.

    Raises:
        LokiError: see ``reconcile``.
    """
    pool = ThreadPoolExecutor(1, "loki")  # one thread: the client must not be used by several
    try:
        ready: deque[tuple[Window, Iterator[Entry]]] = deque()
        for number, window in enumerate(windows):
            # Loki may have the first record under a time that was rounded down.
            early = 0 if number else min(ROUNDED, window.start)
            ready.append((window, _ahead(pool, client, window, logql, early)))
            if len(ready) > 1:
                yield ready.popleft()
        yield from ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ahead(
    pool: Executor, client: LokiClient, window: Window, logql: Sequence[str], early: int
) -> Iterator[Entry]:
    """Loki's entries of a window. Each page is requested before the previous one is used up.

    Args:
        pool: runs the requests.
        client: the Loki.
        window: the period, and the records that are expected.
        logql: the queries to send, one after the other.
        early: how many nanoseconds before the window to begin.
    """
    page = page_size(_size(window), len(window.records))
    entries = joined.from_iterable(
        client.query_range(each, window.start - early, window.stop, page=page) for each in logql
    )

    def ask() -> list[Entry]:
        return list(islice(entries, page))

    def entries_of(coming: Future[list[Entry]]) -> Iterator[Entry]:
        while found := coming.result():
            coming = pool.submit(ask)
            yield from found

    return entries_of(pool.submit(ask))


def _size(window: Window) -> int:
    return sum(len(one.line) + 1 for one in window.records)


def _not_yet(
    reconciler: Reconciler, index: LogIndex, options: Options, end: int
) -> tuple[int, str]:
    """Count the records that are too young to judge; those far in the future become findings.

    Returns:
        The number of young records, and the time from which on all of them can be judged.
    """
    young = newest = 0
    times = index.times
    last = times[1] + 1 if times is not None else 0
    stop = last if options.until is None else min(last, options.until + 1)
    for window in index.windows(max(end, options.since or 0), stop):
        for one in window.records:
            if one.ts > options.now + AHEAD:
                reconciler.found(Kind.IN_THE_FUTURE, one, note=FAST_CLOCK)
            else:
                young += 1
                newest = max(newest, one.ts)
    return young, ts_of(newest + options.grace + _SECOND) if young else ""


def span(index: LogIndex, options: Options) -> tuple[int, int]:
    """The period that is compared, in nanoseconds; its end is not included."""
    times = index.times
    if times is None:
        return 0, 0
    start = times[0] if options.since is None else max(times[0], options.since)
    end = options.now - options.grace
    return start, end if options.until is None else min(end, options.until + 1)


def queries(services: Iterable[str], chains: Iterable[str]) -> list[str]:
    """The LogQL queries: all lines of the log's services, and its chains under other services."""
    names = "|".join(sorted(services))
    found = [f'{{job="{JOB}", service=~"{names}"}}']
    ids = "|".join(sorted(chains))
    if ids:
        found.append(f'{{job="{JOB}", service!~"{names}"}} |~ `"chain":"({ids})"`')
    return found


def one_chain(chain: str) -> str:
    """The query of ``vector/logql/one-chain.logql``, for a chain."""
    return f'{{job="{JOB}"}} |= `"chain":"{chain}"` | json chain="chain" | chain="{chain}"'


def page_size(size: int, records: int) -> int:
    """The number of entries per page: fewer when lines are long, to bound the memory."""
    return min(PAGE, max(100, _PAGE_BYTES * records // max(size, 1))) if records else PAGE


def _look_before(reconciler: Reconciler, index: LogIndex, client: LokiClient, start: int) -> None:
    """Also look for records before the log: a chain that begins here may have replaced another."""
    if any(extent.first == 1 for extent in index.extents.values()):
        logql, *_ = queries(index.services, ())
        earlier = client.query_range(
            logql, max(start - EARLIER, 0), max(start - ROUNDED, 0), direction="backward", limit=1
        )
        reconciler.compare((), earlier)


def heads(client: LokiClient, chains: Sequence[str], start: int, end: int) -> Iterator[Head]:
    """The record with the highest number of each chain that Loki has.

    Only lines count whose stated hash is right, and stubs.

    Args:
        client: the Loki.
        chains: the chains to look for.
        start, end: the period to search, in nanoseconds; ``end`` is not included.

    Raises:
        LokiError: Loki gives no usable answer.
    """
    for chain in chains:
        logql = one_chain(chain)
        newest: LoggedRecord | None = None
        for entry in client.query_range(logql, start, end, direction="backward", limit=_HEADS):
            one = parse_record(entry.line.encode("utf-8", "surrogatepass"))
            if (
                one is not None
                and one.chain == chain
                and (newest is None or one.seq > newest.seq)
                and (is_cut(one.line) or hash_holds(one.line))
            ):
                newest = one
        if newest is not None:
            yield Head(chain, newest.seq, stated_hash(newest.line), newest.ts)
