"""A chain in memory: the smallest store, for tests, and as an example for a new store.

Several stores of one ``Chain`` extend it together, as processes extend a file.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from audit_emit._format.record import Head, bump, chain_line, ts_of
from audit_emit._stores.base import (
    SYNC_SECONDS,
    Draft,
    Lent,
    Linked,
    Loss,
    StoreHealth,
    Traits,
)
from audit_emit.errors import ConfigError, SinkError

__all__ = ["Chain", "MemoryStore"]

_ZERO = "0" * 64
_WAIT_SECONDS = 0.045


class Chain:
    """Records in memory.

    Attributes:
        lines: of the whole chain.
        full: whether it takes nothing, as a full disk does.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.full: bool = False
        self.head: Head = Head(os.urandom(8).hex(), 0, _ZERO, "")
        self.last_ns: int = 0
        self.lock: Any = threading.RLock()


class MemoryStore:
    """See ``ChainStore`` for its methods.

    Args:
        chain: what it extends; a new one by default.
    """

    traits: Traits = Traits(shared=False, durable=False)
    sink: str = "memory"
    _lent: Lent | None = None

    def __init__(self, chain: Chain | None = None) -> None:
        self.chain: Chain = chain or Chain()
        self._records: list[Linked] = []
        self._inside = False
        self._announced = False
        self._written = self._own = 0

    def attach(self, lent: Lent) -> None:
        """Belong to an emitter."""
        if self._lent is not None:
            raise ConfigError(
                "store", "belongs to another emitter; make one of the same Chain for each"
            )
        self._lent = lent

    @property
    def unreturned(self) -> bool:
        """Whether there are records that an append of no drafts would return."""
        return bool(self._records)

    def append(self, drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:  # noqa: ARG002 - it waits for nobody for long
        """Link and keep records."""
        chain = self.chain
        if not chain.lock.acquire(timeout=_WAIT_SECONDS):
            raise SinkError("lock-timeout")
        try:
            if self._inside:
                raise SinkError("re-entrant")
            self._inside = True
            try:
                self._append_all(drafts)
            finally:
                self._inside = False
        finally:
            chain.lock.release()
        records, self._records = self._records, []
        return records

    def _append_all(self, drafts: list[Draft]) -> None:
        lent = self._lent
        if lent is None:
            raise SinkError("no-emitter")
        if not self._announced:
            started = lent.started()
            if started is not None:
                self._link(lent.own("audit.started", started))
            self._announced = True
            lent.said()
        while drafts:
            if drafts[0].process is not lent.clock.process:
                raise SinkError("forked", self._taken())
            self._link(drafts[0])
            del drafts[0]

    def _link(self, draft: Draft) -> None:
        chain = self.chain
        if chain.full:
            raise SinkError("ENOSPC", self._taken())
        prefix, ns = draft.prefix, draft.ns
        if ns == chain.last_ns:
            prefix, ns = bump(prefix), ns + 1
        name, seq, before, _ = chain.head
        text, digest = chain_line(prefix, name, seq + 1, before)
        line = text.encode()
        self._records.append(Linked(line, name, seq + 1, digest, before, draft.id, draft.own))
        chain.lines.append(line)
        chain.head, chain.last_ns = Head(name, seq + 1, digest, ts_of(ns)), ns
        self._written += 1
        self._own += draft.own

    def _taken(self) -> list[Linked]:
        records, self._records = self._records, []
        return records

    def sync(self, seconds: float = SYNC_SECONDS) -> bool:  # noqa: ARG002
        """Do nothing: a chain in memory cannot be made durable."""
        return True

    def head(self) -> Head | None:
        """The end of the chain."""
        return self.chain.head if self.chain.head.seq else None

    def health(self) -> StoreHealth:
        """Its state."""
        head = self.chain.head
        return StoreHealth(
            written=self._written,
            own=self._own,
            last_ns=self.chain.last_ns,
            chain=head.chain if head.seq else "",
            seq=head.seq,
            fault="ENOSPC" if self.chain.full else None,
            place="memory",
        )

    def leave_word(self, losses: list[Loss]) -> bool:  # noqa: ARG002
        """Leave nothing: the chain ends with its process."""
        return False

    def is_inside(self) -> bool:
        """Whether this thread is in the middle of a call."""
        return self._inside and bool(self.chain.lock._is_owned())  # noqa: SLF001 - nothing public tells

    def heal(self) -> None:
        """Give back a lock that an interrupt left behind."""
        if not self._inside and self.chain.lock._is_owned():  # noqa: SLF001
            self.chain.lock.release()

    def close(self, seconds: float = SYNC_SECONDS) -> bool:  # noqa: ARG002
        """Do nothing: there is nothing to close."""
        return True

    def after_fork(self) -> None:
        """A child has a copy of the chain: what it appends goes into a chain of its own."""
        self.chain = Chain()
        self._records = []
        self._inside = self._announced = False
        self._written = self._own = 0
