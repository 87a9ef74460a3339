"""Which closed segments Loki has whole: every record of them, as it is, where it is looked for."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chain_builder import SECOND, altered
from support.fake_loki import Asked
from support.log_and_loki import LogAndLoki

from audit_emit._loki.client import Entry
from audit_emit._loki.labels import placement_of
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.shipped import Segment, segments


@pytest.fixture
def both(tmp_path: Path, each_loki: Asked) -> Iterator[LogAndLoki]:
    """Thirty records in two closed segments and an active one."""
    made = LogAndLoki(tmp_path, each_loki.url, each_loki.tenant)
    made.chain.add(30)
    for first, last in ((1, 10), (11, 20)):
        made.chain.write(tmp_path / f"audit-{first:020d}.jsonl", first, last)
    made.write(21)
    yield made
    made.client.close()


def found(log: LogAndLoki, **site: str) -> list[Segment]:
    with LogIndex([log.layout]) as index:
        return list(segments(index, log.client, site))


def there(log: LogAndLoki, **site: str) -> list[int]:
    return [one.there for one in found(log, **site)]


def test_segments_that_are_there_whole(both: LogAndLoki) -> None:
    both.ship()
    first, second = found(both)
    assert [Path(one.path).name for one in (first, second)] == [
        "audit-00000000000000000001.jsonl",
        "audit-00000000000000000011.jsonl",
    ]
    assert (first.records, first.there, first.is_shipped) == (10, 10, True)
    assert second.is_shipped


def test_one_record_that_is_missing_is_enough(both: LogAndLoki) -> None:
    both.ship(both.without(13))
    first, second = found(both)
    assert (first.is_shipped, second.is_shipped) == (True, False)
    assert (second.records, second.there) == (10, 9)


def test_what_is_missing_in_the_active_segment_does_not_count(both: LogAndLoki) -> None:
    both.ship(both.chain.lines[:20])
    assert there(both) == [10, 10]


def test_a_record_in_another_form_is_not_there(both: LogAndLoki) -> None:
    both.ship([altered(both.chain.lines[0]), both.chain.early(2), *both.without(1, 2)])
    assert there(both) == [8, 10]


def test_a_record_that_no_query_finds_is_not_there(both: LogAndLoki) -> None:
    both.ship(both.without(4, 5))
    one, other = (placement_of(both.chain.lines[at]) for at in (3, 4))
    assert one is not None
    assert other is not None
    wrong = {**one.labels, "event_type": "other"}
    both.client.push(
        [
            Entry(one.ts, both.chain.lines[3].decode(), wrong),
            Entry(other.ts + SECOND // 2, both.chain.lines[4].decode(), other.labels),
        ]
    )
    assert there(both) == [8, 10]


def test_labels_of_the_site_are_expected_when_they_are_declared(both: LogAndLoki) -> None:
    both.ship(env="prod")
    assert there(both) == [0, 0]
    assert there(both, env="prod") == [10, 10]
    assert there(both, env="test") == [0, 0]


def test_a_packed_segment_is_looked_at_too(both: LogAndLoki, tmp_path: Path) -> None:
    both.ship(both.without(1))
    path = tmp_path / f"audit-{1:020d}.jsonl"
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert [(Path(one.path).suffix, one.there) for one in found(both)] == [
        (".gz", 9),
        (".jsonl", 10),
    ]


def test_twice_is_once(both: LogAndLoki) -> None:
    both.ship()
    both.ship(both.without(7))
    assert there(both) == [10, 10]


def test_a_torn_line_that_the_log_declares_does_not_count(both: LogAndLoki, tmp_path: Path) -> None:
    torn = b'{"ts":"2026-0'
    both.chain.add(1, event_type="audit.recovered", fields={"bytes": len(torn)}).add(1)
    lines = [*both.chain.lines[20:30], torn, *both.chain.lines[30:31]]
    closed = tmp_path / f"audit-{21:020d}.jsonl"
    closed.write_bytes(b"\n".join(lines) + b"\n")
    both.write(32)
    both.ship()
    *_, last = found(both)
    assert (last.path, last.records, last.undeclared) == (str(closed), 11, 0)
    assert last.is_shipped
