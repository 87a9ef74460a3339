"""Finding records by time and by place, in files that are read a block at a time."""

from __future__ import annotations

import gzip
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, CHAIN, SECOND, MadeChain

from audit_emit._loki import log_index as _log_index
from audit_emit._loki import log_scan as _log_scan
from audit_emit._loki.log_index import DAY, HOUR, LogIndex
from audit_emit._loki.records import Extent
from audit_emit._stores.jsonl.directory import Layout

END = BEGIN + 40 * DAY


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four or five records make a block, and two blocks a window."""
    monkeypatch.setattr(_log_scan, "BLOCK", 2000)
    monkeypatch.setattr(_log_index, "WINDOW", 4000)


def index_of(directory: Path, fresh: tuple[int, int] = (1 << 63, 1 << 63)) -> LogIndex:
    return LogIndex([Layout.of(str(directory / "audit.jsonl"))], fresh=fresh)


def seqs(index: LogIndex, start: int = 0, end: int = END) -> list[int]:
    return [one.seq for window in index.windows(start, end) for one in window.records]


def written(directory: Path, chain: MadeChain, *first: int) -> Path:
    """A chain in segments that begin with these records."""
    borders = [1, *first, len(chain.lines) + 1]
    for begin, end in pairwise(borders):
        last = end == borders[-1]
        name = "audit.jsonl" if last else f"audit-{begin:020d}.jsonl"
        chain.write(directory / name, begin, end - 1)
    return directory


def test_every_record_is_in_one_window_in_order_of_time(tmp_path: Path) -> None:
    chain = MadeChain().add(50, step=300 * SECOND)
    with index_of(written(tmp_path, chain, 20, 30)) as index:
        assert seqs(index) == list(range(1, 51))
        assert index.extents == {CHAIN: Extent(1, 50)}
        assert index.services == {"secrets-api"}
        assert index.times == (BEGIN, BEGIN + 49 * 300 * SECOND)
        assert (index.files, index.strange) == (3, 0)


def test_windows_follow_each_other_and_are_bounded(tmp_path: Path) -> None:
    chain = MadeChain().add(60, step=SECOND).add(3, ts=BEGIN + 3 * DAY)
    with index_of(written(tmp_path, chain)) as index:
        windows = list(index.windows(BEGIN, END))
    assert windows[0].start == BEGIN
    assert windows[-1].stop == END
    assert all(a.stop == b.start for a, b in pairwise(windows))
    assert all(w.stop - w.start <= (HOUR if w.records else DAY) for w in windows)
    assert max(sum(len(one.line) for one in w.records) for w in windows) <= 3 * 4000
    assert len([w for w in windows if w.records]) > 4


def test_half_a_century_without_a_record_is_few_windows(tmp_path: Path) -> None:
    chain = MadeChain().add(1, ts=SECOND).add(1, ts=BEGIN)
    with index_of(written(tmp_path, chain)) as index:
        windows = list(index.windows(0, BEGIN + DAY))
    assert len(windows) < 500
    assert all(a.stop == b.start for a, b in pairwise(windows))
    assert sum(len(window.records) for window in windows) == 2


def test_only_the_time_that_is_asked_for(tmp_path: Path) -> None:
    chain = MadeChain().add(50)
    with index_of(written(tmp_path, chain)) as index:
        assert seqs(index, BEGIN + 9 * SECOND, BEGIN + 12 * SECOND) == [10, 11, 12]


def test_a_clock_that_steps_back_and_a_backlog(tmp_path: Path) -> None:
    chain = (
        MadeChain().add(30, ts=BEGIN + DAY).add(30, ts=BEGIN).add(5, ts=BEGIN + DAY + SECOND // 2)
    )
    with index_of(written(tmp_path, chain, 10)) as index:
        found = seqs(index)
        times = [one.ts for w in index.windows(0, END) for one in w.records]
    assert sorted(found) == list(range(1, 66))
    assert times == sorted(times)
    assert found[:30] == list(range(31, 61))


def test_a_window_that_is_too_big_is_cut(tmp_path: Path) -> None:
    """Blocks that all reach from the first day to the second."""
    chain = MadeChain()
    for number in range(100):
        chain.add(1, ts=BEGIN + (number % 2) * DAY + number * SECOND)
    with index_of(written(tmp_path, chain)) as index:
        windows = list(index.windows(0, END))
    assert sorted(one.seq for w in windows for one in w.records) == list(range(1, 101))
    assert max(sum(len(one.line) for one in w.records) for w in windows) <= 4 * 4000


def test_a_record_by_its_place(tmp_path: Path) -> None:
    chain = MadeChain().add(50)
    with index_of(written(tmp_path, chain, 20)) as index:
        for seq in (1, 19, 20, 50, 7):
            assert [one.line for one in index.records(CHAIN, seq)] == [chain.lines[seq - 1]]
        assert index.records(CHAIN, 51) == []
        assert index.records("ffffffffffffffff", 1) == []


def test_two_records_at_one_place(tmp_path: Path) -> None:
    chain = MadeChain().add(5)
    chain.lines.append(MadeChain().add(2).add(1, fields={"other": 1}).lines[2])
    with index_of(written(tmp_path, chain)) as index:
        assert len(index.records(CHAIN, 3)) == 2


def test_records_near_a_time(tmp_path: Path) -> None:
    chain = MadeChain().add(50, step=400)
    with index_of(written(tmp_path, chain)) as index:
        assert [one.seq for one in index.near(BEGIN + 399, 1000)] == [2, 3, 4]


def test_a_part_of_a_chain(tmp_path: Path) -> None:
    chain = MadeChain().add(50)
    with index_of(written(tmp_path, chain, 20)) as index:
        assert [one.seq for one in index.part(CHAIN, 17, 23)] == list(range(17, 24))


def test_what_was_written_lately(tmp_path: Path) -> None:
    chain = MadeChain().add(50).add(3, ts=BEGIN)
    fresh = (BEGIN + 40 * SECOND, BEGIN + DAY)
    with index_of(written(tmp_path, chain, 20), fresh) as index:
        assert index.extents[CHAIN].fresh == 41


def test_a_clock_far_ahead_makes_nothing_fresh(tmp_path: Path) -> None:
    chain = MadeChain().add(5).add(1, ts=BEGIN + 9 * DAY).add(5, ts=BEGIN + 5 * SECOND)
    with index_of(written(tmp_path, chain), (BEGIN + HOUR, BEGIN + 2 * HOUR)) as index:
        assert index.extents[CHAIN].fresh == 0


def test_lines_that_are_no_records(tmp_path: Path) -> None:
    chain = MadeChain().add(3)
    chain.lines[1:1] = [b"", b"{torn", b"x" * 9000]
    with index_of(written(tmp_path, chain)) as index:
        assert seqs(index) == [1, 2, 3]
        assert index.strange == 3


def test_a_line_without_its_end_is_not_read(tmp_path: Path) -> None:
    chain = MadeChain().add(20)
    path = written(tmp_path, chain) / "audit.jsonl"
    with path.open("ab") as file:
        file.write(MadeChain().add(21).lines[20][:100])
    with index_of(tmp_path) as index:
        assert seqs(index) == list(range(1, 21))
        assert index.strange == 0


@pytest.mark.parametrize("growth", ["grown", "rotated"])
def test_a_log_that_grows_is_read_on(tmp_path: Path, growth: str) -> None:
    chain = MadeChain().add(20)
    written(tmp_path, chain)
    with index_of(tmp_path) as index:
        assert index.records(CHAIN, 21) == []
        chain.add(10)
        if growth == "grown":
            with (tmp_path / "audit.jsonl").open("ab") as file:
                file.write(b"".join(line + b"\n" for line in chain.lines[20:]))
        else:
            (tmp_path / "audit.jsonl").rename(tmp_path / f"audit-{1:020d}.jsonl")
            chain.write(tmp_path / "audit.jsonl", 21)
        assert [one.seq for one in index.records(CHAIN, 25)] == [25]
        assert index.extents[CHAIN].last == 30
        assert seqs(index) == list(range(1, 31))


def packed(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def test_packed_segments(tmp_path: Path) -> None:
    chain = MadeChain().add(60)
    written(tmp_path, chain, 20, 40)
    for path in tmp_path.glob("audit-*.jsonl"):
        packed(path)
    with index_of(tmp_path) as index:
        assert seqs(index) == list(range(1, 61))
        for seq in (45, 15, 39, 1, 20):
            assert [one.seq for one in index.records(CHAIN, seq)] == [seq]


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_packed_segment_is_no_log(tmp_path: Path, damage: str) -> None:
    written(tmp_path, MadeChain().add(60), 40)
    (path,) = tmp_path.glob("audit-*.jsonl")
    packed(path)
    (path,) = tmp_path.glob("*.gz")
    data = bytearray(path.read_bytes())
    if damage == "changed":
        data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    with pytest.raises(OSError, match="damaged or cut off"):
        index_of(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with index_of(tmp_path) as index:
        assert index.times is None
    with pytest.raises(FileNotFoundError):
        index_of(tmp_path / "missing")


def test_several_logs(tmp_path: Path) -> None:
    written(tmp_path / "one", MadeChain().add(5))
    written(tmp_path / "two", MadeChain("ffffffffffffffff", "web", BEGIN + 1).add(5))
    layouts = [Layout.of(str(tmp_path / name / "audit.jsonl")) for name in ("one", "two")]
    with LogIndex(layouts) as index:
        assert seqs(index) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
        assert index.services == {"secrets-api", "web"}


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = written(tmp_path, MadeChain().add(50)) / "audit.jsonl"
    with LogIndex([Layout.of(str(path))], progress=lambda *now: told.append(now)):
        size = path.stat().st_size
    assert told[-1] == (size, size)
    assert told == sorted(told)
    assert len(told) > 5


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    written(tmp_path, MadeChain().add(60), 20, 40)
    packed(tmp_path / f"audit-{1:020d}.jsonl")
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("no /proc to look at")
    for _ in range(2):
        with index_of(tmp_path) as index:
            seqs(index)
    paths = [os.readlink(path) for path in descriptors.iterdir() if path.is_symlink()]
    assert not [path for path in paths if path.startswith(str(tmp_path))]
    shutil.rmtree(tmp_path)
