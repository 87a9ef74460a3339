"""Which lines the group commit hears of."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audit_emit._stores.jsonl.durability import Durability


def test_the_line_after_lines_whose_sync_was_interrupted_is_heard_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durability = Durability("group", str(tmp_path))
    woken: list[int] = []

    def wake() -> bool:
        woken.append(1)
        return True

    assert durability.group is not None
    assert durability.lines is not None
    monkeypatch.setattr(durability.group, "wake", wake)
    section: Any = SimpleNamespace(mutex=threading.RLock(), segment=SimpleNamespace(descriptor=-1))
    durability.serve(section)
    durability.note(b"1\n")
    durability.note(b"2\n")
    assert len(woken) == 1

    def take() -> None:
        assert durability.lines is not None
        durability.lines.clear()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        durability._duplicate(take, 1.0)
    durability.note(b"3\n")
    assert len(woken) == 2
