"""A log on disk and a Loki over HTTP: windows, pages, borders; the small Loki and a real one."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chain_builder import SECOND, MadeChain, altered, rewritten
from support.fake_loki import Asked, LokiServer
from support.log_and_loki import LogAndLoki, counts
from support.loki_program import RealLoki
from support.waiting import PATIENCE

from audit_emit._format.record import ns_of
from audit_emit._loki import log_index as _log_index
from audit_emit._loki import log_scan as _log_scan
from audit_emit._loki.client import Entry
from audit_emit._loki.disagreement import Kind
from audit_emit._loki.labels import placement_of, unwrapped
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.reconcile import AHEAD, Options, heads, queries, reconcile, span

HOUR = 3600


@pytest.fixture
def both(tmp_path: Path, each_loki: Asked) -> Iterator[LogAndLoki]:
    made = LogAndLoki(tmp_path, each_loki.url, each_loki.tenant)
    yield made
    made.client.close()


@pytest.fixture
def small(tmp_path: Path, fake_loki: LokiServer) -> Iterator[LogAndLoki]:
    made = LogAndLoki(tmp_path, fake_loki.url)
    yield made
    made.client.close()


def test_they_agree(both: LogAndLoki) -> None:
    both.chain.add(50).add(20, event_type="key.created", step=1)
    both.write()
    both.ship()
    report, missing = both.compare()
    assert counts(report) == {}
    assert (report.exit_status, report.records, report.agreed) == (0, 70, 70)
    assert list(missing) == []


def test_what_is_planted_is_found_at_every_border(
    both: LogAndLoki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of three records and pages of two, streams one within the other."""
    monkeypatch.setattr(_log_scan, "BLOCK", 1000)
    monkeypatch.setattr(_log_index, "WINDOW", 1000)
    monkeypatch.setattr("audit_emit._loki.reconcile.PAGE", 2)
    for number in range(60):
        both.chain.add(1, event_type=f"type.t{number % 3}")
    both.write(last=58)
    lines = both.without(5, 6, 7, 20, 33)
    lines[10] = altered(lines[10])
    lines[40] = rewritten(lines[40], user_id="u-18")
    both.ship(lines)
    report, missing = both.compare()
    assert counts(report) == {Kind.MISSING: 5, Kind.ALTERED: 2, Kind.NOT_IN_FILE: 2}
    assert [(run.first, run.last) for run in missing] == [(5, 7), (20, 20), (33, 33)]
    assert report.agreed == 51


