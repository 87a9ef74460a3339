"""Files of our own: their names are made durable, and that never fails."""

from __future__ import annotations

import os
from pathlib import Path

from support.open_descriptors import opened

from audit_emit._runtime.files import sync_directory


def test_a_fifo_in_the_place_of_the_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    sync_directory(str(tmp_path / "fifo"))
    assert opened(tmp_path) == []


def test_syncing_a_directory_never_fails(tmp_path: Path) -> None:
    sync_directory(str(tmp_path))
    sync_directory(str(tmp_path / "none"))
    sync_directory("/proc/self")
