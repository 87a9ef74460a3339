from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.five_records import LINES, RECORDS

from audit_emit import Emitter
from audit_emit._format import tail
from audit_emit._format.record import Head
from audit_emit._format.tail import Dirt, first_seq, read_end, read_growth

LEGACY = b'{"ts":"2026-05-19T20:00:00Z","event_type":"secret.set","fields":{}}\n'
Open = Callable[[bytes], tuple[int, int]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    numbers: list[int] = []

    def make(content: bytes) -> tuple[int, int]:
        path = tmp_path / f"{len(numbers)}.jsonl"
        path.write_bytes(content)
        numbers.append(os.open(path, os.O_RDONLY))
        return numbers[-1], len(content)

    yield make
    for number in numbers:
        os.close(number)


def head(index: int) -> Head:
    record = RECORDS[index]
    return Head(record["chain"], record["seq"], record["hash"], record["ts"])


def dirt(before: bytes, rest: bytes) -> Dirt:
    return Dirt(
        len(before), len(rest), hashlib.sha256(rest).hexdigest(), closed=rest.endswith(b"\n")
    )


def test_an_empty_file_has_no_end(opened: Open) -> None:
    assert read_end(*opened(b"")) == (None, None, False)


@pytest.mark.parametrize("count", range(1, 6))
def test_the_last_record_is_the_head(opened: Open, count: int) -> None:
    assert read_end(*opened(b"".join(LINES[:count]))) == (head(count - 1), None, False)


WHOLE = b"".join(LINES)

RESTS = {
    "half a record": LINES[0][:200],
    "a record but for its last bytes": LINES[0][:-2],
    "zeros": bytes(1000),
    "zeros and a newline": bytes(1000) + b"\n",
    "an empty line": b"\n",
    "empty lines": b"\n\r\n\n",
    "text": b"hello\n",
    "text without its end": b"hello",
    "an object of something else": b'{"level":"info"}\n',
    "text and half a record": b"hello\n" + LINES[0][:100],
    "a byte order mark": b"\xef\xbb\xbf",
    "deep JSON": b"[" * 100_000 + b"\n",
    "no UTF-8": b'{"event_type":"\xff","ts":""}\n',
    "a changed record without its newline": LINES[0].replace(b'"pid":1', b'"pid":2')[:-1],
    "a gzip": b"\x1f\x8b\x08\x00" + bytes(range(256)) * 10,
}


@pytest.mark.parametrize("rest", RESTS.values(), ids=RESTS.keys())
def test_what_follows_the_last_record_is_told(opened: Open, rest: bytes) -> None:
    assert read_end(*opened(WHOLE + rest)) == (head(4), dirt(WHOLE, rest), False)


@pytest.mark.parametrize("rest", RESTS.values(), ids=RESTS.keys())
def test_a_file_of_nothing_else(opened: Open, rest: bytes) -> None:
    assert read_end(*opened(rest)) == (None, dirt(b"", rest), False)


def test_the_last_record_torn_at_every_byte(tmp_path: Path) -> None:
    before = b"".join(LINES[:4])
    path = tmp_path / "torn.jsonl"
    for cut in range(1, len(LINES[4]) - 1):
        path.write_bytes(before + LINES[4][:cut])
        number = os.open(path, os.O_RDONLY)
        found = read_end(number, len(before) + cut)
        os.close(number)
        assert found == (head(3), dirt(before, LINES[4][:cut]), False)


def test_the_last_record_without_its_newline_is_whole(opened: Open) -> None:
    assert read_end(*opened(WHOLE[:-1])) == (head(4), None, True)


def test_dirt_between_records_was_declared_before(opened: Open) -> None:
    content = LINES[0] + b"torn\n" + LINES[1]
    assert read_end(*opened(content)) == (head(1), None, False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (LEGACY, (None, None, False)),
        (LEGACY * 3, (None, None, False)),
        (LINES[0] + LEGACY, (head(0), None, False)),
        (LEGACY + LINES[0], (head(0), None, False)),
        (LEGACY + b"torn", (None, dirt(LEGACY, b"torn"), False)),
        (LINES[0] + b"x\n" + LEGACY, (head(0), dirt(LINES[0], b"x\n" + LEGACY), False)),
        (LEGACY[:-1], (None, dirt(b"", LEGACY[:-1]), False)),
    ],
)
def test_records_from_before_there_was_a_chain(
    opened: Open, content: bytes, expected: tuple[object, ...]
) -> None:
    assert read_end(*opened(content)) == expected


@pytest.mark.parametrize("size", [127, 128, 129, 300, 2000])
def test_a_record_far_before_the_end_is_found(opened: Open, size: int) -> None:
    rest = b"x" * (size * 1024)
    assert read_end(*opened(WHOLE + rest)) == (head(4), dirt(WHOLE, rest), False)


