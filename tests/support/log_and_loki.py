"""A log on disk, and a Loki that is to hold the same."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from support.chain_builder import SECOND, MadeChain
from support.fake_loki import Fault, LokiServer
from support.waiting import PATIENCE

from audit_emit._loki.backfill import Backfill, with_backfill
from audit_emit._loki.client import Entry, LokiClient
from audit_emit._loki.disagreement import Report
from audit_emit._loki.journal import Journal, RecentlyPushed
from audit_emit._loki.labels import placement_of
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.plan import BackfillSettings
from audit_emit._loki.reconcile import Options, Reconciled, reconcile
from audit_emit._loki.streams import STREAMS
from audit_emit._stores.jsonl.directory import Layout

_numbers = itertools.count(1)


class OnPush(list[Fault | None]):
    """Faults that only pushes meet."""

    def __init__(self, server: LokiServer, *faults: Fault | None) -> None:
        super().__init__(faults)
        self._server = server

    def pop(self, _: Any = 0) -> Fault | None:
        """The next one, if it is a push that is asked for."""
        return super().pop(0) if self._server.asked[-1][0] == "POST" else None


class LogAndLoki:
    """One log with a chain and a service of its own.

    Attributes:
        chain: its records; ``write`` puts them on disk.
        begin: the time of the first one, in nanoseconds since 1970.
        waited: how long the commands would have slept.
        told: what a backfill said of its progress.
    """

    def __init__(
        self, directory: Path, url: str, tenant: str | None = None, *, ago: int = 3000
    ) -> None:
        number = next(_numbers)
        self.begin = time.time_ns() - ago * SECOND
        name = f"log-{os.getpid()}-{number}"
        self.chain = MadeChain(f"{os.getpid():08x}{number:08x}", name, self.begin)
        self.directory = directory
        self.journal = str(directory / "backfill.jsonl")
        self.layout = Layout.of(str(directory / "audit.jsonl"))
        self.waited: list[float] = []
        self.told: list[str] = []
        self.client = LokiClient(url, tenant=tenant, timeout=PATIENCE, sleep=self.waited.append)

    def write(self, first: int = 1, last: int | None = None) -> None:
        """The log, or a part of it."""
        self.chain.write(Path(self.layout.active), first, last)

    def ship(self, lines: Iterable[bytes] | None = None, **labels: str) -> None:
        """Lines as the pipeline ships them, or with other labels; all of the chain by default."""
        entries = [
            Entry(found.ts, line.decode(), {**found.labels, **labels})
            for line in (self.chain.lines if lines is None else lines)
            if (found := placement_of(line)) is not None
        ]
        for at in range(0, len(entries), 2000):
            self.client.push(entries[at : at + 2000])

    def without(self, *seqs: int) -> list[bytes]:
        """The records but for these."""
        return [line for seq, line in enumerate(self.chain.lines, 1) if seq not in seqs]

    def in_loki(self, labels: str = "") -> list[bytes]:
        """What Loki shows of the chain, oldest first; all of it with everything that is there."""
        logql = f'{{job="audit"{labels}}} |= `"chain":"{self.chain.chain}"`'
        end = time.time_ns() + 600 * SECOND
        found = self.client.query_range(logql, self.begin - 3600 * SECOND, end)
        return [entry.line.encode() for entry in found]

    def compare(self, **options: Any) -> Reconciled:
        """The verdict as it is now."""
        wanted = Options(time.time_ns(), **options)
        sent = RecentlyPushed(self.journal, "loki", wanted.now)
        with LogIndex([self.layout], fresh=wanted.fresh) as index:
            return reconcile(index, self.client, wanted, sent)

    def backfill(
        self,
        *,
        rate: float = 1e12,
        now: Callable[[], int] = time.time_ns,
        streams: int = STREAMS,
        flush: bool = False,
        **options: Any,
    ) -> tuple[Backfill, Report]:
        """Push what is missing; what came of it, and the verdict afterwards."""
        wanted = Options(now(), **options)
        sent = RecentlyPushed(self.journal, "loki", wanted.now)
        with (
            LogIndex([self.layout], fresh=wanted.fresh) as index,
            Journal(self.journal, "loki") as journal,
        ):
            report, missing = reconcile(index, self.client, wanted, sent)
            pace = BackfillSettings(
                rate,
                now,
                lambda: sum(self.waited),
                self.waited.append,
                streams,
                flush,
                self.told.append,
            )
            done = Backfill(index, self.client, journal, pace)
            done.run(missing)
        return done, with_backfill(report, done)


def counts(report: Report) -> dict[str, int]:
    """How many records each kind of finding is about."""
    return dict(report.counts)
