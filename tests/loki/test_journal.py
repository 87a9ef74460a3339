"""What was pushed to Loki lately: remembered across processes, also ones that died."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import BEGIN, CHAIN, SECOND, MadeChain

from audit_emit._loki.journal import HORIZON, VISIBLE_AT_ONCE, Journal, RecentlyPushed
from audit_emit._loki.records import LoggedRecord, parse_record
from audit_emit.errors import BusyError

LOKI = "http://loki:3100 tenant"
NOW = BEGIN + 30 * 3600 * SECOND
LEGACY = b'{"ts":"2026-05-19T20:00:00Z","event_type":"a.b","fields":{}}'


def record(seq: int, ts: int = BEGIN) -> LoggedRecord:
    return LoggedRecord(ts, b"", CHAIN, seq)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "backfill.jsonl")


def sent(path: str, later: int = 0, loki: str = LOKI) -> RecentlyPushed:
    return RecentlyPushed(path, loki, NOW + later)


def note(path: str, *seqs: int) -> None:
    with Journal(path, LOKI) as journal:
        journal.begin([record(seq) for seq in seqs], NOW)


def test_without_a_journal_nothing_was_sent(path: str) -> None:
    assert not sent(path)(record(1))


def test_what_was_sent_is_known(path: str) -> None:
    note(path, 3, 4, 5, 9)
    note(path, 6)
    known = sent(path)
    assert [seq for seq in range(12) if known(record(seq))] == [3, 4, 5, 6, 9]
    assert not known(LoggedRecord(BEGIN, b"", "f" * 16, 4))


def test_a_record_without_a_chain_goes_by_its_time(path: str) -> None:
    one = parse_record(LEGACY)
    assert one is not None
    with Journal(path, LOKI) as journal:
        journal.begin([one], NOW)
    assert sent(path)(one)
    assert not sent(path)(one._replace(ts=one.ts + 1))


def test_it_counts_for_three_hours(path: str) -> None:
    note(path, 1)
    assert sent(path, HORIZON)(record(1))
    assert not sent(path, HORIZON + 1)(record(1))


def test_what_loki_shows_at_once_is_never_waited_for(path: str) -> None:
    note(path, 1)
    assert not sent(path)(record(1, NOW - VISIBLE_AT_ONCE + 1))
    assert sent(path)(record(1, NOW - VISIBLE_AT_ONCE))


def test_what_went_to_another_loki_does_not_count(path: str) -> None:
    note(path, 1)
    assert not sent(path, loki="http://loki:3100 other")(record(1))


def test_a_batch_is_settled(path: str) -> None:
    with Journal(path, LOKI) as journal:
        first = journal.begin([record(seq) for seq in range(1, 6)], NOW)
        second = journal.begin([record(seq) for seq in range(6, 9)], NOW)
        journal.resolve(first, [record(2), record(4)])
        journal.resolve(second)
    known = sent(path)
    assert [seq for seq in range(12) if known(record(seq))] == [2, 4]


def test_a_batch_that_is_in_doubt_as_a_whole_is_noted_once(path: str) -> None:
    with Journal(path, LOKI) as journal:
        made = journal.begin([record(1), record(2)], NOW)
        before = Path(path).read_bytes()
        journal.resolve(made, [record(1), record(2)])
    assert Path(path).read_bytes() == before


def test_a_line_that_was_torn_off_hides_nothing(path: str) -> None:
    note(path, 1)
    with Path(path).open("ab") as file:
        file.write(b'{"at":"2026-05')
    note(path, 2)
    known = sent(path)
    assert known(record(1))
    assert known(record(2))


def test_it_is_on_disk_before_anything_is_sent(path: str) -> None:
    with Journal(path, LOKI) as journal:
        journal.begin([record(1)], NOW)
        assert sent(path)(record(1))


def test_one_backfill_at_a_time(path: str) -> None:
    with Journal(path, LOKI), pytest.raises(BusyError, match="another backfill"):
        Journal(path, LOKI)
    with Journal(path, LOKI):
        pass


def test_a_symbolic_link_is_refused(path: str, tmp_path: Path) -> None:
    Path(path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Journal(path, LOKI)
    assert not (tmp_path / "elsewhere").exists()


def test_a_long_chain_is_a_short_note(path: str) -> None:
    chain = MadeChain().add(500)
    found = [one for one in map(parse_record, chain.lines) if one is not None]
    with Journal(path, LOKI) as journal:
        journal.begin(found, NOW)
    assert Path(path).stat().st_size < 250


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_the_log(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    path = tmp_path / "backfill.jsonl"
    with Journal(str(path), "loki"):
        pass
    state = path.stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (4711, 4712, 0o640)
    os.chown(path, 4713, 4713)
    with Journal(str(path), "loki"):
        pass
    assert path.stat().st_uid == 4713


def test_a_journal_of_somebody_else_says_whose_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "backfill.jsonl"
    path.touch()
    really = os.open

    def refused(name: str, *rest: Any, **more: Any) -> int:
        if name == str(path):
            raise PermissionError(13, "Permission denied", name)
        return really(name, *rest, **more)

    monkeypatch.setattr("audit_emit._loki.journal.os.open", refused)
    with pytest.raises(PermissionError, match=f"belongs to uid {os.getuid()}; give it"):
        Journal(str(path), "loki")
