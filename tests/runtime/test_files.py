"""Files of our own: their names are made durable, where the file system can do that."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from support.open_descriptors import opened

from audit_emit._runtime.files import sync_directory


def test_a_fifo_in_the_place_of_the_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    sync_directory(str(tmp_path / "fifo"))
    assert opened(tmp_path) == []


@pytest.mark.parametrize("must", [False, True])
def test_a_file_system_that_syncs_no_directory_is_left_alone(tmp_path: Path, must: bool) -> None:
    sync_directory(str(tmp_path), must=must)
    sync_directory(str(tmp_path / "none"), must=must)
    sync_directory("/proc/self", must=must)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_is_an_error_where_the_name_must_be_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def failing(_: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", failing)
    sync_directory(str(tmp_path))
    with pytest.raises(OSError):
        sync_directory(str(tmp_path), must=True)
    assert opened(tmp_path) == []
