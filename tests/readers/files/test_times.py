"""A question about a time reads what may answer it, and finds every record whatever its place."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, SECOND, MadeChain

from audit_emit._format.record import ts_of
from audit_emit._query.question import Question, Term
from audit_emit._query.search import Answer, ask_log
from audit_emit._readers.files import times as module
from audit_emit._readers.files.logfiles import look_at
from audit_emit._readers.files.times import Row, Times, span_of
from audit_emit.cli import main

DAY = 86_400 * SECOND
PART = 500


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows of some records, kept in a place of the test's own."""
    monkeypatch.setattr(module, "BLOCK", 1 << 14)
    monkeypatch.setattr(module, "ROW", 1 << 15)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


def written(directory: Path, lines: list[bytes], *, packed: bool = False) -> Path:
    directory.mkdir(exist_ok=True)
    for first in range(0, len(lines), PART):
        data = b"".join(line + b"\n" for line in lines[first : first + PART])
        last = first + PART >= len(lines)
        name = "audit.jsonl" if last else f"audit-{first + 1:020}.jsonl"
        if packed and not last:
            name, data = f"{name}.gz", gzip.compress(data)
        path = directory / name
        path.write_bytes(data)
        old = time.time() - 100
        os.utime(path, (old, old))
    return directory


def ahead(number: int = 6, count: int = 2000) -> list[bytes]:
    """Records a second apart, of which one is stamped 40 days ahead."""
    made = MadeChain().add(number - 1)
    made.add(ts=BEGIN + 40 * DAY)
    return made.add(count - number, ts=BEGIN + number * SECOND).lines


def seqs(answer: Answer) -> list[int]:
    return [int(line.split(b',"seq":')[1].split(b",")[0]) for line in answer.lines]


