"""The comparison of a log with Loki: what each side may lack, and what is nobody's fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chain_builder import BEGIN, CHAIN, SECOND, MadeChain, altered, rewritten

from audit_emit._format.record import ts_of
from audit_emit._loki.comparison import Missing, Reconciler
from audit_emit._loki.disagreement import KEPT, Finding, Kind, Report
from audit_emit._loki.labels import placement_of
from audit_emit._loki.records import Extent, LoggedRecord, parse_record


class Entry(NamedTuple):
    """A line in Loki."""

    ts: int
    line: str
    labels: dict[str, str]


class Log:
    """A log in memory."""

    def __init__(self, lines: Iterable[bytes], fresh: int = 0) -> None:
        found = [parse_record(line) for line in lines]
        self.all = [one for one in found if one is not None]
        self.extents: dict[str, Extent] = {}
        for one in self.all:
            if one.chain:
                first, last, _ = self.extents.get(one.chain, Extent(one.seq, one.seq))
                seqs = first, last, one.seq
                self.extents[one.chain] = Extent(min(seqs), max(seqs), fresh)

    def records(self, chain: str, seq: int) -> Sequence[LoggedRecord]:
        return [one for one in self.all if (one.chain, one.seq) == (chain, seq)]

    def near(self, ts: int, slack: int) -> Iterable[LoggedRecord]:
        return [one for one in self.all if ts <= one.ts <= ts + slack]


def as_shipped(line: bytes, *, ts: int | None = None, **labels: str) -> Entry:
    """A line as the pipeline ships it, or at another time, or with other labels."""
    found = placement_of(line)
    assert found is not None
    return Entry(found.ts if ts is None else ts, line.decode(), {**found.labels, **labels})


def foreign(text: str, ts: int = BEGIN, **labels: str) -> Entry:
    return Entry(ts, text, {"job": "audit", "service": "secrets-api", **labels})


def compared(
    log: Log, entries: Iterable[Entry], *, cuts: Sequence[int] = (), shared: bool = False
) -> tuple[Report, Missing]:
    """The verdict, with windows that are cut at these times."""
    entries = list(entries)
    borders = [0, *sorted(cuts), 1 << 63]
    reconciler = Reconciler(log, log.extents, ["secrets-api"], shared=shared)
    for start, stop in pairwise(borders):
        reconciler.compare(
            sorted((one for one in log.all if start <= one.ts < stop), key=lambda one: one.ts),
            [entry for entry in entries if start <= entry.ts < stop],
        )
    return reconciler.finish(BEGIN, BEGIN + SECOND), reconciler.missing


def verdict(log: Log, entries: Iterable[Entry], *, shared: bool = False) -> Report:
    return compared(log, entries, shared=shared)[0]


def only(report: Report) -> Finding:
    """The one finding that there is."""
    (finding,) = report.findings
    assert report.counts == {finding.kind: finding.count}
    assert report.exit_status == 1
    return finding


@pytest.fixture
def chain() -> MadeChain:
    return MadeChain().add(10)


def test_they_agree(chain: MadeChain) -> None:
    report = verdict(Log(chain.lines), map(as_shipped, chain.lines))
    assert report.findings == ()
    assert (report.records, report.agreed, report.exit_status) == (10, 10, 0)


def test_the_order_of_the_lines_does_not_matter(chain: MadeChain) -> None:
    assert verdict(Log(chain.lines), map(as_shipped, chain.lines[::-1])).exit_status == 0


def test_nothing_on_both_sides_is_no_agreement() -> None:
    assert verdict(Log([]), []).exit_status == 3


def test_a_missing_part_is_one_range(chain: MadeChain) -> None:
    entries = [as_shipped(line) for line in chain.lines[:3] + chain.lines[7:]]
    finding = only(verdict(Log(chain.lines), entries))
    assert finding == Finding(
        Kind.MISSING,
        CHAIN,
        4,
        7,
        ts_of(BEGIN + 3 * SECOND),
        ts_of(BEGIN + 6 * SECOND),
        4,
    )


def test_what_may_be_on_its_way_is_not_missing(chain: MadeChain) -> None:
    report = verdict(Log(chain.lines, fresh=8), map(as_shipped, chain.lines[:7]))
    assert (report.exit_status, report.fresh) == (0, 3)


def test_what_was_pushed_lately_is_waited_for(chain: MadeChain) -> None:
    log = Log(chain.lines)
    reconciler = Reconciler(log, log.extents, ["secrets-api"], sent=lambda one: one.seq == 5)
    reconciler.compare(
        log.all, [as_shipped(each) for each in chain.lines if b'"seq":5,' not in each]
    )
    report = reconciler.finish(0, 1)
    assert (report.exit_status, report.waiting) == (4, 1)


@pytest.mark.parametrize("cuts", [(), (BEGIN + 5 * SECOND,)], ids=["one window", "two"])
def test_another_content_is_altered_not_missing(chain: MadeChain, cuts: tuple[int, ...]) -> None:
    entries = [as_shipped(line) for line in chain.lines]
    entries[4] = as_shipped(altered(chain.lines[4]))
    finding = only(compared(Log(chain.lines), entries, cuts=cuts)[0])
    assert (finding.kind, finding.from_seq) == (Kind.ALTERED, 5)
    assert finding.note.startswith("Loki's line does not have the hash")


def test_a_log_that_was_changed_is_told_from_loki(chain: MadeChain) -> None:
    lines = list(chain.lines)
    lines[4] = altered(lines[4])
    finding = only(verdict(Log(lines), map(as_shipped, chain.lines)))
    assert finding.note.startswith("the log's record does not have the hash")


def test_a_record_that_was_written_anew_has_another_hash(chain: MadeChain) -> None:
    lines = list(chain.lines)
    lines[4] = rewritten(lines[4], user_id="u-18")
    finding = only(verdict(Log(lines), map(as_shipped, chain.lines)))
    assert finding.file_hash != finding.loki_hash
    assert finding.loki_hash == chain.lines[4][-66:-2].decode()
    assert finding.note.startswith("both have the hash")


@pytest.mark.parametrize("cuts", [(), (BEGIN + 5 * SECOND,)], ids=["one window", "two"])
def test_a_time_that_was_changed_in_the_log_is_one_finding(
    chain: MadeChain, cuts: tuple[int, ...]
) -> None:
    lines = list(chain.lines)
    lines[4] = rewritten(lines[4], ts=ts_of(BEGIN + 6 * SECOND + 1))
    report, missing = compared(Log(lines), map(as_shipped, chain.lines), cuts=cuts)
    assert only(report).kind == Kind.ALTERED
    assert list(missing) == []


def test_a_record_after_the_end_of_the_log(chain: MadeChain) -> None:
    finding = only(verdict(Log(chain.lines[:7]), map(as_shipped, chain.lines)))
    assert (finding.kind, finding.from_seq, finding.to_seq) == (Kind.NOT_IN_FILE, 8, 10)
    assert finding.note == "after the end of the log"


def test_a_record_in_a_hole_of_the_log(chain: MadeChain) -> None:
    log = Log(chain.lines[:4] + chain.lines[5:])
    finding = only(verdict(log, map(as_shipped, chain.lines)))
    assert (finding.kind, finding.from_seq) == (Kind.NOT_IN_FILE, 5)
    assert finding.note == "a hole in the log"


def test_a_forged_record_after_the_end(chain: MadeChain) -> None:
    forged = altered(MadeChain().add(11).lines[10])
    finding = only(verdict(Log(chain.lines), map(as_shipped, [*chain.lines, forged])))
    assert finding.note == "after the end of the log, and it does not have the hash that it states"


def test_what_is_before_the_first_record_of_the_log_is_not_judged(chain: MadeChain) -> None:
    report = verdict(Log(chain.lines[4:]), map(as_shipped, chain.lines))
    assert (report.exit_status, report.older) == (0, 4)


def test_another_chain_of_the_service(chain: MadeChain) -> None:
    other = MadeChain("ffffffffffffffff").add(3)
    entries = [as_shipped(line) for line in chain.lines + other.lines]
    finding = only(verdict(Log(chain.lines), entries))
    assert (finding.kind, finding.chain, finding.count) == (Kind.UNKNOWN_CHAIN, other.chain, 3)
    report = verdict(Log(chain.lines), entries, shared=True)
    assert (report.exit_status, report.foreign) == (0, 3)


def test_another_chain_of_another_service_is_not_judged(chain: MadeChain) -> None:
    other = MadeChain("ffffffffffffffff", service="web").add(3)
    report = verdict(Log(chain.lines), map(as_shipped, chain.lines + other.lines))
    assert (report.exit_status, report.foreign) == (0, 3)


def test_an_early_form_that_got_into_the_chain(chain: MadeChain) -> None:
    entries = [as_shipped(line) for line in [*chain.lines, chain.early(3)]]
    report = verdict(Log(chain.lines), entries)
    assert (report.exit_status, report.joined, report.agreed) == (0, 1, 10)


@pytest.mark.parametrize("cuts", [(), (BEGIN + 2 * SECOND,)], ids=["one window", "two"])
def test_an_early_form_whose_time_was_bumped(chain: MadeChain, cuts: tuple[int, ...]) -> None:
    early = chain.early(3).replace(
        ts_of(BEGIN + 2 * SECOND).encode(), ts_of(BEGIN + 2 * SECOND - 1).encode()
    )
    report, _ = compared(Log(chain.lines), map(as_shipped, [*chain.lines, early]), cuts=cuts)
    assert (report.exit_status, report.joined) == (0, 1)


def test_an_early_form_does_not_stand_for_the_record(chain: MadeChain) -> None:
    entries = [as_shipped(line) for line in chain.lines if b'"seq":3,' not in line]
    report = verdict(Log(chain.lines), [*entries, as_shipped(chain.early(3))])
    assert only(report).kind == Kind.MISSING
    assert report.joined == 1


def test_an_event_that_never_got_into_the_chain(chain: MadeChain) -> None:
    lost = MadeChain().add(11).early(11)
    finding = only(verdict(Log(chain.lines), map(as_shipped, [*chain.lines, lost])))
    assert (finding.kind, finding.chain, finding.from_seq) == (Kind.NEVER_CHAINED, "", 0)


def test_an_early_form_with_another_content(chain: MadeChain) -> None:
    entries = map(as_shipped, [*chain.lines, altered(chain.early(3))])
    assert only(verdict(Log(chain.lines), entries)).kind == Kind.NEVER_CHAINED


def test_a_stub_stands_for_its_record() -> None:
    chain = MadeChain().add(2, fields={"a": "x" * 500, "b": 1}).add(1)
    entries = map(as_shipped, [chain.cut(1, 600), *chain.lines[1:]])
    report = verdict(Log(chain.lines), entries)
    assert (report.exit_status, report.stubs, report.agreed) == (0, 1, 2)


def test_a_stub_and_its_record_are_one_twice() -> None:
    chain = MadeChain().add(2, fields={"a": "x" * 500})
    entries = [as_shipped(line) for line in [*chain.lines, chain.cut(1, 600), chain.cut(2, 600)]]
    for order in (entries, entries[::-1]):
        report = verdict(Log(chain.lines), order)
        assert (report.exit_status, report.duplicates) == (0, 2)


def test_a_stub_with_another_content_is_altered() -> None:
    chain = MadeChain().add(1, fields={"a": "x" * 500})
    finding = only(verdict(Log(chain.lines), [as_shipped(altered(chain.cut(1, 600)))]))
    assert finding.kind == Kind.ALTERED
    assert finding.file_hash == finding.loki_hash


def test_a_stub_that_is_longer_than_its_record_is_none() -> None:
    chain = MadeChain().add(1)
    report = verdict(Log(chain.lines), [as_shipped(chain.cut(1, 5000))])
    assert only(report).kind == Kind.ALTERED


def test_an_early_stub() -> None:
    chain = MadeChain().add(1, fields={"a": "x" * 500})
    made = MadeChain().add(1, fields={"a": "x" * 500})
    made.lines[0] = chain.early(1)
    entries = [as_shipped(line) for line in [*chain.lines, made.cut(1, 400)]]
    report = verdict(Log(chain.lines), entries)
    assert (report.exit_status, report.joined) == (0, 1)


def test_duplicates_are_counted(chain: MadeChain) -> None:
    report = verdict(Log(chain.lines), map(as_shipped, chain.lines + chain.lines[:3]))
    assert (report.exit_status, report.duplicates, report.agreed) == (0, 3, 10)


@pytest.mark.parametrize("text", ["{", "x", '{"ts":1}', '{"ts":"2026-05-19T20:00:00Z"}', ""])
def test_a_line_that_is_no_record(chain: MadeChain, text: str) -> None:
    entries = [*map(as_shipped, chain.lines), foreign(text)]
    assert only(verdict(Log(chain.lines), entries)).kind == Kind.UNPARSABLE


def test_wrong_labels(chain: MadeChain) -> None:
    entries = [as_shipped(line) for line in chain.lines]
    entries[2] = as_shipped(chain.lines[2], event_type="other")
    finding = only(verdict(Log(chain.lines), entries))
    assert (finding.kind, finding.from_seq) == (Kind.WRONG_LABELS, 3)
    assert finding.note == "event_type is 'other', not 'secret.set'"


def test_wrong_labels_of_a_second_copy(chain: MadeChain) -> None:
    entries = [*map(as_shipped, chain.lines), as_shipped(chain.lines[2], service="unknown")]
    report = verdict(Log(chain.lines), entries)
    assert (only(report).kind, report.duplicates) == (Kind.WRONG_LABELS, 1)


@pytest.mark.parametrize("cuts", [(), (BEGIN + 5 * SECOND,)], ids=["one window", "two"])
@pytest.mark.parametrize("ts", [BEGIN - 1, BEGIN + 8 * SECOND])
def test_a_wrong_time_is_one_finding(chain: MadeChain, ts: int, cuts: tuple[int, ...]) -> None:
    entries = [as_shipped(line) for line in chain.lines]
    entries[4] = as_shipped(chain.lines[4], ts=ts)
    report, missing = compared(Log(chain.lines), entries, cuts=cuts)
    finding = only(report)
    assert (finding.kind, finding.from_seq) == (Kind.WRONG_TIME, 5)
    assert finding.note == f"at {ts_of(ts)}"
    assert list(missing) == []
    assert report.agreed == 10


LEGACY = b'{"ts":"2026-05-19T20:00:00.5Z","event_type":"secret.set","fields":{},"service":"old"}'


def test_records_from_before_there_was_a_chain(chain: MadeChain) -> None:
    log = Log([LEGACY, *chain.lines])
    assert verdict(log, map(as_shipped, [LEGACY, *chain.lines])).agreed == 11
    finding = only(verdict(log, map(as_shipped, chain.lines)))
    assert (finding.kind, finding.chain, finding.from_seq) == (Kind.MISSING, "", 0)
    _, missing = compared(log, map(as_shipped, chain.lines))
    assert [(run.chain, run.low) for run in missing] == [("", BEGIN + SECOND // 2)]


def test_heads_are_the_newest_that_loki_vouches_for(chain: MadeChain) -> None:
    longer = MadeChain().add(12).lines
    entries = map(as_shipped, [*longer[:11], altered(longer[11])])
    report = verdict(Log(chain.lines), entries)
    (head,) = report.heads
    assert (head.chain, head.seq, head.hash) == (CHAIN, 11, longer[10][-66:-2].decode())


def test_findings_in_a_row_are_joined_and_others_counted() -> None:
    chain = MadeChain().add(2 * KEPT + 10)
    report = verdict(Log(chain.lines), map(as_shipped, chain.lines[::2]))
    assert report.counts == {Kind.MISSING: KEPT + 5}
    assert len(report.findings) == KEPT


def test_a_clock_that_stepped_back(chain: MadeChain) -> None:
    chain.add(10, ts=BEGIN + SECOND // 2)
    entries = [as_shipped(line) for line in chain.lines if b'"seq":13,' not in line]
    report, missing = compared(Log(chain.lines), entries, cuts=[BEGIN + 3 * SECOND])
    assert only(report).from_seq == 13
    assert [(run.first, run.last) for run in missing] == [(13, 13)]


# Whatever is planted is found, and nothing else.

WHAT = st.sampled_from(
    ["ok"] * 8
    + ["lost", "altered", "rewritten", "twice", "early", "wrong time", "wrong label", "stub"]
)


@pytest.mark.thorough
@settings(max_examples=60, deadline=None)
@given(data=st.data(), fates=st.lists(WHAT, min_size=1, max_size=40), tail=st.integers(0, 3))
def test_what_is_planted_is_found_and_nothing_else(
    data: st.DataObject, fates: list[str], tail: int
) -> None:
    chain = MadeChain()
    for number in range(len(fates) + tail):
        back = data.draw(st.integers(-3, 3), label=f"step {number}")
        chain.add(1, ts=BEGIN + (2 * number + back) * SECOND + number, fields={"a": "x" * 300})
    log = Log(chain.lines[: len(fates)])
    entries: list[Entry] = []
    planted: set[tuple[str, int]] = set()
    counted = {"twice": 0, "early": 0, "stub": 0}
    for seq, fate in enumerate(fates, 1):
        line = chain.lines[seq - 1]
        if fate == "lost":
            planted.add((Kind.MISSING, seq))
        elif fate in {"altered", "rewritten"}:
            other = altered(line) if fate == "altered" else rewritten(line, user_id="u-18")
            entries.append(as_shipped(other))
            planted.add((Kind.ALTERED, seq))
        elif fate == "wrong time":
            entries.append(as_shipped(line, ts=BEGIN + 7 * SECOND + 999_999))
            planted.add((Kind.WRONG_TIME, seq))
        elif fate == "wrong label":
            entries.append(as_shipped(line, service="web"))
            planted.add((Kind.WRONG_LABELS, seq))
        elif fate == "stub":
            entries.append(as_shipped(chain.cut(seq, 500)))
        else:
            entries.append(as_shipped(line))
        if fate == "twice":
            entries.append(as_shipped(line))
        if fate == "early":
            entries.append(as_shipped(chain.early(seq)))
        if fate in counted:
            counted[fate] += 1
    for seq in range(len(fates) + 1, len(fates) + tail + 1):
        entries.append(as_shipped(chain.lines[seq - 1]))
        planted.add((Kind.NOT_IN_FILE, seq))
    cuts = data.draw(st.lists(st.integers(-5, 90), max_size=5), label="cuts")
    report, missing = compared(
        log, data.draw(st.permutations(entries)), cuts=[BEGIN + cut * SECOND for cut in cuts]
    )
    found = {
        (finding.kind, seq)
        for finding in report.findings
        for seq in range(finding.from_seq, finding.to_seq + 1)
    }
    assert found == planted
    assert sum(report.counts.values()) == len(planted)
    assert (report.duplicates, report.joined, report.stubs) == tuple(counted.values())
    lost = {seq for run in missing for seq in range(run.first, run.last + 1)}
    assert lost == {seq for kind, seq in planted if kind == Kind.MISSING}
