"""``ChainStore`` and ``Mirror``: the interfaces between the outbox (``_core``) and where it writes.

A store takes drafts, which are records without their place in a chain, links them and keeps them.
It knows nothing of events, of redaction, or of earlier failures: order, backlog, bounds and gaps
are the outbox's. ``tests/stores/test_contract.py`` has the tests that every store must pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from audit_emit._format.record import Head, Receipt
from audit_emit._runtime.failure import Counters

if TYPE_CHECKING:
    from audit_emit._stores.clock import Clock

__all__ = [
    "SYNC_SECONDS",
    "ChainStore",
    "Draft",
    "Lent",
    "Linked",
    "Loss",
    "Mirror",
    "StoreHealth",
    "Traits",
]

SYNC_SECONDS = 10.0
"""How long one call waits for a sync; a disk with much to write can take seconds."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A record without its place in a chain.

    Attributes:
        prefix: the text of the record from its opening brace up to member 11, without the closing
            brace (docs/wire-format.md, section 2).
        ns: its ``ts``, in nanoseconds since 1970. A store that finds it equal to the ``ts`` of the
            record before adds 1 ns to both (``record.bump``).
        id: its ``id``, a UUIDv7. A store that does not know whether an append has worked asks for
            it.
        process: the part that all ids of this process have in common (``Clock.process``). In a
            forked child, a store refuses a draft of its parent's as ``forked``: the id is taken.
        own: whether it is about the log itself, as ``audit.gap`` is.
    """

    prefix: str
    ns: int
    id: str
    process: str
    own: bool = False


class Linked(msgspec.Struct, frozen=True, gc=False):
    """A record in its chain.

    Attributes:
        line: as it is kept and mirrored, with its newline.
        chain, seq, hash: its place, and the hash of the line.
        prev: the hash of the record before it.
        id: its ``id``.
        own: whether it is about the log itself.
    """

    line: bytes
    chain: str
    seq: int
    hash: str
    prev: str
    id: str
    own: bool = False


Part = str | tuple[str, str]
"""A record from after the digits of ``ts`` up to the opening of ``id``; with the id, where what is
sealed in it is bound to that."""

Recorded = tuple[Receipt, bytes, bool]
"""The result for a record that is in its chain: receipt, line, and whether the mirror has it."""


Record = Callable[[Part, str, "DirectMirror"], Recorded | None]
"""See ``QuickStore``."""


def nothing_done(_part: Part, _closing: str, _mirror: DirectMirror) -> None:
    """The ``record`` of a store without a fast path: it does nothing, so ``append`` is called."""


class Loss(msgspec.Struct):
    """Events lost in a row: the ``fields`` of one ``audit.gap`` (docs/wire-format.md, 5)."""

    lost: int
    first_ts: str
    last_ts: str
    reason: str
    sink: str


class Traits(NamedTuple):
    """What a kind of store can do; the contract tests ask only for what applies.

    Attributes:
        immediate: whether an append is over within 50 ms whatever happens. If it is not, ``emit``
            leaves its event to a thread (``_core/appender.py``), and that alone calls ``append``.
        shared: whether several processes may extend one chain at the same time.
        durable: whether what was appended is still there when the process is killed.
        leaves_word: whether losses that cannot be declared can be kept for the next process.
        quick: whether it is a ``QuickStore``; only then is its ``record`` used.
    """

    immediate: bool = True
    shared: bool = True
    durable: bool = True
    leaves_word: bool = False
    quick: bool = False


class StoreHealth(msgspec.Struct, kw_only=True):
    """The state of a store, for ``health()`` and for counting.

    Attributes:
        written, own: records that this process has appended, and how many of them about the log.
        taken_away, last_taken_away: how many records others removed from the store, and the ``ts``
            of the last one.
        last_ns: the ``ts`` of the last record in nanoseconds; 0 before there is one.
        chain, seq: the end of the chain; empty and 0 before there is one.
        fault: why the store cannot take a record now, as one word, as far as is known without
            trying.
        unsynced: why what was appended may not survive a loss of power, as one word.
        exclusive: whether processes exclude each other here.
        place: where it is, as ``health()`` shows it (a path, or a URL without credentials).
        durability: ``os``, ``group`` or ``always``.
    """

    written: int = 0
    own: int = 0
    taken_away: int = 0
    last_taken_away: str | None = None
    last_ns: int = 0
    chain: str = ""
    seq: int = 0
    fault: str | None = None
    unsynced: str | None = None
    exclusive: bool = True
    place: str = ""
    durability: str = "os"


class Lent(NamedTuple):
    """What a store gets from its emitter. None of it keeps the emitter alive.

    Attributes:
        own: makes the draft of a record about the log itself.
        started: the fields of ``audit.started``, if this process has not written that record yet,
            else ``None``. The store appends it before the first draft.
        said: called once that record is kept.
        clock: has the ``Draft.process`` of this process.
        counters: where a store counts ends that were no record (``recovered``) and parts that it
            has begun (``rotated``).
    """

    own: Callable[[str, dict[str, Any]], Draft]
    started: Callable[[], dict[str, Any] | None]
    said: Callable[[], object]
    clock: Clock
    counters: Counters


class ChainStore(Protocol):
    """Keeps one chain, and extends it.

    Every method may be called by any thread at any time, and by a signal handler in the middle of
    another call of the same thread; that call is refused as ``re-entrant``. What a signal handler
    raises comes out of every method and leaves nothing half done.
    """

    traits: Traits
    sink: str
    """The name of the store in ``audit.gap`` and in messages about losses, such as ``jsonl``."""

    def attach(self, lent: Lent) -> None:
        """Belong to an emitter. It calls this once, before anything else.

        Raises:
            ConfigError: the store belongs to another emitter.
        """
        ...

    @property
    def unreturned(self) -> bool:
        """Whether there are records that an append of no drafts would return."""
        ...

    def append(self, drafts: list[Draft], deadline: float = 0.0) -> list[Linked]:
        """Link and keep records, in their order.

        Args:
            drafts: each leaves the list once it is in the chain, so that the caller knows what is
                left after an interrupt, too. With none, only what the store has to say of itself
                is written.
            deadline: until when to wait for others (``time.monotonic()``); 0 when this is the first
                wait of a call. An immediate store waits 45 ms then. One that is not immediate may
                take longer than that, whatever the deadline is.

        Returns:
            Everything that was appended since the last call returned, in the order of the chain:
            the drafts, and what the store said of itself before, between and after them (``own``).
            A call that was interrupted, and a sync that had to write records once more, returned
            nothing: their records come first. When the time was over, drafts are left in the list.

        Raises:
            SinkError: the first draft that is left in the list is not in the chain, and why. The
                ``linked`` of the error are the records that this call would have returned.
        """
        ...

    def sync(self, seconds: float = SYNC_SECONDS) -> bool:
        """Make everything appended so far durable, within some seconds; whether it is.

        Raises:
            SinkError: the store cannot be reached.
        """
        ...

    def head(self) -> Head | None:
        """The end of the chain as this process knows it, without asking; ``None`` before that."""
        ...

    def health(self) -> StoreHealth:
        """Its state, without waiting for anything."""
        ...

    def leave_word(self, losses: list[Loss]) -> bool:
        """Keep losses that cannot be declared now, for the next process that opens the store.

        Returns:
            Whether that worked; never where ``traits.leaves_word`` is false.

        Raises:
            SinkError: the store cannot be reached.
        """
        ...

    def is_inside(self) -> bool:
        """Whether this thread is in the middle of a call, and a signal handler asks."""
        ...

    def heal(self) -> None:
        """Release locks that an interrupt left behind between taking and using them."""
        ...

    def close(self, seconds: float = SYNC_SECONDS) -> bool:
        """Sync and close everything; a later append opens it again. Whether all is synced.

        Raises:
            SinkError: another thread is inside, and does not finish.
        """
        ...

    def after_fork(self) -> None:
        """Start anew in a forked child: the parent finishes what it has begun."""
        ...


class QuickStore(Protocol):
    """An immediate store with a fast path for the usual case of an event."""

    record: Record
    """Keeps one event and shows it.

    Args:
        part, closing: the record around its id, as ``Clock.draft`` takes it.
        mirror: where it is shown if that can be done at once.

    Returns:
        What was recorded; ``None`` when nothing was done: then ``append`` does it.
    """


def quick_of(store: Any) -> QuickStore | None:
    """The store itself if it is a ``QuickStore``."""
    return store if store is not None and store.traits.quick else None


class DirectMirror(Protocol):
    """The part of a mirror that ``QuickStore.record`` writes to.

    Attributes:
        fault: why the last line was not shown, as one word; ``None`` while all is well.
        last: the last line that was shown, or begun.
        direct: what the compiled part writes to instead of ``show`` (``nonblocking_fd.Direct``);
            ``None`` where it may not.
        checked: when the descriptor of ``direct`` was last checked (``time.time_ns``).
    """

    fault: str | None
    last: bytes
    checked: int

    @property
    def direct(self) -> tuple[Any, ...] | None: ...


class Nowhere:
    """The ``DirectMirror`` where there is no mirror."""

    fault: str | None = None
    last: bytes = b""
    checked: int = 0
    direct: tuple[Any, ...] | None = None


class Mirror(DirectMirror, Protocol):
    """Shows every line of the chain somewhere else, if there is room for it at once."""

    def show(self, line: bytes) -> bool:
        """Show one line whole or not at all, without waiting for a reader; whether it was shown.

        With the fault ``begun`` a part of it was, and the rest follows with ``finish``.
        """
        ...

    @property
    def is_unfinished(self) -> bool:
        """Whether a line was begun and not given up."""
        ...

    def finish(self) -> bool:
        """Show the rest of a line that was begun; whether none of it is left."""
        ...

    def give_up(self) -> bool:
        """Give up the rest of a line that was begun; whether there was one."""
        ...

    def look(self) -> bool:
        """Whether lines can be shown; clears ``fault`` when they can again."""
        ...

    def after_fork(self) -> None:
        """Start anew in a forked child: the parent writes the rest of its line."""
        ...

    def close(self) -> None:
        """Close the descriptor; the next line opens one again."""
        ...