def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many bytes were read since the last call."""
    read = 0
    pread = os.pread

    def counting(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(descriptor, size, offset)
        read += len(data)
        return data

    def since() -> int:
        nonlocal read
        found, read = read, 0
        return found

    monkeypatch.setattr(os, "pread", counting)
    return since


@pytest.mark.parametrize("packed", [False, True])
def test_one_that_is_ahead_is_found_where_it_is(tmp_path: Path, packed: bool) -> None:
    log = written(tmp_path / "log", ahead(), packed=packed)
    for _ in range(2):
        late = ask_log(Question(since=BEGIN + DAY), str(log))
        assert seqs(late) == [6]
        early = ask_log(Question(until=BEGIN + DAY), str(log))
        assert len(early.lines) == 1999
        some = ask_log(Question(since=BEGIN + 1000 * SECOND, until=BEGIN + DAY), str(log))
        assert seqs(some) == list(range(1001, 2001))
        assert early.strange == late.strange == 0


def test_the_second_question_reads_what_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = written(tmp_path / "log", ahead())
    size = sum(path.stat().st_size for path in log.iterdir())
    read = counted(monkeypatch)
    monkeypatch.setattr(module, "_RACY", 0)
    assert seqs(ask_log(Question(since=BEGIN + DAY), str(log))) == [6]
    assert read() >= size
    assert seqs(ask_log(Question(since=BEGIN + DAY), str(log))) == [6]
    beginnings = 4 * (256 << 10)  # each file is looked at
    assert read() < beginnings + 100_000


def test_what_is_no_record_is_told_every_time(tmp_path: Path) -> None:
    lines = ahead()
    lines[100] = lines[100].replace(b'"fields":{', b'"fields":{{')
    log = written(tmp_path / "log", lines)
    for _ in range(2):
        assert ask_log(Question(since=BEGIN + DAY), str(log)).strange == 1


@pytest.mark.parametrize("how", ["grown", "changed", "cut"])
def test_a_file_that_is_another_by_now_is_read_again(tmp_path: Path, how: str) -> None:
    lines = ahead()
    log = written(tmp_path / "log", lines[:400])
    question = Question(since=BEGIN + 10 * DAY)
    assert seqs(ask_log(question, str(log))) == [6]
    path = log / "audit.jsonl"
    later = MadeChain().add(3, ts=BEGIN + 20 * DAY).lines
    kept = {"grown": lines[:400], "changed": lines[100:400], "cut": []}[how]
    path.write_bytes(b"".join(line + b"\n" for line in [*kept, *later]))
    expected = [6, 1, 2, 3] if how == "grown" else [1, 2, 3]
    assert sorted(seqs(ask_log(question, str(log)))) == sorted(expected)


def test_an_index_that_cannot_be_read_is_made_again(tmp_path: Path) -> None:
    log = written(tmp_path / "log", ahead())
    question = Question(since=BEGIN + DAY)
    assert seqs(ask_log(question, str(log))) == [6]
    (kept,) = (tmp_path / "temporary").rglob("times")
    kept.write_bytes(b"nonsense")
    assert seqs(ask_log(question, str(log))) == [6]
    assert kept.read_bytes() != b"nonsense"


def test_rows_cover_a_file_without_a_hole(tmp_path: Path) -> None:
    log = written(tmp_path / "log", ahead(count=400))
    file = look_at(str(log / "audit.jsonl"))
    rows = Times(str(log)).rows(file)
    assert len(rows) > 3
    assert rows[0].begin == 0
    assert rows[-1].end == file.size
    assert all(after.begin == before.end for before, after in pairwise(rows))
    assert rows[0].high == ts_of(BEGIN + 40 * DAY)
    assert rows[0].low == ts_of(BEGIN)


@pytest.mark.parametrize(
    ("row", "since", "until", "within"),
    [
        (("2", "4"), "5", "", False),
        (("2", "4"), "4", "", True),
        (("2", "4"), "", "2", False),
        (("2", "4"), "", "3", True),
        (("", ""), "5", "", True),
    ],
)
def test_what_may_hold_an_answer(
    row: tuple[str, str], since: str, until: str, *, within: bool
) -> None:
    assert Row(0, 1, *row).within(since, until) is within


@pytest.mark.parametrize(
    "line",
    [
        b"foreign",
        b"",
        b'{"ts":"2020-01-01T00:00:00Z","event_type":"old","fields":{}}',
        MadeChain().add().lines[0].replace(b'"v":1', b'"v":2'),
        MadeChain().add().lines[0].replace(b"2026-05", b"2026-25"),
        MadeChain().add().lines[0][:-1],
    ],
)
def test_lines_that_are_no_records_have_no_times(line: bytes) -> None:
    good = MadeChain().add(3).lines
    assert span_of(b"".join(each + b"\n" for each in good)) == (
        ts_of(BEGIN),
        ts_of(BEGIN + 2 * SECOND),
    )
    assert span_of(b"".join(each + b"\n" for each in [good[0], line, good[1]])) is None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("seq", [1, 6, 500, 501, 1234, 2000])
def test_a_number_is_found(tmp_path: Path, seq: int, packed: bool) -> None:
    log = written(tmp_path / "log", ahead(), packed=packed)
    question = Question(terms=(Term.parse(f"seq={seq}"),))
    assert seqs(ask_log(question, str(log))) == [seq]
    wrong = Question(terms=(Term.parse(f"seq={seq}"), Term.parse("n=0")))
    assert ask_log(wrong, str(log)).lines == []


def test_a_number_that_is_not_there_and_patterns_of_numbers(tmp_path: Path) -> None:
    log = written(tmp_path / "log", ahead())
    assert ask_log(Question(terms=(Term.parse("seq=2001"),)), str(log)).lines == []
    assert ask_log(Question(terms=(Term.parse("seq=07"),)), str(log)).lines == []
    assert len(ask_log(Question(terms=(Term.parse("seq=19?9"),)), str(log)).lines) == 10


def test_for_a_number_the_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = MadeChain().add(4000, fields={"pad": "x" * 2000}).lines
    path = tmp_path / "log" / "audit.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    read = counted(monkeypatch)
    assert seqs(ask_log(Question(terms=(Term.parse("seq=7"),)), str(path))) == [7]
    assert read() < 2_000_000 < path.stat().st_size


def test_tail_shows_all_from_a_time_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ahead()
    lines[700] = b"damage"
    log = written(tmp_path / "log", lines)
    for _ in range(2):
        main(["tail", str(log), "--since", ts_of(BEGIN + 1990 * SECOND)])
        shown = capsys.readouterr().out.splitlines()
        assert len(shown) == 12
        assert " 40" not in shown[0]
        assert shown[0].split()[0] == "6", "the one that is ahead"
        assert "damage" in shown[1], "damage is nothing that a filter may hide"
        assert [line.split()[0] for line in shown[2:]] == [str(n) for n in range(1991, 2001)]
