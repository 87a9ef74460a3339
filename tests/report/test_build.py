"""A report on a log: its figures are what the queries beside them print."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chain_builder import BEGIN, SECOND, MadeChain, altered
from support.hostile_log import hostile_log
from support.requirements import program

from audit_emit._detection.loading import built_in
from audit_emit._readers.memory import MemoryReader
from audit_emit._readers.opening import open_reader
from audit_emit._report.build import SECTIONS, Asked, report_on
from audit_emit._report.model import Report
from audit_emit._report.period import DAY, Period
from audit_emit.cli import main

PERIOD = Period(BEGIN - DAY, BEGIN + DAY)


def report_of(log: Path, period: Period = PERIOD) -> Report:
    with open_reader(str(log)) as reader:
        return report_on(reader, Asked((str(log),), period, "two days"))


def figures_of(report: Report) -> Iterator[tuple[int, str]]:
    """Each figure with its query, where that prints it."""
    for section in (report.summary, *report.sections):
        for row in section.rows:
            if row.query.endswith("--total"):
                found = row.cells[section.figure]
                assert isinstance(found, int)
                yield found, row.query
    for control in report.controls:
        for said, query in control.evidence:
            if query.endswith("--total"):
                number = re.search("[0-9][0-9,]*", said)
                yield int(number[0].replace(",", "")) if number else 0, query


def arguments_of(queries: list[str]) -> list[list[str]]:
    """The arguments that a shell makes of command lines."""
    script = "audit-emit() { printf '%s\\0' \"$@\" $'\\1'; }\n" + "\n".join(queries)
    done = subprocess.run([program("bash"), "-c", script], capture_output=True, check=True)
    return [one.split("\0")[:-1] for one in done.stdout.decode().split("\1\0")[:-1]]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_log(tmp_path_factory.mktemp("report") / "log")


def test_each_query_prints_its_figure_whatever_is_in_the_records(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(figures_of(report_of(hostile)))
    assert len(found) > 100
    wrong = []
    for (figure, query), arguments in zip(
        found, arguments_of([query for _, query in found]), strict=True
    ):
        main(arguments)
        printed = capsys.readouterr().out.strip()
        if printed != str(figure):
            wrong.append((figure, printed, query))
    assert wrong == []


def test_only_the_period_is_counted_and_the_whole_log_is_verified(tmp_path: Path) -> None:
    log = MadeChain().add(10, step=3600 * SECOND).write(tmp_path / "audit.jsonl").parent
    report = report_of(log, Period(BEGIN + 3600 * SECOND, BEGIN + 4 * 3600 * SECOND))
    assert report.summary.rows[0].cells == ("Records", 3)
    assert report.verdict.seq == 10


def test_the_verdict_is_that_of_verify_and_names_the_head(tmp_path: Path) -> None:
    chain = MadeChain().add(5)
    log = chain.write(tmp_path / "audit.jsonl").parent
    one = report_of(log).verdict
    assert (one.verdict, one.seq) == ("ok", 5)
    assert one.command.endswith(f"--expect-head 5:{json.loads(chain.lines[-1])['hash']}")
    chain.lines[2] = altered(chain.lines[2])
    chain.write(tmp_path / "audit.jsonl")
    assert report_of(log).verdict.verdict == "tampered"


def test_a_log_without_signatures_is_not_said_to_be_signed(tmp_path: Path) -> None:
    log = MadeChain().add(5).write(tmp_path / "audit.jsonl").parent
    assert "No trusted signature covers it" in report_of(log).verdict.said


def test_losses_are_added_up(tmp_path: Path) -> None:
    chain = MadeChain().add(2)
    for lost in (5, 7, "x", -1, 2**70, True):
        chain.add(event_type="audit.gap", fields={"lost": lost, "sink": "jsonl"})
    report = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    assert [row.cells[1] for row in report.section("gaps").rows] == [0, 0, 0, 0, 7, 5]
    assert report.section("gaps").said[0].startswith("Of the period, 12 events")
    assert report.verdict.verdict == "incomplete"


def test_an_alert_is_open_until_somebody_names_it(tmp_path: Path) -> None:
    chain = MadeChain()
    for name in ("a-1", "a-2"):
        chain.add(event_type="audit.anomaly", fields={"id": name, "rule": "delete_burst"})
    chain.add(event_type="anomaly.acknowledged", user_id="eve", fields={"anomaly": "a-1"})
    report = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    states = [str(row.cells[-1]) for row in report.section("alerts").rows]
    assert states[0] == "open"
    assert states[1].startswith("acknowledged by eve, 2026-05-19T20:00:02")


@pytest.mark.parametrize("bound", ["OUTCOMES", "TYPES"])
def test_a_flood_of_values_hides_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"audit_emit._report.tally.{bound}", 3)
    chain = MadeChain()
    for number in range(5):
        chain.add(event_type=f"a.t{number}", fields={"outcome": f"o-{number}"})
    chain.add(2, event_type="b.read", fields={"outcome": "denied"})
    chain.add(event_type="b.denied").add(event_type="b.read")
    report = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    assert ("Refused or failed", 3) in [row.cells for row in report.summary.rows]
    assert sum(int(row.cells[2]) for row in report.section("refusals").rows) == 3
    assert sum(bar.refused for bar in report.activity.bars) == 3


def test_a_flood_of_alerts_hides_none_from_the_figures(tmp_path: Path) -> None:
    chain = MadeChain().add(
        event_type="audit.anomaly", fields={"id": "first", "seqs": list(range(10**8, 10**8 + 2048))}
    )
    for number in range(250):
        chain.add(event_type="audit.anomaly", fields={"id": f"a-{number}"})
    chain.add(event_type="anomaly.acknowledged", fields={"anomaly": "a-0"})
    report = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    assert ("Open alerts", 250) in [row.cells for row in report.summary.rows]
    assert (len(report.section("alerts").rows), report.section("alerts").more) == (200, 51)


def test_an_alert_with_many_records_is_shown(tmp_path: Path) -> None:
    fields = {"id": "wide", "title": "Wide", "seqs": list(range(10**8, 10**8 + 2048))}
    chain = MadeChain().add(event_type="audit.anomaly", fields=fields)
    report = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    assert [row.cells[2] for row in report.section("alerts").rows] == ["Wide"]


def test_a_silence_is_of_the_period_in_which_it_was_long_enough(tmp_path: Path) -> None:
    log = MadeChain().add(3).write(tmp_path / "audit.jsonl").parent
    days = [Period(BEGIN - DAY, BEGIN + 3600 * SECOND), Period(BEGIN + 3600 * SECOND, BEGIN + DAY)]
    for period, expected in zip(days, ([], ["2026-05-20T02:00:02.000000000Z"]), strict=True):
        with open_reader(str(log)) as reader:
            report = report_on(reader, Asked((str(log),), period, "one", rules=built_in()))
        rows = report.section("detected").rows
        assert [row.cells[0] for row in rows if row.cells[2] == "Silent Service"] == expected


def test_a_period_that_has_not_ended_is_not_silent_for_that(tmp_path: Path) -> None:
    now = time.time_ns()
    log = MadeChain().add(1, ts=now).write(tmp_path / "audit.jsonl").parent
    with open_reader(str(log)) as reader:
        period = Period(now - DAY, now + 30 * DAY)
        report = report_on(reader, Asked((str(log),), period, "more", rules=built_in()))
    assert report.section("detected").rows == ()


def test_history_reaches_back_to_the_first_record(tmp_path: Path) -> None:
    log = MadeChain().add(2, step=100 * DAY).write(tmp_path / "audit.jsonl").parent
    report = report_of(log, Period(BEGIN, BEGIN + 200 * DAY))
    assert report.summary.rows[-1].cells == ("Days of history", 200)


def test_what_has_no_room_is_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit._report.tally.TOLD_APART", 10)
    chain = MadeChain()
    for number in range(30):
        chain.add(user_id=f"u-{number}")
    report = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    actors = report.section("actors")
    assert not actors.exact
    assert sum(int(row.cells[2]) for row in actors.rows) == 30
    assert actors.rows[0].cells[:3] == ("(not told apart)", "(not told apart)", 20)
    assert actors.rows[0].query == ""
    assert report.section("types").exact


def test_any_store_is_read_alike(tmp_path: Path) -> None:
    chain = MadeChain().add(7)
    of_files = report_of(chain.write(tmp_path / "audit.jsonl").parent)
    asked = Asked((str(tmp_path),), PERIOD, "two days")
    of_memory = report_on(MemoryReader(chain.lines), asked)
    assert of_memory.sections == of_files.sections


def test_the_sections_are_those_that_a_map_may_name(tmp_path: Path) -> None:
    report = report_of(MadeChain().add().write(tmp_path / "audit.jsonl").parent)
    assert tuple(one.id for one in report.sections) == SECTIONS


def test_anomalies_are_found_in_the_same_pass_and_only_those_of_the_period(tmp_path: Path) -> None:
    chain = MadeChain()
    chain.add(30, event_type="secret.deleted", fields={"key": "A"})
    chain.add(1, ts=BEGIN + 2 * DAY)
    log = chain.write(tmp_path / "audit.jsonl").parent
    for period, found in ((PERIOD, True), (Period(BEGIN + DAY, BEGIN + 3 * DAY), False)):
        with open_reader(str(log)) as reader:
            asked = Asked((str(log),), period, "days", rules=built_in())
            report = report_on(reader, asked)
        rules = {row.cells[0]: row.cells[2] for row in report.section("anomalies").rows}
        assert len(rules) >= 10
        deleted = [one for one in report.section("detected").rows if "Delet" in str(one.cells[2])]
        assert bool(deleted) is found
        assert [one.cells[-1] for one in deleted] == ["open"] * len(deleted)


def test_records_of_a_past_time_count_as_those_in_their_order(tmp_path: Path) -> None:
    late = (
        MadeChain().add(3).add(2, ts=BEGIN - 5 * SECOND, user_id="late").add(1, ts=BEGIN + SECOND)
    )
    report = report_of(late.write(tmp_path / "audit.jsonl").parent)
    ends = {row.cells[0]: row.cells[-2:] for row in report.section("actors").rows}
    assert ends["late"] == ("2026-05-19T19:59:55Z", "2026-05-19T19:59:56Z")
    assert ends["u-17"] == ("2026-05-19T20:00:00Z", "2026-05-19T20:00:02Z")
