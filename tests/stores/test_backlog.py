from __future__ import annotations

import sys
import threading

from audit_emit._runtime.failure import Counters
from audit_emit._stores.backlog import BYTES, RECORDS, Backlog, Gap
from audit_emit._stores.clock import Clock

PART = 'Z","event_type":"a.b","fields":{},"v":1,"id":"'


def test_the_bounds_of_the_documentation() -> None:
    assert (RECORDS, BYTES) == (10_000, 16 * 1024 * 1024)


def test_events_wait_in_their_order() -> None:
    backlog = Backlog()
    assert all(backlog.add(name) for name in "abc")
    assert list(backlog.waiting) == [b"a", b"b", b"c"]
    assert (len(backlog), backlog.size) == (3, 3)


def test_what_waits_is_handed_out_as_drafts() -> None:
    clock = Clock()
    drafts = [clock.draft(PART, "") for _ in range(3)]
    backlog = Backlog()
    for draft in drafts:
        backlog.add(draft.prefix)
    assert backlog.drafts(2, clock.process) == drafts[:2]
    assert len(backlog) == 3
    assert backlog.pop() == drafts[0].prefix[7:37]


def test_drafts_leave_from_wherever_they_were_in_the_list() -> None:
    clock, counters = Clock(), Counters()
    prefixes = [clock.draft(PART, "").prefix for _ in range(6)]
    backlog = Backlog()
    for prefix in prefixes:
        backlog.add(prefix)
    given = backlog.drafts(5, clock.process)
    del given[3:], given[1]
    backlog.settle(counters)
    kept = [prefixes[at].encode() for at in (0, 2, 5)]
    assert list(backlog.waiting) == kept
    assert (backlog.size, counters.drained) == (sum(map(len, kept)), 3)
    backlog.settle(counters)
    assert list(backlog.waiting) == kept


def test_other_threads_may_add_while_drafts_are_handed_out() -> None:
    backlog = Backlog()
    clock = Clock()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    over = False

    def add() -> None:
        while not over:
            backlog.add(clock.draft(PART, "").prefix)
            if len(backlog) > 100:
                backlog.pop()

    thread = threading.Thread(target=add)
    thread.start()
    try:
        for _ in range(500):
            backlog.drafts(3, clock.process)
    finally:
        over = True
        thread.join()
        sys.setswitchinterval(before)


def test_the_number_of_events_is_bounded_and_the_first_are_kept() -> None:
    backlog = Backlog(records=2)
    assert [backlog.add(name) for name in "abc"] == [True, True, False]
    assert list(backlog.waiting) == [b"a", b"b"]


def test_the_size_is_bounded() -> None:
    backlog = Backlog(max_bytes=10)
    assert [backlog.add(text) for text in ("x" * 6, "x" * 5, "x" * 4, "x")] == [
        True,
        False,
        True,
        False,
    ]
    assert backlog.size == 10


def test_the_size_is_one_of_bytes_in_memory_and_not_of_characters() -> None:
    backlog = Backlog(max_bytes=10)
    assert [backlog.add(text) for text in ("\N{GRINNING FACE}" * 2, "\N{GRINNING FACE}", "ü")] == [
        True,
        False,
        True,
    ]
    assert backlog.size == 10 == sum(map(len, backlog.waiting))


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


def test_a_gap_that_was_declared_is_empty() -> None:
    gap = Gap()
    gap.add("t1", "full")
    gap.forget(gap.copy())
    gap.add("t2", "closed")
    told = gap.fields("stdout")
    assert (told["lost"], told["first_ts"], told["last_ts"], told["reason"]) == (
        1,
        "t2",
        "t2",
        "closed",
    )


def test_what_was_lost_while_a_gap_was_declared_is_in_the_next() -> None:
    gap = Gap()
    gap.add("t1", "full")
    declared = gap.copy()
    gap.add("t2", "full")
    gap.add("t3", "closed")
    assert declared.fields("stdout")["lost"] == 1
    gap.forget(declared)
    # When the first of them was lost is known no better than this.
    told = gap.fields("stdout")
    assert (told["lost"], told["first_ts"], told["last_ts"], told["reason"]) == (
        2,
        "t1",
        "t3",
        "closed",
    )
