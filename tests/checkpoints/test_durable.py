"""Files beside a log are there whole, whoever else writes them at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audit_emit._checkpoints import durable


def test_two_that_replace_a_file_at_once_do_not_take_each_other_s_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "file")
    synced = os.fsync

    def meanwhile(descriptor: int) -> None:
        synced(descriptor)
        monkeypatch.setattr(os, "fsync", synced)
        durable.replace(path, b"of the other")

    monkeypatch.setattr(os, "fsync", meanwhile)
    durable.replace(path, b"of the first")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"of the first"]


def test_what_could_not_be_written_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    durable.replace(str(path), b"before")

    def full(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        durable.replace(str(path), b"after")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]


def test_a_line_is_not_added_to_one_that_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for data in (b"first\n", b"second\n"):
        durable.append(str(path), data)
    path.write_bytes(path.read_bytes() + b"to")
    durable.append(str(path), b"third\n")
    assert path.read_bytes() == b"first\nsecond\nto\nthird\n"