def test_random_losses_and_forgeries(both: LogAndLoki) -> None:
    dice = random.Random(7)
    both.chain.add(1000, step=SECOND // 2)
    both.write()
    lost = set(dice.sample(range(1, 1001), 50))
    forged = set(dice.sample(sorted(set(range(1, 1001)) - lost), 10))
    lines = [
        altered(line) if seq in forged else line
        for seq, line in enumerate(both.chain.lines, 1)
        if seq not in lost
    ]
    dice.shuffle(lines)
    both.ship(lines)
    report, missing = both.compare()
    assert counts(report) == {Kind.MISSING: 50, Kind.ALTERED: 10}
    assert {seq for run in missing for seq in range(run.first, run.last + 1)} == lost


def test_a_record_under_another_service_is_found(both: LogAndLoki) -> None:
    both.chain.add(5)
    both.write()
    both.ship(both.without(3))
    both.ship([both.chain.lines[2]], service="unknown")
    assert counts(both.compare().report) == {Kind.WRONG_LABELS: 1}


def test_other_services_are_not_looked_at(both: LogAndLoki) -> None:
    both.chain.add(5)
    both.write()
    both.ship()
    other = MadeChain("e" * 16, "another-service", both.begin).add(5)
    both.ship(other.lines)
    assert both.compare().report.exit_status == 0


def test_lines_that_are_no_records(both: LogAndLoki) -> None:
    both.chain.add(5)
    both.write()
    both.ship()
    labels = {"job": "audit", "service": both.chain.service, "event_type": "other"}
    both.client.push([Entry(both.begin + 7, "{torn", labels)])
    assert counts(both.compare().report) == {Kind.UNPARSABLE: 1}


def test_the_newest_are_not_judged(both: LogAndLoki) -> None:
    both.chain.add(5).add(5, ts=time.time_ns() - 5 * SECOND, step=1)
    both.write()
    both.ship(both.chain.lines[:5])
    report = both.compare(grace=30 * SECOND).report
    assert (report.exit_status, report.records) == (0, 5)
    assert counts(both.compare(grace=0).report) == {Kind.MISSING: 5}


def test_a_backlog_that_is_just_written_is_not_judged(small: LogAndLoki) -> None:
    small.chain.add(5).add(1, ts=time.time_ns() - 5 * SECOND).add(4, ts=small.begin + 20 * SECOND)
    small.write()
    small.ship(small.chain.lines[:5])
    report = small.compare(grace=30 * SECOND).report
    assert (report.exit_status, report.fresh) == (0, 4)


def test_a_log_with_nothing_that_is_old_enough(small: LogAndLoki) -> None:
    begin = time.time_ns() - SECOND
    small.chain.add(5, ts=begin, step=1)
    small.write()
    report = small.compare(grace=30 * SECOND).report
    assert (report.exit_status, report.records, report.young) == (4, 0, 5)
    again = ns_of(report.ask_again)
    assert begin + 30 * SECOND < again < begin + 33 * SECOND
    assert counts(small.compare(grace=0).report) == {Kind.MISSING: 5}


def test_young_records_are_counted_beside_those_that_are_judged(both: LogAndLoki) -> None:
    both.chain.add(5).add(3, ts=time.time_ns() - 5 * SECOND, step=1)
    both.write()
    both.ship()
    report = both.compare(grace=30 * SECOND).report
    assert (report.exit_status, report.records, report.young) == (0, 5, 3)


def test_a_clock_that_is_a_little_ahead_is_no_fault(small: LogAndLoki) -> None:
    small.chain.add(5).add(2, ts=time.time_ns() + 60 * SECOND, step=1)
    small.write()
    small.ship()
    report = small.compare(grace=30 * SECOND).report
    assert (report.exit_status, report.young, dict(report.counts)) == (0, 2, {})


def test_records_of_a_fast_clock_are_a_finding(both: LogAndLoki) -> None:
    """Loki refuses them, so that nothing is missing of the time that can be compared."""
    both.chain.add(6).add(51, ts=time.time_ns() + 3600 * SECOND, step=SECOND)
    both.write()
    both.ship(both.chain.lines[:6])
    report = both.compare().report
    assert (report.exit_status, report.agreed) == (1, 6)
    assert counts(report) == {Kind.IN_THE_FUTURE: 51}
    (finding,) = report.findings
    assert (finding.from_seq, finding.to_seq, finding.count) == (7, 57, 51)
    assert "creation_grace_period" in finding.note


def test_records_under_the_name_of_another_service(small: LogAndLoki) -> None:
    """Whoever may write to a log writes the name that he likes."""
    small.chain.add(5)
    stranger = small.chain.service
    small.chain.service = "bank"
    small.chain.add(3)
    small.write()
    small.ship()
    report = small.compare(own=(stranger,)).report
    assert (report.exit_status, report.agreed) == (1, 8)
    assert counts(report) == {Kind.OTHER_SERVICE: 3}
    (finding,) = report.findings
    assert (finding.from_seq, finding.to_seq, finding.note) == (6, 8, "service bank")
    for own in ((), (stranger, "bank")):
        assert small.compare(own=own).report.exit_status == 0


@pytest.mark.parametrize("off", [-999, -1, 1, 238, 999])
def test_a_time_that_was_rounded_is_no_wrong_one(off: int, both: LogAndLoki) -> None:
    """Fluent Bit's parser computes fractions of a second in floating point."""
    both.chain.add(5)
    both.write()
    both.client.push(
        Entry(found.ts + off, line.decode(), found.labels)
        for line in both.chain.lines
        if (found := placement_of(line)) is not None
    )
    report = both.compare().report
    assert (report.exit_status, report.agreed, report.rounded) == (0, 5, 5)


@pytest.mark.parametrize("off", [-(10**9), -1000, 1000, 10**6])
def test_a_time_that_is_further_off_is_a_wrong_one(off: int, both: LogAndLoki) -> None:
    both.chain.add(5)
    both.write()
    both.ship(both.without(3))
    found = placement_of(both.chain.lines[2])
    assert found is not None
    both.client.push([Entry(found.ts + off, both.chain.lines[2].decode(), found.labels)])
    assert counts(both.compare().report) == {Kind.WRONG_TIME: 1}


def test_a_log_without_a_record(small: LogAndLoki, fake_loki: LokiServer) -> None:
    small.write()
    assert small.compare().report.exit_status == 3
    assert fake_loki.asked == []


def test_only_the_time_that_is_asked_for(both: LogAndLoki) -> None:
    both.chain.add(20)
    both.write()
    both.ship(both.without(2, 10, 19))
    at = [both.begin + number * SECOND for number in range(20)]
    assert counts(both.compare(since=at[2]).report) == {Kind.MISSING: 2}
    assert counts(both.compare(since=at[2], until=at[9]).report) == {Kind.MISSING: 1}
    assert counts(both.compare(since=at[2], until=at[8]).report) == {}
    assert counts(both.compare(since=at[1], until=at[18]).report) == {Kind.MISSING: 3}


def test_archived_segments_are_not_judged(both: LogAndLoki) -> None:
    both.chain.add(20)
    both.write(first=11)
    both.ship()
    assert both.compare().report.exit_status == 0


def test_a_log_that_was_cut_off(both: LogAndLoki) -> None:
    both.chain.add(20)
    both.write(last=15)
    both.ship()
    report = both.compare().report
    assert counts(report) == {Kind.NOT_IN_FILE: 5}
    (head,) = report.heads
    assert (head.seq, head.hash) == (20, both.chain.lines[-1][-66:-2].decode())


def test_a_log_that_was_begun_anew(both: LogAndLoki) -> None:
    """Nothing of the old one is left, and the new one is whole."""
    old = MadeChain("e" * 16, both.chain.service, both.begin - HOUR * SECOND).add(3)
    both.ship(old.lines)
    both.chain.add(5)
    both.write()
    both.ship()
    assert counts(both.compare().report) == {Kind.UNKNOWN_CHAIN: 1}
    assert both.compare(shared=True).report.exit_status == 0
    assert both.compare(since=both.begin).report.exit_status == 0


def test_logs_that_share_a_service(both: LogAndLoki, tmp_path: Path) -> None:
    both.chain.add(5)
    both.write()
    both.ship()
    other = MadeChain("e" * 16, both.chain.service, both.begin + 1).add(5)
    both.ship(other.lines)
    assert counts(both.compare().report) == {Kind.UNKNOWN_CHAIN: 5}
    report = both.compare(shared=True).report
    assert (report.exit_status, report.foreign) == (0, 5)
    path = other.write(tmp_path / "other" / "audit.jsonl")
    layouts = [both.layout, type(both.layout).of(str(path))]
    with LogIndex(layouts) as index:
        found = reconcile(index, both.client, Options(time.time_ns())).report
    assert (found.exit_status, found.agreed) == (0, 10)


def test_a_log_that_grows_meanwhile(small: LogAndLoki) -> None:
    """A backlog is written and shipped after the files were looked at: its times are old."""
    small.chain.add(20)
    small.write()
    small.ship()
    with LogIndex([small.layout]) as index:
        small.chain.add(3, ts=small.begin + SECOND // 2, step=1)
        small.write()
        small.ship(small.chain.lines[20:])
        report = reconcile(index, small.client, Options(time.time_ns())).report
    assert counts(report) == {}


def test_days_of_silence_are_few_questions(small: LogAndLoki, fake_loki: LokiServer) -> None:
    small.chain.add(3, ts=time.time_ns() - 6 * 24 * HOUR * SECOND).add(3, ts=small.begin)
    small.write()
    fake_loki.store.limits.out_of_order = 9 * 24 * HOUR * SECOND
    small.ship()
    fake_loki.asked.clear()
    assert small.compare().report.exit_status == 0
    assert len(fake_loki.asked) < 6 * 24


def test_progress_is_told_in_bytes(small: LogAndLoki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_scan, "BLOCK", 1000)
    monkeypatch.setattr(_log_index, "WINDOW", 1000)
    small.chain.add(50)
    small.write()
    small.ship()
    told: list[tuple[int, int]] = []
    small.compare(progress=lambda *now: told.append(now))
    size = Path(small.layout.active).stat().st_size
    assert told[-1] == (size, size)
    assert len(told) > 5


def test_pages_of_long_records_are_short(small: LogAndLoki, fake_loki: LokiServer) -> None:
    small.chain.add(20, fields={"pad": "x" * 60_000})
    small.write()
    small.ship()
    assert small.compare().report.exit_status == 0
    limits = {int(asked["limit"]) for _, path, asked in fake_loki.asked if "query" in path}
    assert min(limits) == 8 * 2**20 // 60_500 or min(limits) == 1


def test_heads(both: LogAndLoki) -> None:
    both.chain.add(30)
    both.ship([*both.chain.lines[:29], altered(both.chain.lines[29])])
    end = time.time_ns() + AHEAD
    (head,) = heads(both.client, [both.chain.chain, "e" * 16], both.begin, end)
    assert (head.chain, head.seq) == (both.chain.chain, 29)
    assert head.hash == both.chain.lines[28][-66:-2].decode()
    assert head.ts == both.begin + 28 * SECOND


def test_the_head_is_the_newest_by_its_number(both: LogAndLoki) -> None:
    both.chain.add(5).add(2, ts=both.begin + SECOND // 2)
    both.ship()
    (head,) = heads(both.client, [both.chain.chain], both.begin, time.time_ns())
    assert head.seq == 7


def test_a_stub_vouches_for_its_record(both: LogAndLoki) -> None:
    both.chain.add(2).add(1, fields={"pad": "x" * 900})
    both.ship([*both.chain.lines[:2], both.chain.cut(3, 700)])
    (head,) = heads(both.client, [both.chain.chain], both.begin, time.time_ns())
    assert head.seq == 3


def test_the_queries_name_services_and_chains() -> None:
    assert queries({"b", "a"}, ["1", "2"]) == [
        '{job="audit", service=~"a|b"}',
        '{job="audit", service!~"a|b"} |~ `"chain":"(1|2)"`',
    ]
    assert queries({"a"}, []) == ['{job="audit", service=~"a"}']


def test_the_span_ends_with_the_grace(small: LogAndLoki) -> None:
    small.chain.add(3)
    small.write()
    with LogIndex([small.layout]) as index:
        now = time.time_ns()
        assert span(index, Options(now, grace=5)) == (small.begin, now - 5)
        assert span(index, Options(now, since=0, until=9)) == (small.begin, 10)


EMITS = """
import resource, signal, sys
from audit_emit import configure, emit, flush
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
configure(service=sys.argv[1], jsonl=sys.argv[2])
emit(None, "secret.set", {"n": 0})
emit(None, "secret.set", {"pad": "é" * 5000, "n": 1})
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
for n in range(2, 6):
    emit(None, "secret.set", {"n": n, "pad": "x" * 9000 * (n == 3)})
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
emit(None, "key.created", {"lone": "\\ud800", "n": 6})
assert flush(20)
"""


def test_what_the_emitter_writes_to_stdout_agrees_with_its_file(
    both: LogAndLoki, tmp_path: Path
) -> None:
    """Stubs, and early forms of records that had to wait for the file."""
    command = [sys.executable, "-c", EMITS, both.chain.service, both.layout.active]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
    shown = [unwrapped(line) for line in done.stdout.splitlines()]
    both.ship(shown)
    report = both.compare(grace=0).report
    assert counts(report) == {}
    assert (report.joined, report.stubs) == (4, 2)
    assert report.agreed + report.stubs == report.records == 1 + 7
    lines = Path(both.layout.active).read_bytes().splitlines()
    both.ship(lines)
    report = both.compare(grace=0).report
    assert (report.exit_status, report.duplicates) == (0, 2)


@pytest.mark.loki
def test_a_hundred_thousand_records(tmp_path: Path, loki: RealLoki) -> None:
    """With a real Loki: through several windows and many pages, with nothing lost on the way."""
    both = LogAndLoki(tmp_path, loki.url, loki.tenant, ago=9 * HOUR)
    for number in range(10):
        both.chain.add(10_000, step=SECOND // 4, event_type=f"type.t{number % 4}")
    both.write()
    lost = {1, 2, 77_777, 100_000, *range(50_000, 50_100)}
    both.ship(both.without(*lost))
    report, _ = both.compare()
    assert counts(report) == {Kind.MISSING: len(lost)}
    assert report.agreed == 100_000 - len(lost)
    done, after = both.backfill()
    assert (done.placed, done.accepted, done.doubtful) == (len(lost), 0, 0)
    assert after.exit_status == 0
    assert both.compare().report.agreed == 100_000
    again, _ = both.backfill()
    assert again.placed == 0
    total = loki.series(
        f'sum(count_over_time({{job="audit", service="{both.chain.service}"}}[1d]))'
    )
    assert list(total.values()) == [100_000]
    both.client.close()
