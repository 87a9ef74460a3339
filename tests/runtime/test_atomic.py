"""A file is replaced whole, or stays as it was."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from audit_emit._runtime.atomic import replace_file


def test_two_that_replace_a_file_at_once_do_not_take_each_other_s_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    synced = os.fsync

    def meanwhile(descriptor: int) -> None:
        synced(descriptor)
        monkeypatch.setattr(os, "fsync", synced)
        replace_file(path, b"of the other")

    monkeypatch.setattr(os, "fsync", meanwhile)
    replace_file(path, b"of the first")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"of the first"]


def test_what_could_not_be_written_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    replace_file(path, b"before")

    def full(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        replace_file(path, b"after")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"before"]


def test_a_name_that_is_perhaps_not_durable_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    synced = os.fsync

    def broken(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        replace_file(path, b"after")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"after"]


def test_nobody_else_reads_it_by_default(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"ours")
    assert path.stat().st_mode & 0o777 == 0o600
