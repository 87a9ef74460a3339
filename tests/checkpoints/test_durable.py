"""Files beside a log are there whole, whoever else writes them at the same time."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from audit_emit._checkpoints import durable


def test_the_group_of_the_log_reads_what_is_replaced(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        durable.replace(str(tmp_path / "file"), b"of the signer")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_line_is_not_added_to_one_that_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for data in (b"first\n", b"second\n"):
        durable.append(str(path), data)
    path.write_bytes(path.read_bytes() + b"to")
    durable.append(str(path), b"third\n")
    assert path.read_bytes() == b"first\nsecond\nto\nthird\n"


@pytest.mark.parametrize(("alone", "left"), [(True, b"first\n"), (False, b"first\nse")])
def test_a_part_of_a_line_is_taken_back_where_nobody_else_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bytes, *, alone: bool
) -> None:
    path = tmp_path / "lines"
    durable.append(str(path), b"first\n")

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:2])
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(durable, "write_all", full)
    with pytest.raises(OSError, match="no space"):
        durable.append(str(path), b"second\n", alone=alone)
    assert path.read_bytes() == left
