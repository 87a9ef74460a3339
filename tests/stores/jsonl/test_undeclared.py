from __future__ import annotations

import pytest

from audit_emit._stores.base import Loss
from audit_emit._stores.jsonl import undeclared as debt

FIRST = "2026-01-01T00:00:00.000000001Z"
SECOND = "2026-01-01T00:00:00.000000002Z"
THIRD = "2026-01-01T00:00:00.000000003Z"


def owed(lost: int, first: str, last: str, sink: str = "jsonl") -> Loss:
    return Loss(lost, first, last, "ENOSPC", sink)


def test_what_is_owed_is_read_as_it_was_written() -> None:
    losses = [owed(3, FIRST, SECOND), owed(1, SECOND, SECOND, "stdout")]
    assert debt.read(debt.added([], losses)) == losses


def test_the_losses_of_two_processes_are_one_for_each_sink() -> None:
    content = debt.added([owed(3, SECOND, SECOND)], [owed(4, FIRST, THIRD)])
    assert debt.read(content) == [owed(7, FIRST, THIRD)]


def test_it_always_takes_as_many_bytes() -> None:
    longest = [Loss(10**15, FIRST, THIRD, "E" * 1000, sink) for sink in ("jsonl", "stdout")]
    for losses in ([], [owed(1, FIRST, FIRST)], longest):
        content = debt.added(losses, [])
        assert len(content) == debt.SIZE
        assert content.endswith(b"\n")
    assert [len(one.reason) for one in debt.read(debt.added(longest, []))] == [64, 64]


@pytest.mark.parametrize(
    "content", [b"", b"4711\n", b"\xff", b"[{}]", b'[{"lost":"x"}]', b"[" * 500]
)
def test_anything_else_is_no_debt(content: bytes) -> None:
    assert debt.read(content) == []


def test_a_debt_is_the_fields_of_a_gap() -> None:
    (fields,) = debt.gaps(debt.added([], [owed(3, FIRST, SECOND)]))
    assert fields == {
        "lost": 3,
        "first_ts": FIRST,
        "last_ts": SECOND,
        "reason": "ENOSPC",
        "sink": "jsonl",
    }
