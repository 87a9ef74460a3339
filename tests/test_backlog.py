from __future__ import annotations

from audit_emit._backlog import BYTES, RECORDS, Backlog, Gap


def test_the_bounds_of_the_documentation() -> None:
    assert (RECORDS, BYTES) == (10_000, 16 * 1024 * 1024)


def test_events_wait_in_their_order() -> None:
    backlog = Backlog()
    assert all(backlog.add(name) for name in "abc")
    assert list(backlog.waiting) == ["a", "b", "c"]
    assert (len(backlog), backlog.size) == (3, 3)


def test_the_number_of_events_is_bounded_and_the_first_are_kept() -> None:
    backlog = Backlog(records=2)
    assert [backlog.add(name) for name in "abc"] == [True, True, False]
    assert list(backlog.waiting) == ["a", "b"]


def test_the_size_is_bounded() -> None:
    backlog = Backlog(max_bytes=10)
    assert [backlog.add(text) for text in ("x" * 6, "x" * 5, "x" * 4, "x")] == [
        True,
        False,
        True,
        False,
    ]
    assert backlog.size == 10


def test_what_is_written_makes_room() -> None:
    backlog = Backlog(records=2, max_bytes=10)
    backlog.add("x" * 6)
    backlog.add("x" * 4)
    backlog.pop()
    assert (len(backlog), backlog.size) == (1, 4)
    assert backlog.add("x" * 6)
    backlog.pop()
    backlog.pop()
    assert (len(backlog), backlog.size) == (0, 0)


def test_a_gap_counts_and_remembers_its_ends() -> None:
    gap = Gap()
    gap.add("t1", "full")
    gap.add("t2", "full")
    gap.add("t3", "ENOSPC")
    assert gap.fields("jsonl") == {
        "lost": 3,
        "first_ts": "t1",
        "last_ts": "t3",
        "reason": "ENOSPC",
        "sink": "jsonl",
    }


def test_a_gap_takes_in_an_earlier_one() -> None:
    earlier, later = Gap(), Gap()
    earlier.add("t1", "full")
    later.add("t2", "closed")
    later.merge_before(earlier)
    assert later.fields("stdout") == {
        "lost": 2,
        "first_ts": "t1",
        "last_ts": "t2",
        "reason": "closed",
        "sink": "stdout",
    }


def test_an_empty_gap_takes_over_an_earlier_one() -> None:
    earlier, later = Gap(), Gap()
    earlier.add("t1", "full")
    later.merge_before(earlier)
    assert later.fields("stdout") == earlier.fields("stdout")
