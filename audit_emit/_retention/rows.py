"""Removes whole partitions of the chains in a database: every chain in them must be signed so far.

All that changes the database is one transaction: each chain gets its ``audit.pruned``, and then the
partitions leave. So there is nothing to go on with after an interruption.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from audit_emit._checkpoints.beginning import newest_start, start_of
from audit_emit._format.record import Head, chain_line
from audit_emit._format.removal import RECORD, Removal, fields_of
from audit_emit._readers.postgres.connection import Connection
from audit_emit._readers.postgres.reader import PostgresReader
from audit_emit._retention.holds import Holds
from audit_emit._retention.statement import Limits, refuse_another, signer_of, statement
from audit_emit._retention.walk import Boundary, Progress, Walk, boundaries
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.verify import Options, verify_log
from audit_emit.errors import DatabaseError, RetentionError

_TRIES = 5
_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', '2s', true)"
"""How long the partitions are waited for; writers wait behind this transaction meanwhile."""

_IN_THE_WAY = frozenset({"chain-locked", "deadlock", "serialization"})
"""Somebody else has a lock, for a moment."""

_RANGES = """\
SELECT r.chain, min(r.seq), max(r.seq) FROM audit_emit.records r
WHERE r.tableoid = ANY (%s::regclass[]) GROUP BY r.chain ORDER BY r.chain"""

_BEFORE = """\
SELECT r.seq FROM audit_emit.records r
WHERE r.chain = %s AND r.seq <= %s AND NOT r.tableoid = ANY (%s::regclass[]) LIMIT 1"""

_HEADS = "SELECT chain, service, kind FROM audit_emit.heads WHERE chain = ANY (%s)"
_APPEND = "SELECT audit_emit.append_removal(%s, %s, %s, %s, %s, %s, %s)"

Prefix = Callable[[str, str, Mapping[str, Any]], str]
"""Makes a record up to its link, given the service, the event type and the fields."""


class Month(NamedTuple):
    """A partition, and the days that it is for: from the first up to, not including, the last."""

    name: str
    begins: date
    ends: date


class ChainPart(NamedTuple):
    """What of a chain goes: all that is there up to a record.

    Attributes:
        kind: ``live``, ``ended`` or ``shipped``.
        first, last: ``seq`` of the first and the last record that go.
        removal: what it says of that; of a shipped chain what its file said.
    """

    chain: str
    service: str
    kind: str
    first: int
    last: int
    removal: Removal | None = None


class RowsOutcome(NamedTuple):
    """What was removed, or would be.

    Attributes:
        months: names of the partitions, oldest first.
        chains: that had records in them.
        stopped: why no more went.
    """

    months: tuple[str, ...]
    chains: tuple[ChainPart, ...]
    stopped: str


class RowsPruner:
    """Removes old partitions of one database.

    Args:
        connection: of a role that has ``audit_emit_pruner``.
        ring: the trusted keys; the newest one must be that of each chain, and able to sign.
        prefix: see there.
        progress: see there.
    """

    def __init__(
        self,
        connection: Connection,
        ring: KeyRing,
        prefix: Prefix,
        progress: Progress | None = None,
    ) -> None:
        self._connection = connection
        self._ring = ring
        self._prefix = prefix
        self._progress = progress

    def run(
        self,
        limits: Limits,
        *,
        drop: bool = False,
        rehearse: bool = False,
        copied: Mapping[str, Head | None] | None = None,
    ) -> RowsOutcome:
        """Remove the partitions of months that were over by then.

        Args:
            limits: what may go.
            drop: delete them; without it they are detached, and stay as tables of their own.
            rehearse: change nothing.
            copied: of each chain the last record up to which all are kept elsewhere; only rows up
                to there go. ``None``: that is not asked for.

        Raises:
            RetentionError: nothing was removed; see ``reason``.
            DatabaseError: the database did not do it; nothing was removed.
        """
        day = datetime.fromtimestamp(limits.cutoff_ns / 1e9, UTC).date()
        found = [Month(*row) for row in self._connection.all("SELECT * FROM audit_emit.months()")]
        old = [month for month in found if month.ends <= day]
        stopped = "no older month is there" if old else "no month is old enough"
        while old:
            parts, why = self._parts(old, copied)
            if not why:
                break
            stopped = why
            old.pop()
        if not old:
            return RowsOutcome((), (), stopped)
        made = tuple(self._read(part, limits) for part in parts)
        names = tuple(month.name for month in old)
        if not rehearse:
            self._remove(names, made, drop=drop)
        return RowsOutcome(names, made, stopped)

    def _parts(
        self, months: Sequence[Month], copied: Mapping[str, Head | None] | None
    ) -> tuple[list[ChainPart], str]:
        """What of each chain would go with these months, and why it may not."""
        tables = [f"audit_emit.{month.name}" for month in months]
        ranges = self._connection.all(_RANGES, tables)
        heads = {row[0]: row for row in self._connection.all(_HEADS, [row[0] for row in ranges])}
        parts = []
        for chain, first, last in ranges:
            if chain not in heads:
                return [], f"chain {chain}, which has no head, has rows in {months[-1].name}"
            _, service, kind = heads[chain]
            part = ChainPart(chain, service, kind, first, last)
            why = self._obstacle(part, tables)
            if not why and copied is not None:
                why = self._not_copied(part, copied.get(chain))
            if why:
                return [], f"{why} (chain {chain}, {months[-1].name})"
            parts.append(part)
        return parts, ""

    def _obstacle(self, part: ChainPart, tables: Sequence[str]) -> str:
        before = self._connection.one(_BEFORE, part.chain, part.last, tables)
        if before is not None:
            return f"record {before[0]}, which comes before record {part.last}, is in another month"
        with PostgresReader(self._connection, part.chain) as reader:
            held = Holds.of(reader, self._ring).is_held(1, part.last)
            if held is not None:
                return f"hold {held.name} is on records from {held.first_seq} on"
            if part.kind == "shipped":
                start = newest_start(reader, self._ring, part.chain)
                if start is None or start.removal.last_seq < part.last:
                    return "the log of files that was shipped here did not remove these records"
            elif not boundaries(reader, self._ring, [part.last]):
                return f"no checkpoint covers record {part.last}"
        return ""

    def _not_copied(self, part: ChainPart, like: Head | None) -> str:
        """Why the copies that are kept elsewhere do not suffice.

        Raises:
            RetentionError: they are those of another chain than the one that is here.
        """
        if like is None or like.seq < part.last:
            return f"only records up to {like.seq if like is not None else 0} are in the archive"
        with PostgresReader(self._connection, part.chain) as reader:
            refuse_another(reader, like)
        return ""

    def _read(self, part: ChainPart, limits: Limits) -> ChainPart:
        """Verify a chain, read what goes of it, and sign that.

        Raises:
            RetentionError: it does not verify, or is not what was signed.
        """
        with PostgresReader(self._connection, part.chain) as reader:
            report = verify_log(reader, Options(ring=self._ring)).report
            if report.tampered:
                found = ", ".join(
                    f"{count} {kind}" for kind, count in sorted(report.counts.items())
                )
                why = f"chain {part.chain} does not verify ({found}); see: audit-emit verify"
                raise RetentionError("tampered", why)
            if part.kind == "shipped":
                found_start = newest_start(reader, self._ring, part.chain)
                return part._replace(removal=found_start.removal if found_start else None)
            key, origin = signer_of(reader, self._ring)
            start = start_of(reader, self._ring)
            if start is not None and start.verdict(self._ring) != "ok":
                raise RetentionError("no-key", "the key that signed the last removal is not given")
            (end,) = boundaries(reader, self._ring, [part.last])
            walk = Walk(reader, start, [Boundary(*end)], None, self._progress)
            (passed,) = walk.parts()
            walk.go_on(end.checkpoint.head_seq)
            first = start.removal.last_seq + 1 if start is not None else 1
            return part._replace(removal=statement(passed, first, origin, key, limits.reason))

    def _remove(self, names: Sequence[str], parts: Sequence[ChainPart], *, drop: bool) -> None:
        """All of it, in one transaction; again if a lock was not to be had.

        Raises:
            RetentionError: somebody is in the way for long.
            DatabaseError: the database refuses.
        """
        for attempt in range(_TRIES):
            try:
                with self._connection.transaction():
                    self._connection.one(_LOCK_TIMEOUT)
                    self._say(parts)
                    self._refuse_held(parts)
                    self._connection.one("SELECT audit_emit.remove_months(%s, %s)", [*names], drop)
            except DatabaseError as error:
                if error.reason not in _IN_THE_WAY:
                    raise
                time.sleep(0.2 * 2**attempt)
            else:
                return
        raise RetentionError("busy", "the table is in use all the time; try again later")

    def _refuse_held(self, parts: Sequence[ChainPart]) -> None:
        """Once more, as nobody appends to these chains any longer until this is done.

        Raises:
            RetentionError: a hold was placed meanwhile; nothing was removed.
        """
        for part in parts:
            with PostgresReader(self._connection, part.chain) as reader:
                held = Holds.of(reader, self._ring).is_held(1, part.last)
            if held is not None:
                why = f"hold {held.name} of chain {part.chain} came meanwhile"
                raise RetentionError("holds", why)

    def _say(self, parts: Sequence[ChainPart]) -> None:
        rows = self._connection.all(
            "SELECT chain, seq, hash FROM audit_emit.lock_heads(%s)", [part.chain for part in parts]
        )
        heads = {chain: (seq, digest) for chain, seq, digest in rows}
        for part in parts:
            removal = part.removal
            if removal is None:
                continue
            last_hash = bytes.fromhex(removal.last_hash)
            if part.kind == "shipped":
                values: tuple[Any, ...] = (part.last, last_hash, None, None, None, None)
            else:
                seq, digest = heads[part.chain]
                prefix = self._prefix(part.service, RECORD, fields_of(removal))
                line, made = chain_line(prefix, part.chain, seq + 1, bytes(digest).hex())
                ts, event_id = prefix[7:37], _id_in(prefix)
                line = line.removesuffix("\n")
                values = (part.last, last_hash, line, bytes.fromhex(made), event_id, ts)
            self._connection.one(_APPEND, part.chain, *values)


def _id_in(prefix: str) -> str:
    at = prefix.rindex('"id":"') + len('"id":"')
    return prefix[at : at + 36]
