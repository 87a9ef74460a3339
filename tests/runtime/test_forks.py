"""A child of any fork has a life of its own from its first event on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.child import environment
from support.plain_log_reader import chain_ok
from support.waiting import PATIENCE

from audit_emit._runtime import forks as _forks
from audit_emit._runtime.compiled import SWITCH

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

HOOK_BEFORE_OURS = """
import os, sys
os.register_at_fork(after_in_child=lambda: emit(None, "in.hook"))
from audit_emit import configure, emit, flush
configure(jsonl=sys.argv[1], stdout=False)
def fork(): return os.fork()
"""
UNTOLD = """
import ctypes, os, sys
from audit_emit import configure, emit, flush
configure(jsonl=sys.argv[1], stdout=False, durability="os")
fork = ctypes.PyDLL(None).fork
"""
# Where another thread waits for the interpreter's lock at the moment of such a fork, the child of
# any program hangs: it hands the lock to a thread that it does not have. So no thread syncs here.
FORKS = """
for _ in range(20):
    emit(None, "in.parent", {"n": 1})
for _ in range(8):
    if (pid := fork()) == 0:
        for _ in range(3):
            emit(None, "in.child", {"n": 1})
        os._exit(0 if flush(100) else 1)
    for _ in range(3):
        emit(None, "in.parent", {"n": 1})
    assert os.waitpid(pid, 0)[1] == 0
assert flush(100)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("speedups", ["1", "0"])
@pytest.mark.parametrize("fork", [HOOK_BEFORE_OURS, UNTOLD])
def test_no_id_is_used_twice_and_the_chain_is_one(fork: str, speedups: str, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    command = [sys.executable, "-c", fork + FORKS, str(log)]
    subprocess.run(command, env=environment(**{SWITCH: speedups}), check=True, timeout=PATIENCE)
    found = chain_ok(log)
    kinds = [one["event_type"] for one in found]
    assert len({one["id"] for one in found}) == len(found)
    assert (kinds.count("in.child"), kinds.count("in.parent")) == (24, 44)
    assert kinds.count("in.hook") == (8 if fork is HOOK_BEFORE_OURS else 0)
    assert "audit.gap" not in kinds


def test_the_process_is_the_same_until_it_is_another() -> None:
    asked = _forks._ProcessId()
    assert asked[0]
    if (pid := os.fork()) == 0:
        before = asked[0], _forks.SAME[0]
        asked[0] = 1
        # Python has told of this fork, so that the page is written again.
        os._exit(0 if before == (0, 1) and asked[0] else 1)
    assert os.waitpid(pid, 0)[1] == 0
