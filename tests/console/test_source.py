"""What the pages read of the log."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from support.chain_builder import MadeChain
from support.console_client import log_in
from support.export_records import LINES

from audit_emit._facade.records import head_of, ts_of
from audit_emit.console import Identity, Role
from audit_emit.console.access import LOCAL
from audit_emit.console.filters import Filters
from audit_emit.console.source import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(str(log_in(tmp_path / "log")))


def test_a_page_is_the_newest_records(source: Source) -> None:
    page = source.page(Filters({}), LOCAL, 3)
    assert page.lines == [LINES[18], LINES[17], LINES[16]]
    assert page.next is not None
    assert page.next.seq == 17


def test_the_last_page_has_none_after_it(source: Source) -> None:
    assert source.page(Filters({}), LOCAL, 19).next is None


def test_only_what_somebody_may_see_is_on_his_page(source: Source) -> None:
    mine = Identity("w", Role.OPERATOR, ("acme",))
    lines = source.page(Filters({}), mine, 50).lines
    assert lines
    assert all(b'"workspace_id":"acme"' in line for line in lines)


def test_neighbours_are_those_of_the_chain(source: Source) -> None:
    found = source.find("00d1c0ffee00beef:5", LOCAL)
    assert found == (LINES[4], LINES[3], LINES[5])


def test_the_first_and_the_last_record_have_one_neighbour(source: Source) -> None:
    first = source.find("00d1c0ffee00beef:1", LOCAL)
    last = source.find("00d1c0ffee00beef:19", LOCAL)
    assert first == (LINES[0], b"", LINES[1])
    assert last == (LINES[18], LINES[17], b"")


def test_a_receipt_finds_the_record_that_it_names_and_no_other(source: Source) -> None:
    head = head_of(LINES[4])
    assert head is not None
    found = source.find(f"{head.chain}:5:{head.hash}", LOCAL)
    assert found is not None
    assert found.line == LINES[4]
    assert source.find(f"{head.chain}:6:{head.hash}", LOCAL) is None


def test_a_name_is_never_a_pattern(source: Source) -> None:
    assert source.find("019e41d2-*", LOCAL) is None
    assert source.find("????????????????:5", LOCAL) is None


def test_what_came_after_a_record(source: Source) -> None:
    head = source.head()
    assert head is not None
    path = Path(source.where) / "audit.jsonl"
    made = MadeChain().add(1).lines[0]
    assert source.lines_after(head) == []
    with open(path, "ab") as file:
        file.write(made.replace(b'"seq":1,', b'"seq":20,') + b"\n")
    assert len(source.lines_after(head)) == 1


def test_how_it_stands(source: Source) -> None:
    standing = source.standing()
    assert standing.head is not None
    assert standing.head.seq == 19
    assert standing.signed is None
    assert standing.unsigned == 19


def test_what_came_after_a_record_comes_in_parts(tmp_path: Path) -> None:
    made = MadeChain().add(4000, fields={"text": "x" * 1500})
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in made.lines))
    source, seen = Source(str(tmp_path)), made.lines[:1]
    while lines := source.lines_after(head_of(seen[-1])):
        assert sum(map(len, lines)) < 4 << 20
        seen += lines
    assert seen == made.lines


def test_times_are_those_of_the_newest_records(tmp_path: Path) -> None:
    made = MadeChain().add(30)
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in made.lines))
    source = Source(str(tmp_path))
    times, cut = source.times(Filters({}), LOCAL, 7)
    for one, line in zip(times[::-1], made.lines[-7:], strict=True):
        assert ts_of(one).encode() in line
    assert cut
    assert source.times(Filters({"actor": "nobody"}), LOCAL, 7) == ([], False)


@pytest.mark.thorough
@pytest.mark.parametrize("size", [1, 5])
def test_long_records_do_not_pile_up(tmp_path: Path, size: int) -> None:
    made = MadeChain().add(120, fields={"text": "x" * 900_000})
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in made.lines))
    expected = made.lines[-size:][::-1]
    del made
    source = Source(str(tmp_path))
    tracemalloc.start()
    try:
        page = source.page(Filters({}), LOCAL, size)
        source.times(Filters({}), LOCAL, 5000)
        assert tracemalloc.get_traced_memory()[1] < 70 << 20
    finally:
        tracemalloc.stop()
    assert page.lines == expected
    assert page.next is not None
