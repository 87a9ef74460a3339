"""Emit where the interpreter gets no memory: some allocations in a row fail, at every place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from faults.child import environment
from faults.log import Log
from support.failing_allocations import need_failing_allocations
from support.waiting import PATIENCE


@pytest.fixture(autouse=True, scope="module")
def _allocations() -> None:
    need_failing_allocations()


PLACES = 120
SCENE = """
import _testcapi, sys
import audit_emit
log, way, row, places = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
emitter = audit_emit.configure(jsonl=log, durability="os")
if way == "interpreted":
    emitter.store.record = lambda *_: None
for number in (-2, -1):
    audit_emit.emit(None, "life.event", {"n": number})
given = [{"n": number} for number in range(places)]
raised = []
for number in range(places):
    _testcapi.set_nomemory(number + 1, number + 1 + row)
    try:
        audit_emit.emit(None, "life.event", given[number])
    except BaseException as error:
        raised.append((number, error))
    finally:
        _testcapi.remove_mem_hooks()
assert not raised, raised
assert emitter.flush(20)
emitter.close(20)
"""


def play(path: Path, way: str, row: int) -> list[dict[str, Any]]:
    """What a process shows in which ``row`` allocations fail."""
    arguments = [str(path / "audit.jsonl"), way, str(row), str(PLACES)]
    done = subprocess.run(
        [sys.executable, "-c", SCENE, *arguments],
        env=environment(),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.splitlines()
    return [json.loads(line.removeprefix(b"audit: ")) for line in lines]


@pytest.mark.parametrize("row", [1, 2, 3])
@pytest.mark.parametrize("way", ["as installed", "interpreted"])
@pytest.mark.untraced
def test_every_event_is_recorded_or_said_to_have_been_lost(
    way: str, row: int, tmp_path: Path
) -> None:
    play(tmp_path, way, row)
    records = Log(tmp_path).check(twice=True).records
    events = [one for one in records if not one["event_type"].startswith("audit.started")]
    full = {one["fields"]["n"] for one in events if "n" in one["fields"]}
    lossy = Counter(one["fields"]["_lossy"] for one in events if "_lossy" in one["fields"])
    assert set(lossy) <= {"MemoryError"}
    assert len(full & set(range(PLACES))) + lossy["MemoryError"] >= PLACES
