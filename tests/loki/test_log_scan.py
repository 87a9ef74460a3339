from __future__ import annotations

from collections.abc import Sequence

from audit_emit._loki.log_scan import Ranges, Row


def rows(*ranges: tuple[int, int]) -> Sequence[tuple[int, int, Row]]:
    return [(low, high, Row(0, i, 1, low, high, {})) for i, (low, high) in enumerate(ranges)]


def test_ranges_that_overlap() -> None:
    ranges = Ranges(rows((0, 100), (5, 6), (10, 20), (30, 40), (35, 90)))
    assert [row.offset for row in ranges.covering(15, 15)] == [0, 2]
    assert [row.offset for row in ranges.covering(25, 34)] == [0, 3]
    assert [row.offset for row in ranges.covering(101, 200)] == []
    assert list(ranges.sizes(5, 30)) == [(5, 1), (10, 1), (30, 1)]
