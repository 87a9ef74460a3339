"""What is read of an archived object: nothing that is elsewhere, and no more than is signed."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Never

import pytest
from support.chain_builder import MadeChain
from support.waiting import PATIENCE

from audit_emit._format.record import head_of
from audit_emit._readers.archived.cutting import before
from audit_emit._readers.base import UNREAD, Block, Flaw, ProvedBlock, Prover
from audit_emit._readers.files.logfiles import Log, LogFile
from audit_emit._readers.files.parts import PART
from audit_emit._readers.files.reader import FilesReader
from audit_emit.errors import ArchiveError

LINES = MadeChain().add(40).lines
FOREIGN = [b"", b"foreign", *LINES[:20], b"foreign", *LINES[20:], b""]


def packed(directory: Path, data: bytes, end: int = -1) -> LogFile:
    """A file that is kept elsewhere."""
    path = directory / "object.gz"
    path.write_bytes(gzip.compress(data))
    last = head_of(LINES[-1])
    return LogFile(
        str(path),
        (-1, 1),
        path.stat().st_size,
        "gzip",
        first_seq=1,
        fetch=lambda: os.open(path, os.O_RDONLY),
        last=last,
        end=end,
    )


def read(file: LogFile) -> bytes:
    with FilesReader(Log("log", [file], "")) as reader:
        return b"".join(block.data for block in reader.blocks() if isinstance(block, Block))


@pytest.mark.parametrize("lines", [LINES, FOREIGN], ids=["records", "and others"])
@pytest.mark.parametrize("seq", [1, 2, 20, 21, 40, 41])
def test_a_file_ends_before_the_record_that_is_elsewhere(
    tmp_path: Path, lines: list[bytes], seq: int
) -> None:
    file = packed(tmp_path, b"".join(line + b"\n" for line in lines))
    found = read(before(file, seq)).splitlines()
    end = lines.index(LINES[seq - 1]) if seq <= len(LINES) else len(lines)
    assert found == lines[:end]


def test_no_more_is_unpacked_than_a_manifest_says(tmp_path: Path) -> None:
    """A few kilobytes may unpack to gigabytes; who forged them also forged the hashes of them."""
    data = LINES[0] + b"\n"
    bomb = packed(tmp_path, data + bytes(1 << 24), end=len(data))
    assert read(bomb) == data


def test_other_processes_bring_and_prove_what_is_kept_elsewhere(tmp_path: Path) -> None:
    """No more of it than is signed, and nothing of it is brought here."""
    data = b"".join(line + b"\n" for line in LINES)
    kept = packed(tmp_path, data + b"more\n", end=len(data))
    file = kept._replace(
        size=PART,
        fetch=lambda: pytest.fail("it is brought a second time"),
        ahead=lambda: partial(os.open, kept.path, os.O_RDONLY),
    )
    with FilesReader(Log("log", [file], "")) as reader:
        begin, *found = reader.proved(Prover(), 2)
    assert isinstance(begin, Block)
    assert sum(one.size for one in found if isinstance(one, ProvedBlock)) == len(data)
    assert len(found) == 1


def test_nothing_is_brought_ahead_that_may_not_be_brought(tmp_path: Path) -> None:
    """Who reads it in its order asks again, as a key may be known by then, and tells it."""

    def refused() -> Never:
        raise ArchiveError("unvouched", "no key that is given vouches for it")

    file = packed(tmp_path, b"")._replace(size=PART, fetch=refused, ahead=refused)
    with FilesReader(Log("log", [file], "")) as reader:
        *_, last = reader.proved(Prover(), 2)
    assert isinstance(last, Flaw)
    assert last.kind == UNREAD


def killed() -> Never:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def test_what_a_process_was_to_bring_that_was_killed_is_read_here(tmp_path: Path) -> None:
    data = b"".join(line + b"\n" for line in LINES)
    kept = packed(tmp_path, data)
    files = [kept._replace(size=PART, path=name, ahead=lambda: killed) for name in "abc"]
    with FilesReader(Log("log", files, "")) as reader:
        found = [one.data for one in reader.proved(Prover(), 2) if isinstance(one, Block)]
    assert b"".join(found) == 3 * data


ORPHANED = """
import os, signal, sys
from functools import partial
from audit_emit._readers.base import Block, Prover
from audit_emit._readers.files.logfiles import Log, LogFile
from audit_emit._readers.files.parts import PART
from audit_emit._readers.files.reader import FilesReader
path = sys.argv[1]
bring = partial(os.open, path, os.O_RDONLY)
one = LogFile(path, (-1, 1), PART, "gzip", fetch=bring, ahead=lambda: bring)
with FilesReader(Log("log", [one, one._replace(path="b")], "")) as reader:
    for found in reader.proved(Prover(), 2):
        if not isinstance(found, Block):
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_process_stays_behind_whose_parent_was_killed(tmp_path: Path) -> None:
    """Each of them has the pipe of standard output, which has an end when all have ended."""
    kept = packed(tmp_path, b"".join(line + b"\n" for line in LINES))
    run = [sys.executable, "-c", ORPHANED, kept.path]
    ended = subprocess.run(run, stdout=subprocess.PIPE, timeout=PATIENCE, check=False)
    assert ended.returncode == -signal.SIGKILL


def test_no_more_processes_begin_than_there_are_parts(tmp_path: Path) -> None:
    kept = packed(tmp_path, b"".join(line + b"\n" for line in LINES))
    bring = partial(os.open, kept.path, os.O_RDONLY)
    files = [kept._replace(size=PART, path=name, ahead=lambda: bring) for name in "ab"]
    before_it = set(multiprocessing.active_children())
    with FilesReader(Log("log", files, "")) as reader:
        for one in reader.proved(Prover(), 40):
            if isinstance(one, ProvedBlock):
                assert 0 < len(set(multiprocessing.active_children()) - before_it) <= 2
    assert isinstance(one, ProvedBlock)
    assert set(multiprocessing.active_children()) <= before_it


def test_what_may_not_be_brought_yet_is_when_a_file_before_it_names_the_key(tmp_path: Path) -> None:
    kept = packed(tmp_path, b"".join(line + b"\n" for line in LINES))
    bring = partial(os.open, kept.path, os.O_RDONLY)
    named: list[bool] = []

    def first() -> int:
        named.append(True)
        return bring()

    def ahead() -> Callable[[], int]:
        if not named:
            raise ArchiveError("unvouched", "no key that is known so far vouches for it")
        return bring

    one = kept._replace(size=PART, path="a", fetch=first, ahead=ahead)
    two = one._replace(path="b", fetch=lambda: pytest.fail("it is not brought ahead"))
    with FilesReader(Log("log", [one, two], "")) as reader:
        found = list(reader.proved(Prover(), 2))
    assert isinstance(found[-1], ProvedBlock)
    assert found[-1].part == "b"
