from __future__ import annotations

from pathlib import Path

import pytest
from support.five_records import LINES

from audit_emit._stores.jsonl import segment_index as whereabouts
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._stores.jsonl.segment_index import Closed


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """One segment that ends in a record, and five newer ones that do not."""
    made = Layout.of(str(tmp_path / "audit.jsonl"))
    Path(made.closed(1)).write_bytes(b"".join(LINES))
    for first in range(2, 7):
        Path(made.closed(first)).write_bytes(b"no record\n" * first)
    return made


def test_the_newest_segment_with_a_record_is_found(layout: Layout) -> None:
    found = Closed(layout).last_end()
    assert found is not None
    assert (found[0].seq, found[1]) == (5, "audit-00000000000000000001.jsonl")


def test_a_search_that_takes_too_long_goes_on_with_the_next_call(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "_SEARCH_SECONDS", 0.0)
    closed = Closed(layout)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            closed.last_end()
    found = closed.last_end()
    assert found is not None
    assert found[0].seq == 5


def test_the_newest_segment_is_read_however_little_time_there_is(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "_SEARCH_SECONDS", 0.0)
    Path(layout.closed(7)).write_bytes(LINES[0])
    found = Closed(layout).last_end()
    assert found is not None
    assert found[0].seq == 1


def test_a_segment_that_changed_since_is_read_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "_SEARCH_SECONDS", 0.0)
    closed = Closed(layout)
    with pytest.raises(TimeoutError):
        closed.last_end()
    Path(layout.closed(6)).write_bytes(b"".join(LINES[:2]))
    found = closed.last_end()
    assert found is not None
    assert found[0].seq == 2
