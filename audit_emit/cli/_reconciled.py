"""The output of ``reconcile`` for people: the verdict first, then its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from audit_emit._facade.loki import Finding, Kind, Report
from audit_emit._facade.records import Extent, ts_of
from audit_emit._facade.text import visible
from audit_emit.cli._exit import Exit

if TYPE_CHECKING:
    from audit_emit._facade.loki_client import Plan

SHOWN = 10
"""Findings of one kind that are shown; ``--json`` has more."""

MEANING = {
    Kind.MISSING: "missing in Loki",
    Kind.ALTERED: "not the same in the log and in Loki",
    Kind.NOT_IN_FILE: "in Loki, and not in the log",
    Kind.UNKNOWN_CHAIN: "in Loki, of a chain that is not in the log",
    Kind.NEVER_CHAINED: "in Loki without a chain, and not in the log",
    Kind.UNPARSABLE: "in Loki, and no records",
    Kind.WRONG_LABELS: "in Loki with other labels than the pipeline's",
    Kind.WRONG_TIME: "in Loki at another time than their own",
    Kind.OTHER_SERVICE: "in the log under the name of another service",
    Kind.IN_THE_FUTURE: "of a time that is still to come, and not compared",
}


class Log(NamedTuple):
    """The facts about a log that are printed beside the verdict.

    Attributes:
        name: its directories.
        extents: see ``LogIndex``.
        times: of its first and its last record; ``None`` when it has none.
        grace: nanoseconds that a record may be on its way.
    """

    name: str
    extents: Mapping[str, Extent]
    times: tuple[int, int] | None
    grace: int


def show(report: Report, log: Log, loki: str) -> None:
    """The verdict on a log and a Loki."""
    word, color = {
        0: ("they agree", "green"),
        1: ("THEY DISAGREE", "red"),
        3: ("NOTHING TO COMPARE", "red"),
        4: ("incomplete", "yellow"),
    }[report.exit_status]
    click.echo(
        click.style(word, fg=color, bold=True) + f"  {visible(log.name)} and {visible(loki)}"
    )
    if report.records:
        click.echo(f"  compared    {report.since} to {report.until}")
        click.echo(f"  the log     {_count(report.records, 'record')}, {_agreed(report)}")
    for label, text in (("Loki", _also(report)), ("not judged", _not_judged(report, log))):
        if text:
            click.echo(f"  {label:<10}  {text}")
    for kind, findings in groupby(report.findings, key=lambda finding: finding.kind):
        _show_kind(kind, list(findings), report.counts[kind])
    hint = _nothing(log) if report.exit_status == Exit.NOTHING else _hint(report, log)
    if hint:
        click.echo(f"  {hint}")


def show_plan(plan: Plan, *, flush: bool) -> None:
    """What is about to be pushed, on standard error."""
    if not plan.records:
        return
    text = f"pushing {_pushing(plan.records, plan.size, plan.batches, plan.streams, plan.steps)}"
    if plan.steps > 1 and not flush:
        text += "; this is the first one, as --flush is not given"
    click.echo(f"audit-emit: {text}", err=True)


def _pushing(records: int, size: int, batches: int, streams: int, steps: int) -> str:
    return (
        f"{_count(records, 'record')}, {size:,} bytes, in {_count(batches, 'request')}; that opens "
        f"{_count(streams, 'stream')}" + (f", in {steps:,} steps" if steps > 1 else "")
    )


def show_more(more: Mapping[str, Any]) -> None:
    """What was pushed, or would be."""
    pushed = more.get("backfill")
    if pushed is not None:
        click.echo(
            f"pushed: {pushed['placed']:,} are in Loki now"
            + (f"; {pushed['accepted']:,} were accepted" if pushed["accepted"] else "")
            + (f"; {pushed['doubtful']:,} are in doubt" if pushed["doubtful"] else "")
            + (f"; {pushed['left']:,} could not be placed" if pushed["left"] else "")
        )
        if pushed["accepted"] or pushed["doubtful"]:
            click.echo(
                "Loki shows old records when it has written them, after 3 hours at the latest; "
                "run it again then. Until then they are not pushed a second time."
            )
        if pushed["later"]:
            click.echo(
                f"{pushed['later']:,} are left for a further step. Run it again when Loki has "
                "written its chunks (30 minutes after the last record, or POST /flush), or with "
                "--flush"
            )
    plan = more.get("plan")
    if plan is not None:
        numbers = (plan[name] for name in ("records", "bytes", "batches", "streams", "steps"))
        click.echo(
            f"would push {_pushing(*numbers)}"
            + (f"; {plan['left']:,} must not be pushed" if plan["left"] else "")
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _agreed(report: Report) -> str:
    text = f"{report.agreed:,} of them in Loki as they are"
    return f"{text}, {report.stubs:,} as stubs with their hash" if report.stubs else text


def _also(report: Report) -> str:
    parts = (
        (report.duplicates, "more than once"),
        (report.joined, "early forms of records that had to wait"),
        (report.rounded, "at a time that was rounded by less than a microsecond"),
    )
    return ", ".join(f"{number:,} {text}" for number, text in parts if number)


def _nothing(log: Log) -> str:
    """Why there is nothing to compare."""
    if log.times is None:
        return "there is no record in the log"
    first, last = map(ts_of, log.times)
    return f"its records are from {first} to {last}: none is of the time that was asked about"


def _not_judged(report: Report, log: Log) -> str:
    younger = f"younger than --grace {log.grace / 1e9:g}s (ask again at {report.ask_again})"
    noun = "record is" if report.young == 1 else "records are"
    parts = (
        (report.young, f"{noun} {younger}"),
        (report.fresh, "records that may be on their way"),
        (report.waiting, "that were pushed lately and are not shown yet"),
        (report.older, "lines from before the first record here"),
        (report.foreign, "lines of other logs"),
        (report.strange, "lines of the log that are no records"),
    )
    return ", ".join(f"{number:,} {text}" for number, text in parts if number)


def _show_kind(kind: Kind, findings: list[Finding], count: int) -> None:
    click.echo(click.style(f"  {kind}", fg="red", bold=True) + f"  {count:,} {MEANING[kind]}")
    for finding in findings[:SHOWN]:
        click.echo(f"    {visible(describe(finding))}")
    rest = count - sum(finding.count for finding in findings[:SHOWN])
    if rest:
        click.echo(f"    … and {rest:,} more")


def describe(finding: Finding) -> str:
    """A finding on one line, without its kind."""
    parts = []
    if finding.chain:
        parts.append(f"chain {finding.chain}")
        alone = finding.from_seq == finding.to_seq
        parts.append(
            f"record {finding.from_seq}" if alone else f"{finding.from_seq} to {finding.to_seq}"
        )
    alone = finding.from_ts == finding.to_ts
    parts.append(finding.from_ts if alone else f"{finding.from_ts} to {finding.to_ts}")
    if finding.file_hash and finding.loki_hash:
        parts.append(f"hash {finding.file_hash[:16]}… here, {finding.loki_hash[:16]}… there")
    if finding.note:
        parts.append(finding.note)
    return ", ".join(parts)


def _hint(report: Report, log: Log) -> str:
    """The probable cause of a finding, and what to do; empty where none is known."""
    missing = [finding for finding in report.findings if finding.kind is Kind.MISSING]
    if missing and not report.agreed and not report.stubs:
        return "Loki has nothing of it: is this its address, and its tenant?"
    if Kind.UNKNOWN_CHAIN in report.counts:
        return (
            "If other logs have this service, too: name their directories as well, or say "
            "--shared. If none has, somebody else writes under its name."
        )
    if len(missing) == 1 and missing[0].chain in log.extents:
        extent = log.extents[missing[0].chain]
        if extent.first == missing[0].from_seq and missing[0].to_seq < extent.last:
            return (
                "It is the beginning that is missing. If Loki keeps less than the log, let --since "
                f"begin after {missing[0].to_ts}"
            )
    return ""
