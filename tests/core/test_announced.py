"""What is said once by a process and the children that it forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.plain_log_reader import chain_ok
from support.waiting import PATIENCE

from audit_emit._core.announced import SharedDigests

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PARENT = """
import os, sys
from audit_emit import Emitter, configure, emit, flush
log = sys.argv[1]

def child(work):
    if (pid := os.fork()) == 0:
        work()
        os._exit(0 if flush(20) else 1)
    assert os.waitpid(pid, 0)[1] == 0

def task(**settings):
    if settings:
        configure(jsonl=log, stdout=False, **settings)
    emit(None, "task.done")
"""


def said(tmp_path: Path, code: str) -> int:
    """How many ``audit.started`` a program leaves."""
    log = tmp_path / "audit.jsonl"
    command = [sys.executable, "-c", PARENT + code, str(log)]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return [one["event_type"] for one in chain_ok(log)].count("audit.started")


def test_a_parent_that_has_said_it_speaks_for_its_children(tmp_path: Path) -> None:
    code = "configure(jsonl=log, stdout=False); task(); [child(task) for _ in range(5)]"
    assert said(tmp_path, code) == 1


def test_so_does_the_first_child_of_a_parent_that_writes_nothing(tmp_path: Path) -> None:
    code = "configure(jsonl=log, stdout=False); [child(task) for _ in range(5)]"
    assert said(tmp_path, code) == 1


def test_children_that_configure_the_same_say_it_once(tmp_path: Path) -> None:
    code = (
        "keep = Emitter(jsonl='off', stdout=False)\n"
        "[child(lambda: task(service='web')) for _ in range(5)]"
    )
    assert said(tmp_path, code) == 1


def test_another_configuration_is_said(tmp_path: Path) -> None:
    code = (
        "task(service='a'); child(lambda: task(service='b')); child(lambda: task(service='b'))\n"
        "child(task)"
    )
    assert said(tmp_path, code) == 2


def test_a_new_chain_begins_with_it(tmp_path: Path) -> None:
    code = (
        "configure(jsonl=log, stdout=False); task(); flush()\n"
        "def gone():\n"
        "    for name in os.listdir(os.path.dirname(log)):\n"
        "        os.unlink(os.path.join(os.path.dirname(log), name))\n"
        "    task()\n"
        "child(gone)"
    )
    assert said(tmp_path, code) == 1


def test_the_process_that_forks_speaks_for_itself() -> None:
    told = SharedDigests()
    told.add(b"x" * 32)
    assert b"x" * 32 not in told
    told.inherit()
    assert b"x" * 32 in told
    assert b"y" * 32 not in told


def test_what_a_child_adds_its_siblings_find() -> None:
    told = SharedDigests()
    told.share()
    for digest in (b"a" * 32, b"b" * 32):
        if (pid := os.fork()) == 0:
            told.add(digest)
            os._exit(0)
        os.waitpid(pid, 0)
    told.inherit()
    assert b"a" * 32 in told
    assert b"b" * 32 in told


def test_what_finds_no_room_is_said_again() -> None:
    told = SharedDigests()
    told.share()
    digests = [number.to_bytes(2, "big") * 8 for number in range(1, 301)]
    if (pid := os.fork()) == 0:
        for digest in digests:
            told.add(digest)
        os._exit(0)
    os.waitpid(pid, 0)
    told.inherit()
    assert digests[0] in told
    assert digests[-1] not in told
