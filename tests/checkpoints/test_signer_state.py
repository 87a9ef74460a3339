"""What a signer reads back of its own files: bounded, however long they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_emit._checkpoints.ordered_segments import blocks, open_segments
from audit_emit._checkpoints.signer_state import SignerFiles
from audit_emit._readers.files.regular import open_regular
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import CheckpointError


@pytest.mark.parametrize("name", ["checkpoints.jsonl", "checkpoints.state"])
def test_nobody_waits_for_a_named_pipe(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    records = SignerFiles(Layout.of(str(tmp_path / "audit.jsonl")))
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(str(tmp_path / name))
    with pytest.raises(OSError, match="not a regular file"):
        records.any() if name.endswith("jsonl") else records.load(None)  # type: ignore[arg-type]


def segments(directory: Path, count: int) -> Layout:
    for number in range(count):
        (directory / f"audit-{number + 1:020}.jsonl").write_bytes(b"%d\n" % number)
    active = directory / "audit.jsonl"
    active.write_bytes(b"active\n")
    return Layout.of(str(active))


def contents(layout: Layout) -> Iterator[bytes]:
    with open_segments(layout) as opened:
        for number in range(len(opened)):
            with opened.opened(number) as descriptor:
                yield from (block for block, _ in blocks(descriptor, 0))


def open_now() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted on Linux")
def test_a_state_that_is_nested_without_end_was_changed(tmp_path: Path) -> None:
    files = SignerFiles(Layout.of(str(tmp_path / "audit.jsonl")), "")
    Path(files.state).write_bytes(b'{"x":' + b"[" * 100_000)
    assert files.load(KeyRing()) == (None, "was changed")


def test_of_many_segments_two_are_open_at_a_time(tmp_path: Path) -> None:
    layout = segments(tmp_path, 300)
    before = open_now()
    most = max(open_now() for _ in contents(layout))
    assert most - before <= 2
    assert open_now() == before
    assert list(contents(layout))[::100] == [b"0\n", b"100\n", b"200\n", b"active\n"]


def test_a_segment_that_is_closed_meanwhile_is_read_once(tmp_path: Path) -> None:
    layout = segments(tmp_path, 2)
    listed = Layout.closed_segments

    def rotating(self: Layout) -> list[str]:
        (tmp_path / "audit.jsonl").rename(tmp_path / f"audit-{9:020}.jsonl")
        (tmp_path / "audit.jsonl").write_bytes(b"newer\n")
        return listed(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Layout, "closed_segments", rotating)
        assert list(contents(layout)) == [b"0\n", b"1\n", b"active\n"]


def test_a_segment_that_goes_away_is_told(tmp_path: Path) -> None:
    layout = segments(tmp_path, 2)
    with open_segments(layout) as opened:
        (tmp_path / f"audit-{2:020}.jsonl").unlink()
        with pytest.raises(CheckpointError, match="went away"), opened.opened(1):
            pass


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_only_has_the_name_of_a_segment_is_not_opened(tmp_path: Path, kind: str) -> None:
    layout = segments(tmp_path, 1)
    path = tmp_path / f"audit-{5:020}.jsonl"
    if kind == "link":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    with pytest.raises(OSError):
        list(contents(layout))
