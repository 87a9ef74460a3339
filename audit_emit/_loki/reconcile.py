"""Reconcile a log with Loki: pages through both, a window at a time.

What is compared is ``reconcile.Reconciler``'s. Memory holds two windows of the log and two pages of
Loki's answers, however many days there are: while one is compared, the next is on its way.
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
"""Nanoseconds that a record may be on its way."""

EARLIER = 7 * DAY
"""How long before the first record of a whole chain an older log is looked for."""

AHEAD = 600 * 10**9
"""How far a clock may be ahead: what Loki allows by default (``creation_grace_period``)."""

FAST_CLOCK = "the clock that wrote it is fast; Loki refuses what is beyond creation_grace_period"

_SECOND = 10**9
_PAGE_BYTES = 8 << 20
_HEADS = 1000


class Options(NamedTuple):
    """What to compare.

    Attributes:
        now: nanoseconds since 1970.
        grace: what is not older than this is not judged.
        since, until: the first and the last nanosecond; ``None`` for all that the log holds.
        shared, own, site: see ``Reconciler``.
        progress: called with the bytes compared and those that there are.
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
        """When a record was written that may still be on its way, and all that come after it."""
        return self.now - self.grace, self.now + AHEAD


class Reconciled(NamedTuple):
    """The verdict, and the records that Loki does not have."""

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
        sent: see ``Reconciler``.

    Raises:
        OSError: a file cannot be read.
        LokiError: Loki gives no answer to build on.
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
    """Each window with what Loki holds of it. While one is compared, the next page is on its way.

    Raises:
        LokiError: see ``reconcile``.
    """
    pool = ThreadPoolExecutor(1, "loki")  # one, as the client is for one thread at a time
    try:
        ready: deque[tuple[Window, Iterator[Entry]]] = deque()
        for number, window in enumerate(windows):
            # The first record may be there under a time that was rounded down.
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
    """What Loki holds of a window; from now on each page is asked for before it is needed.

    Args:
        early: nanoseconds by which to begin before the window.
    """
    page = page_size(_size(window), len(window.records))
    entries = joined.from_iterable(
        client.query_range(each, window.start - early, window.stop, page=page) for each in logql
    )

    def ask() -> list[Entry]:
        return list(islice(entries, page))

    def taken(coming: Future[list[Entry]]) -> Iterator[Entry]:
        while found := coming.result():
            coming = pool.submit(ask)
            yield from found

    return taken(pool.submit(ask))


def _size(window: Window) -> int:
    return sum(len(one.line) + 1 for one in window.records)


def _not_yet(
    reconciler: Reconciler, index: LogIndex, options: Options, end: int
) -> tuple[int, str]:
    """What the log has of the time that is not compared yet; what is far ahead becomes a finding.

    Returns:
        How many records are young, and from when on all of them are judged.
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
    """The time that is compared; its end does not belong to it."""
    times = index.times
    if times is None:
        return 0, 0
    start = times[0] if options.since is None else max(times[0], options.since)
    end = options.now - options.grace
    return start, end if options.until is None else min(end, options.until + 1)


def queries(services: Iterable[str], chains: Iterable[str]) -> list[str]:
    """What to ask for: all lines of the log's services, and its records among those of others."""
    names = "|".join(sorted(services))
    found = [f'{{job="{JOB}", service=~"{names}"}}']
    ids = "|".join(sorted(chains))
    if ids:
        found.append(f'{{job="{JOB}", service!~"{names}"}} |~ `"chain":"({ids})"`')
    return found


def one_chain(chain: str) -> str:
    """``vector/logql/one-chain.logql`` for a chain."""
    return f'{{job="{JOB}"}} |= `"chain":"{chain}"` | json chain="chain" | chain="{chain}"'


def page_size(size: int, records: int) -> int:
    """Entries to ask for at a time, so that a page of long ones does not fill the memory."""
    return min(PAGE, max(100, _PAGE_BYTES * records // max(size, 1))) if records else PAGE


def _look_before(reconciler: Reconciler, index: LogIndex, client: LokiClient, start: int) -> None:
    """A chain that is here from its beginning may have taken the place of another one."""
    if any(extent.first == 1 for extent in index.extents.values()):
        logql, *_ = queries(index.services, ())
        earlier = client.query_range(
            logql, max(start - EARLIER, 0), max(start - ROUNDED, 0), direction="backward", limit=1
        )
        reconciler.compare((), earlier)


def heads(client: LokiClient, chains: Sequence[str], start: int, end: int) -> Iterator[Head]:
    """The newest record of each chain that Loki vouches for, by its number.

    A line vouches for a record when it has the hash that it states, or is a stub.

    Args:
        start, end: the time that is looked at, without ``end``.

    Raises:
        LokiError: Loki gives no answer to build on.
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
