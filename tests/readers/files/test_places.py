"""A record is found by its number without reading the file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from support.chain_builder import MadeChain

from audit_emit._readers.files.places import find_seq, last_record

COUNT = 4000
LINES = MadeChain().add(COUNT, fields={"pad": "x" * 200}).lines


def found(path: Path, seq: int) -> tuple[int, bytes] | None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        one = find_seq(descriptor, os.fstat(descriptor).st_size, seq)
    finally:
        os.close(descriptor)
    return None if one is None else (one.offset, one.line)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("places") / "audit.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in LINES))
    return path


@pytest.mark.parametrize("seq", [1, 2, 3, 1999, 2000, COUNT - 1, COUNT])
def test_each_is_found(log: Path, seq: int) -> None:
    offset = sum(len(line) + 1 for line in LINES[: seq - 1])
    assert found(log, seq) == (offset, LINES[seq - 1])


def test_any_is_found(log: Path) -> None:
    for seq in random.Random(7).sample(range(1, COUNT + 1), 200):
        there = found(log, seq)
        assert there is not None
        assert there[1] == LINES[seq - 1]


@pytest.mark.parametrize("seq", [0, COUNT + 1, 10**18])
def test_what_is_not_there_is_not_found(log: Path, seq: int) -> None:
    assert found(log, seq) is None


def test_few_bytes_are_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    pread = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(descriptor, size, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counting)
    assert found(log, 1234) is not None
    assert read < 700_000 < log.stat().st_size


def test_foreign_lines_and_long_ones_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    chooser = random.Random(5)
    with path.open("wb") as file:
        for number, line in enumerate(LINES):
            if number % 97 == 0:
                file.write(chooser.randbytes(3000).replace(b"\n", b" ") + b"\n")
            if number in (1000, 3000):
                file.write(b"y" * 3_000_000 + b"\n\n\n")
            file.write(line + b"\n")
        file.write(b"torn")
    for seq in (1, 98, 1000, 1001, 1002, 2999, 3000, 3001, COUNT):
        there = found(path, seq)
        assert there is not None, seq
        assert there[1] == LINES[seq - 1]
    assert found(path, COUNT + 1) is None


def test_a_file_of_one_endless_line_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"z" * 5_000_000)
    assert found(path, 1) is None


@pytest.mark.parametrize(
    "after",
    [b"", b"\n" * 300_000, b"z" * 3_000_000, b"z" * 3_000_000 + b"\n", b"{}\n" * 50_000 + b"torn"],
)
@pytest.mark.parametrize("count", [0, 1, 700])
def test_the_last_record_is_found_whatever_follows(
    tmp_path: Path, after: bytes, count: int
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in LINES[:count]) + after)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        last = last_record(descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)
    if count:
        assert last is not None
        offset = sum(len(line) + 1 for line in LINES[: count - 1])
        assert last == (offset, LINES[count - 1], count)
    else:
        assert last is None
