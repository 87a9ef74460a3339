"""Signs the chains of a database: read through their reader, with the checkpoints in a table.

What was signed last is kept in a file on the signer's host, not in the database: an administrator
of the database can then neither give the signer another history nor take a checkpoint back. Only
one signer may sign a chain; a second one on another host would not have that file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from audit_emit._checkpoints.beginning import after
from audit_emit._checkpoints.checkpointer import Checkpointer, Record
from audit_emit._checkpoints.new_leaves import GrowingTree
from audit_emit._checkpoints.signer_state import SignerFiles
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.line_splitter import split_lines
from audit_emit._readers.base import Flaw, LogReader
from audit_emit._readers.postgres.bounded import CHECKPOINT
from audit_emit._readers.postgres.connection import Connection
from audit_emit._readers.postgres.pages import LAST
from audit_emit._readers.postgres.reader import PostgresReader
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError

_BACKWARD = f"""\
SELECT number, {CHECKPOINT} FROM audit_emit.checkpoints WHERE chain = %s AND number < %s
ORDER BY number DESC LIMIT %s"""  # noqa: S608 - constants
_FEW, _MANY = 10, 1000
"""Rows of checkpoints that one query reads: nearly always the newest is the right one."""
_ADD = "SELECT audit_emit.add_checkpoint(%s, %s, %s)"
_FLUSH = "SELECT audit_emit.flush_appends()"


class _Rows(SignerFiles):
    """The state in a file, the checkpoints in the table."""

    def __init__(self, layout: Layout, state: str, connection: Connection, chain: str) -> None:
        super().__init__(layout, state)
        self._connection = connection
        self._chain = chain

    def append(self, checkpoint: Checkpoint) -> None:
        """Add a row, durably."""
        line = checkpoint.to_line().decode().removesuffix("\n")
        self._connection.one(_ADD, self._chain, checkpoint.head_seq, line)

    def backward(self) -> Iterator[Checkpoint]:
        """The checkpoints of the chain, newest first, with good and bad signatures."""
        number, size = LAST, _FEW
        while rows := self._connection.all(_BACKWARD, self._chain, number, size):
            for number, line in rows:  # noqa: B007 - the last one is where the next ones begin
                with suppress(ValueError):
                    yield Checkpoint.from_line(line.encode())
            size = _MANY


class RowsCheckpointer(Checkpointer):
    """Signs one chain of a database.

    Args:
        connection: of a role that has ``audit_emit_writer``.
        chain: which one.
        ring, origin, record, first: see ``Checkpointer``.
        state: absolute path of the state file; its lock and the tiles are in the same directory.
    """

    def __init__(
        self,
        connection: Connection,
        chain: str,
        ring: KeyRing,
        *,
        origin: str,
        record: Record,
        state: str,
        first: bool = False,
    ) -> None:
        directory = os.path.dirname(state)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        beside = os.path.join(directory, "audit.jsonl")  # never written: names the directory
        super().__init__(beside, ring, origin=origin, record=record, state=state, first=first)
        self._connection = connection
        self._chain = chain
        self._files = _Rows(self.layout, state, connection, chain)

    def reader(self) -> LogReader:
        """See ``Checkpointer``."""
        return PostgresReader(self._connection, self._chain)

    def _newest_first(self) -> Iterator[bytes]:
        with PostgresReader(self._connection, self._chain) as reader:
            for block in reader.newest():
                yield from reversed(split_lines(block.data))

    def _read(self, tree: GrowingTree, give_up: Callable[[], bool]) -> None:
        # What is signed must not be lost with the server: it is synced before it is read.
        self._connection.one(_FLUSH)
        end = 0
        with PostgresReader(self._connection, self._chain) as reader:
            for block in after(reader, tree.position):
                if isinstance(block, Flaw):
                    raise CheckpointError("changed", f"{block.part}: {block.note}")
                end += len(block.data)
                tree.feed(block.data, end)
                if give_up():
                    raise CheckpointError("timeout", "the new records were not read in time")
        if not tree.reaches_anchors():
            raise CheckpointError("truncated", "the chain holds fewer records than were signed")


class ServiceChain(NamedTuple):
    """A chain that a service writes, or wrote.

    Attributes:
        name: its id.
        seq: the number of its last record.
    """

    service: str
    tenant: str
    name: str
    seq: int


def live_chains(connection: Connection, chosen: dict[str, str | None]) -> list[ServiceChain]:
    """The chosen chains that have not ended."""
    return _chains(connection, chosen, "live")


def ended_chains(connection: Connection, chosen: dict[str, str | None]) -> list[ServiceChain]:
    """The chosen chains that have ended; only a removal is still appended to them."""
    return _chains(connection, chosen, "ended")


def _chains(connection: Connection, chosen: dict[str, str | None], kind: str) -> list[ServiceChain]:
    query = """\
SELECT service, tenant, chain, seq FROM audit_emit.heads WHERE kind = %s
  AND (%s::text IS NULL OR service = %s) AND (%s::text IS NULL OR tenant = %s)
  AND (%s::text IS NULL OR chain = %s) ORDER BY service, tenant, opened_at, chain"""
    wanted = [value for name in ("service", "tenant", "chain") for value in [chosen[name]] * 2]
    return [ServiceChain(*row) for row in connection.all(query, kind, *wanted)]
