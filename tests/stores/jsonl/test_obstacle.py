from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from audit_emit._stores.jsonl.directory import Layout
from audit_emit._stores.jsonl.obstacle import obstacle

root = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def found(path: Path) -> str | None:
    return obstacle(Layout.of(str(path)))


def test_a_path_that_can_be_made_has_none_and_is_not_made(tmp_path: Path) -> None:
    assert found(tmp_path / "not" / "yet" / "audit.jsonl") is None
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_there_has_none(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch()
    (tmp_path / "audit.jsonl.lock").touch()
    assert found(tmp_path / "audit.jsonl") is None


def a_directory(path: Path) -> None:
    path.mkdir()


def a_link(path: Path) -> None:
    path.symlink_to("elsewhere")


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["audit.jsonl", "audit.jsonl.lock"])
@pytest.mark.parametrize(
    ("make", "word"), [(a_directory, "EISDIR"), (a_link, "ELOOP"), (a_fifo, "OSError")]
)
def test_what_is_no_file_is_in_the_way(
    name: str, make: Callable[[Path], None], word: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    assert found(tmp_path / "audit.jsonl") == word


def test_a_directory_that_is_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    assert found(tmp_path / "logs" / "audit.jsonl") == "ENOTDIR"
    assert found(tmp_path / "logs" / "more" / "audit.jsonl") == "ENOTDIR"


def test_a_directory_that_is_a_link_to_nowhere_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "logs").symlink_to("nowhere")
    assert found(tmp_path / "logs" / "audit.jsonl") == "ENOENT"


def test_a_link_to_a_directory_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "logs").symlink_to("real")
    assert found(tmp_path / "logs" / "audit.jsonl") is None


@root
@pytest.mark.parametrize("mode", [0o500, 0o600])
def test_a_directory_without_the_rights_is_in_the_way(mode: int, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=mode)
    assert found(tmp_path / "logs" / "audit.jsonl") == "EACCES"
    (tmp_path / "logs").chmod(0o700)


@root
def test_a_file_without_the_rights_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch(mode=0o400)
    assert found(tmp_path / "audit.jsonl") == "EACCES"


def test_a_right_that_the_user_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert found(tmp_path / "audit.jsonl") == "EACCES"


def test_a_read_only_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(os, "statvfs", lambda _: ReadOnly())
    assert found(tmp_path / "audit.jsonl") == "EROFS"
