from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import audit_emit
from audit_emit._readers.files.opening import layout_of


def test_what_a_failing_disk_cannot_tell_is_an_error_and_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a directory would be taken for the file of a log, or a log for one that is not there."""
    whole = os.stat

    def failing(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if path == str(tmp_path):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return whole(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", failing)
    for look in (layout_of, audit_emit.open_log):
        with pytest.raises(OSError, match="Input/output error"):
            look(str(tmp_path))


@pytest.mark.parametrize("name", ["absent", "file/below", "x" * 300])
def test_a_path_with_nothing_at_its_end_is_that_of_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / name)
    assert layout_of(path).active == path
    with pytest.raises(FileNotFoundError):
        audit_emit.open_log(path)