def test_a_record_across_the_edge_of_what_is_read_first(opened: Open) -> None:
    for offset in (1, len(LINES[4]) - 1, len(LINES[4])):
        rest = b"x" * (tail._WINDOW - offset)
        assert read_end(*opened(WHOLE + rest)).head == head(4)


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is far is near, and there is time enough."""
    monkeypatch.setattr(tail, "_FARTHEST", 1024 * 1024)
    monkeypatch.setattr(tail, "_FAR_SECONDS", 3600.0)


FAR = 8 * 128 * 1024
"""Bytes of the window after which a record is looked for elsewhere, in these tests."""


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("before", [WHOLE, b"", b"y" * 200 + b"\n" + WHOLE * 300])
def test_an_end_of_any_length_is_declared_from_its_beginning(opened: Open, before: bytes) -> None:
    for size in (FAR - 1, FAR, FAR + 1, FAR + len(LINES[4]) - 1, FAR + len(LINES[4]), 5 * FAR):
        rest = b"x" * size + b"\n"
        last = head(4) if before else None
        assert read_end(*opened(before + rest)) == (last, dirt(before, rest), False)


def test_an_end_that_takes_too_long_is_declared_in_part(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_FARTHEST", 1024 * 1024)
    monkeypatch.setattr(tail, "_FAR_SECONDS", -1.0)
    rest = b"x" * 2 * FAR
    assert read_end(*opened(rest)) == (None, dirt(rest[:FAR], rest[FAR:]), False)


def test_only_the_end_of_a_large_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    pread = os.pread

    def counting(number: int, length: int, offset: int) -> bytes:
        nonlocal read
        part = pread(number, length, offset)
        read += len(part)
        return part

    monkeypatch.setattr(os, "pread", counting)
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + LINES[4])
    number = os.open(path, os.O_RDONLY)
    assert read_end(number, path.stat().st_size).head == head(4)
    os.close(number)
    assert read <= 2 * tail._WINDOW


def test_the_first_seq_of_a_segment(opened: Open) -> None:
    assert first_seq(opened(b"".join(LINES[2:]))[0]) == 3
    assert first_seq(opened(b"torn\n" + LEGACY + LINES[1])[0]) == 2
    assert first_seq(opened(b"")[0]) is None
    assert first_seq(opened(LINES[0][:-1])[0]) is None


def test_growth_by_whole_records(opened: Open) -> None:
    number, size = opened(WHOLE)
    for count in range(1, 5):
        start = sum(map(len, LINES[:count]))
        assert read_growth(number, start, size) == head(4)


@pytest.mark.parametrize("rest", [b"torn", b"torn\n", LINES[4][:-1], b"\n", LEGACY])
def test_growth_by_anything_else_is_not_that_simple(opened: Open, rest: bytes) -> None:
    before = b"".join(LINES[:4])
    assert read_growth(opened(before + rest)[0], len(before), len(before + rest)) is None


def test_no_growth_is_not_that_simple(opened: Open) -> None:
    number, size = opened(WHOLE)
    assert read_growth(number, size, size) is None
    assert read_growth(number, size + 1, size) is None


def test_much_growth_is_judged_by_its_last_record(opened: Open) -> None:
    content = LINES[0] + b"".join(LINES[1:4]) * (tail._WINDOW // 600)
    assert len(content) > 2 * tail._WINDOW
    assert read_growth(opened(content)[0], len(LINES[0]), len(content)) == head(3)


def test_a_last_line_that_is_no_record_for_its_length_is_not_that_simple(opened: Open) -> None:
    content = LINES[0] + b"x" * tail._WINDOW + b"\n"
    assert read_growth(opened(content)[0], len(LINES[0]), len(content)) is None


@pytest.mark.parametrize("seq", [2**63 - 1, 10**19 - 1])
def test_a_forged_number_that_leaves_none_for_the_next_record_is_no_end(
    tmp_path: Path, seq: int
) -> None:
    log = tmp_path / "audit.jsonl"
    emitter = Emitter(service="tests", jsonl=log, stdout=False)
    emitter.emit(None, "x.y")
    emitter.close()
    lines = log.read_bytes().splitlines(True)
    forged = re.sub(rb'"seq":[0-9]+,"prev', b'"seq":%d,"prev' % seq, lines[-1])
    log.write_bytes(b"".join(lines) + forged)
    emitter = Emitter(service="tests", jsonl=log, stdout=False)
    receipt = emitter.emit(None, "x.y")
    emitter.close()
    assert receipt is not None
    assert receipt.seq < 10
    assert log.read_bytes().splitlines(True)[:3] == [*lines, forged]


def test_an_end_that_cannot_be_read_by_the_deadline_is_left_to_the_next_call(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_FARTHEST", 1024 * 1024)
    number, size = opened(b"x" * (3 * 1024 * 1024))
    with pytest.raises(TimeoutError):
        tail.read_end(number, size, deadline=time.monotonic())
    assert tail.read_end(number, size, deadline=time.monotonic() + 60).dirt is not None


def test_a_platform_without_pread_reads_the_same(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _ = opened(b"0123456789")
    there = tail.pread(number, 4, 3)
    monkeypatch.delattr(os, "pread")
    assert tail.pread(number, 4, 3) == there == b"3456"
