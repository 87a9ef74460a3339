"""An emitter in each of the states from which ``emit`` takes another way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from support.interpreted_emitter import interpreted
from support.jsonl_store import store_of

from audit_emit import Emitter

Work = Callable[[Emitter], object]


def make(path: Path) -> Emitter:
    """An emitter without threads, whose segments are small."""
    emitter = Emitter(service="faults", jsonl=path, stdout=False, durability="os", max_bytes=4096)
    interpreted(emitter)
    emitter.outbox.go_on = lambda: None  # type: ignore[method-assign]
    emitter.emit(None, "life.event", {"n": -1})
    return emitter


def steady(emitter: Emitter) -> None:
    """The path of almost every call; what is cached is in the cache."""
    emitter.emit(None, "life.before", {"w": 0})


def first(emitter: Emitter) -> None:
    """The file has to be opened."""
    steady(emitter)
    emitter.close()


def drains(emitter: Emitter) -> None:
    """Something waits."""
    steady(emitter)
    assert emitter.store is not None
    section = store_of(emitter).section
    with patch.object(section, "lock_slowly", side_effect=OSError), section.mutex:
        section.busy = True
        assert emitter.emit(None, "life.waits", {}) is None
        section.busy = False
    assert emitter.outbox.backlog.waiting


def rotates(emitter: Emitter) -> None:
    """The segment is full."""
    segment = store_of(emitter).segment
    segment.max_bytes = 4096
    steady(emitter)
    emitter.emit(None, "life.fills", {"w": 1})
    segment.max_bytes = segment.size + 1
    assert segment.seq > segment.rotate_from


def torn(emitter: Emitter) -> None:
    """Somebody was killed in the middle of a write."""
    steady(emitter)
    assert emitter.settings.jsonl is not None
    with Path(emitter.settings.jsonl).open("ab") as file:
        file.write(b'{"ts":"torn')


STATES: dict[str, Work] = {work.__name__: work for work in (steady, first, drains, rotates, torn)}
