from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from support.open_descriptors import opened

from audit_emit._stores.jsonl.directory import (
    Layout,
    make_directory,
    open_file,
    read_closed,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


def test_the_names_of_one_directory() -> None:
    layout = Layout.of("/logs/audit.jsonl")
    assert layout.directory == "/logs"
    assert layout.active == "/logs/audit.jsonl"
    assert layout.lock == "/logs/audit.jsonl.lock"
    assert layout.closed(7) == "/logs/audit-00000000000000000007.jsonl"


@pytest.mark.parametrize(
    ("path", "closed"),
    [
        ("/logs/secrets", "/logs/secrets-00000000000000000001"),
        ("/logs/a.b.log", "/logs/a.b-00000000000000000001.log"),
        ("/audit.jsonl", "/audit-00000000000000000001.jsonl"),
    ],
)
def test_other_names(path: str, closed: str) -> None:
    assert Layout.of(path).closed(1) == closed


def test_closed_segments_are_found_oldest_first_and_nothing_else(tmp_path: Path) -> None:
    layout = Layout.of(str(tmp_path / "audit.jsonl"))
    wanted = [layout.closed(number) for number in (1, 2, 10, 10**19)]
    for path in reversed(wanted):
        Path(path).touch()
    for name in (
        "audit.jsonl",
        "audit.jsonl.lock",
        "audit.jsonl.new",
        "audit-1.jsonl",
        "audit-00000000000000000003.jsonl.gz",
        "audit-00000000000000000003xjsonl",
        "other-00000000000000000003.jsonl",
        "checkpoints.jsonl",
    ):
        (tmp_path / name).touch()
    assert layout.closed_segments() == wanted


def test_a_name_that_is_a_pattern_is_only_a_name(tmp_path: Path) -> None:
    layout = Layout.of(str(tmp_path / "a[.]*+.jsonl"))
    Path(layout.closed(1)).touch()
    (tmp_path / "axx-00000000000000000001.jsonl").touch()
    assert layout.closed_segments() == [layout.closed(1)]


def test_a_directory_that_is_missing_holds_no_segments(tmp_path: Path) -> None:
    assert Layout.of(str(tmp_path / "none" / "audit.jsonl")).closed_segments() == []


def test_a_file_is_made_for_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    number = open_file(str(path), append=True)
    os.write(number, b"1")
    os.lseek(number, 0, os.SEEK_SET)
    os.write(number, b"2")
    assert not os.get_inheritable(number)
    os.close(number)
    assert mode(path) == 0o640
    assert path.read_bytes() == b"12"


def test_a_file_that_is_there_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"kept")
    path.chmod(0o600)
    os.close(open_file(str(path), append=True))
    assert (path.read_bytes(), mode(path)) == (b"kept", 0o600)


def test_a_file_that_must_be_new(tmp_path: Path) -> None:
    path = str(tmp_path / "audit.jsonl")
    os.close(open_file(path, append=True, exclusive=True))
    with pytest.raises(FileExistsError):
        open_file(path, append=True, exclusive=True)


@pytest.mark.parametrize("target", ["file", "nothing"])
def test_a_symbolic_link_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(OSError, match="symbolic links"):
        open_file(str(tmp_path / "link"), append=True)
    assert not (tmp_path / "nothing").exists()


def test_a_fifo_is_refused_without_waiting_for_its_other_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        open_file(str(tmp_path / "fifo"), append=True)
    assert opened(tmp_path) == []


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_file(str(tmp_path), append=True)


def test_directories_are_made_for_their_owner_and_group(tmp_path: Path) -> None:
    make_directory(str(tmp_path / "a" / "b" / "c"))
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o750] * 3
    make_directory(str(tmp_path / "a" / "b" / "c"))


def test_a_file_in_the_way_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_directory(str(tmp_path / "file" / "logs"))


def test_a_fifo_in_the_place_of_a_closed_segment_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert read_closed(str(tmp_path / "fifo")) is None
    assert opened(tmp_path) == []


def test_a_directory_and_a_socket_in_the_place_of_a_closed_segment(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))
    assert read_closed(str(tmp_path / "socket")) is None
    assert read_closed(str(tmp_path)) is None
