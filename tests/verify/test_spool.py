"""Many small records: in memory, in a temporary file, in order, in processes that were forked."""

from __future__ import annotations

import os
import pickle
import random
from array import array
from bisect import bisect_left
from pathlib import Path

import pytest

from audit_emit._verify.spool import PAGE, Numbers, Rows, Sorted, Spool, distinct, in_order

SIZES = [0, 1, 500, 5000, 100_000]


@pytest.mark.parametrize("count", SIZES)
def test_rows_are_read_as_they_were_appended(count: int) -> None:
    rows = Rows(13)
    for number in range(count):
        rows.append(b"%013d" % number)
        if number % 999 == 0:
            assert int(rows[number // 2]) == number // 2, "also while more are appended"
    assert len(rows) == count
    assert [int(row) for row in rows] == list(range(count))


def test_bytes_may_lie_across_pages_and_the_end_of_what_is_written() -> None:
    spool, data = Spool(), random.Random(1).randbytes(40 * PAGE + 77)
    for begin in range(0, len(data), 1000):
        assert spool.append(data[begin : begin + 1000]) == begin
    assert len(spool) == len(data)
    for at in (0, PAGE - 5, 31 * PAGE, 32 * PAGE - 1, len(data) - 3 * PAGE, len(data) - 5):
        assert spool.read(at, 2 * PAGE + 1) == data[at : at + 2 * PAGE + 1]
    assert b"".join(spool.chunks(7, len(data) - 7, 999)) == data[7:-7]


@pytest.mark.parametrize("count", SIZES)
def test_any_number_of_rows_is_put_in_order(count: int) -> None:
    rows = [random.Random(count).randbytes(3) for _ in range(count)]
    assert list(in_order(rows)) == sorted(rows)
    assert distinct(rows) == len(set(rows))


@pytest.mark.parametrize("count", SIZES)
def test_a_row_is_found_by_its_beginning(count: int) -> None:
    rows = sorted(b"%06d" % (number // 3 * 2) for number in range(count))
    made = Sorted(6, rows)
    assert len(made) == count
    for number in {0, 1, 2, 3, count // 2, count, 2 * count}:
        key = b"%06d" % number
        assert made.find(key) == bisect_left(rows, key)
        assert list(made.starting_with(key)) == [row for row in rows if row == key]


class TestNumbers:
    def test_each_comes_once(self) -> None:
        made = Numbers([1, 1, 2, 5, 5])
        assert list(made) == [1, 2, 5]
        assert (made[-1], made[1:]) == (5, array("Q", [2, 5]))
        with pytest.raises(IndexError):
            made[3]

    def test_they_can_be_sent_elsewhere(self) -> None:
        assert pickle.loads(pickle.dumps(Numbers(range(9)))) == array("Q", range(9))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
    def test_a_forked_process_reads_them_too(self) -> None:
        made = Numbers(range(0, 600_000, 2))
        pid = os.fork()
        if not pid:
            os._exit(0 if all(made[at] == 2 * at for at in range(0, 300_000, 7)) else 1)
        assert all(made[at] == 2 * at for at in range(0, 300_000, 11))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_what_has_no_room_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(**_: object) -> object:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    spool = Spool()
    with pytest.raises(OSError, match="No space left"):
        spool.append(bytes(1 << 20))
