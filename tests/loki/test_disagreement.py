"""Findings in a row are one, holes are cheap, and the verdict follows from what was found."""

from __future__ import annotations

import sys

import pytest
from support.chain_builder import BEGIN, CHAIN, SECOND

from audit_emit._format.record import ts_of
from audit_emit._loki.disagreement import Finding, Findings, Head, Kind, Report, Run, Runs


def finding(seq: int, kind: Kind = Kind.MISSING, note: str = "", chain: str = CHAIN) -> Finding:
    ts = ts_of(BEGIN + seq * SECOND)
    return Finding(kind, chain, seq, seq, ts, ts, note=note)


def ranges(findings: Findings) -> list[tuple[int, int, int]]:
    return [(one.from_seq, one.to_seq, one.count) for one in findings.kept]


def test_findings_in_a_row_are_one() -> None:
    found = Findings()
    for seq in (3, 4, 5, 9):
        found.add(finding(seq))
    assert ranges(found) == [(3, 5, 3), (9, 9, 1)]
    assert found.kept[0].to_ts == ts_of(BEGIN + 5 * SECOND)
    assert found.counts == {Kind.MISSING: 4}


@pytest.mark.parametrize(
    "other",
    [
        finding(4, Kind.ALTERED),
        finding(4, note="why"),
        finding(4, chain="f" * 16),
        finding(5),
        finding(3),
    ],
)
def test_what_differs_is_not_joined(other: Finding) -> None:
    found = Findings()
    found.add(finding(3))
    found.add(other)
    assert len(found.kept) == 2


def test_kinds_may_alternate() -> None:
    found = Findings()
    for seq in range(1, 9):
        found.add(finding(seq, Kind.ALTERED if seq % 2 else Kind.MISSING))
        found.add(finding(seq, Kind.WRONG_TIME))
    assert (1, 8, 8) in ranges(found)


def test_findings_without_a_chain_are_not_joined() -> None:
    found = Findings()
    for _ in range(3):
        found.add(finding(0, Kind.UNPARSABLE, chain=""))
    assert ranges(found) == [(0, 0, 1)] * 3


def test_runs_keep_their_order() -> None:
    runs = Runs()
    for chain, seq, ts in [
        (CHAIN, 5, 1),
        (CHAIN, 6, 2),
        ("f" * 16, 7, 3),
        (CHAIN, 7, 4),
        ("", 0, 5),
    ]:
        runs.add(chain, seq, ts)
    assert list(runs) == [
        Run(CHAIN, 5, 6, 1, 2),
        Run("f" * 16, 7, 7, 3, 3),
        Run(CHAIN, 7, 7, 4, 4),
        Run("", 0, 0, 5, 5),
    ]
    assert len(runs) == 4


def test_numbers_may_be_as_big_as_they_get() -> None:
    runs = Runs()
    runs.add(CHAIN, 10**19 - 1, 2**63 - 1)
    assert list(runs) == [Run(CHAIN, 10**19 - 1, 10**19 - 1, 2**63 - 1, 2**63 - 1)]


def test_a_hole_costs_little() -> None:
    runs = Runs()
    for seq in range(0, 20_000, 2):
        runs.add(CHAIN, seq, seq)
    size = sys.getsizeof(runs._seqs) + sys.getsizeof(runs._times)
    assert size < 10_000 * 50


def report(counts: dict[str, int], records: int = 5, waiting: int = 0) -> Report:
    head = Head(CHAIN, 5, "ab" * 32, BEGIN)
    return Report((), counts, "", "", records, waiting=waiting, heads=(head,))


@pytest.mark.parametrize(
    ("made", "status", "verdict"),
    [
        (report({}), 0, "agree"),
        (report({"altered": 1}), 1, "disagree"),
        (report({}, records=0), 3, "nothing-found"),
        (report({"not-in-file": 1}, records=0), 1, "disagree"),
        (report({}, waiting=1), 4, "incomplete"),
        (report({"altered": 1}, waiting=1), 1, "disagree"),
    ],
)
def test_the_verdict(made: Report, status: int, verdict: str) -> None:
    assert made.exit_status == status
    assert made.as_dict()["verdict"] == verdict
    assert made.as_dict()["heads"][0]["ts"] == ts_of(BEGIN)
