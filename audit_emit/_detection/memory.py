"""What an engine remembers, as a value that a file can hold, and back again. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from audit_emit._detection.engine import Engine
from audit_emit._detection.groups import Key
from audit_emit._detection.watcher import Watcher
from audit_emit._detection.watchers import NOT_BEGUN, FirstSeen, Silence


class Remembered(msgspec.Struct):
    """What one correlation remembers.

    Attributes:
        groups: each with its name, those that were not seen for longest first.
        forgotten: see ``Groups``.
        begun: see ``FirstSeen``; 0 for others, and where nothing was seen.
    """

    groups: msgspec.Raw
    forgotten: int
    begun: int = 0


class Memory(msgspec.Struct):
    """What an engine remembers.

    Attributes:
        watchers: by the names of their rules.
        last_ts, last_ns, steps, forgotten: see ``Engine``.
    """

    watchers: dict[str, Remembered]
    last_ts: str
    last_ns: int
    steps: tuple[int, int]
    forgotten: list[str]


def memory_of(engine: Engine) -> Memory:
    """What it remembers now."""
    return Memory(
        watchers={name: _kept(one) for name, one in engine.watchers.items()},
        last_ts=engine.last_ts.decode("ascii", "replace"),
        last_ns=engine.last_ns,
        steps=engine.steps,
        forgotten=sorted(engine.forgotten),
    )


def _kept(watcher: Watcher) -> Remembered:
    rows = msgspec.json.encode(list(watcher.groups.table.items()))
    begun = watcher.begun if isinstance(watcher, FirstSeen) else NOT_BEGUN
    return Remembered(
        msgspec.Raw(rows), watcher.groups.forgotten, 0 if begun == NOT_BEGUN else begun
    )


def restore(engine: Engine, memory: Memory) -> None:
    """Load this into an engine with the same rules.

    Raises:
        msgspec.ValidationError: it is not what an engine remembers.
    """
    engine.last_ts = memory.last_ts.encode()
    engine.last_ns = memory.last_ns
    engine.steps = memory.steps
    engine.forgotten = set(memory.forgotten)
    for name, watcher in engine.watchers.items():
        kept = memory.watchers.get(name)
        if kept is None:
            raise msgspec.ValidationError(f"nothing is remembered of {name}")
        rows: list[tuple[Key, Any]] = msgspec.json.decode(
            kept.groups,
            type=list[tuple[Key, watcher.state]],  # type: ignore[name-defined]
        )
        for key, state in rows:
            watcher.groups.add(key, state)
        watcher.groups.forgotten = kept.forgotten
        if isinstance(watcher, FirstSeen):
            watcher.begun = kept.begun or NOT_BEGUN
        if isinstance(watcher, Silence):
            watcher.wait_again()
    engine.wait()
