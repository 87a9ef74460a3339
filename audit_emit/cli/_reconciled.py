"""What ``reconcile`` tells people: the verdict first, then what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import click

from audit_emit._loki.disagreement import Finding, Kind, Report
from audit_emit._loki.held import Extent
from audit_emit.cli._text import visible

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
}


def show(report: Report, log: str, loki: str, extents: Mapping[str, Extent]) -> None:
    """The verdict on a log and a Loki."""
    word, color = {
        0: ("they agree", "green"),
        1: ("THEY DISAGREE", "red"),
        3: ("NOTHING TO COMPARE", "red"),
        4: ("incomplete", "yellow"),
    }[report.exit_status]
    click.echo(click.style(word, fg=color, bold=True) + f"  {visible(log)} and {visible(loki)}")
    if report.records:
        click.echo(f"  compared    {report.since} to {report.until}")
        click.echo(f"  the log     {_count(report.records, 'record')}, {_agreed(report)}")
    for label, text in (("Loki", _also(report)), ("not judged", _not_judged(report))):
        if text:
            click.echo(f"  {label:<10}  {text}")
    for kind, findings in groupby(report.findings, key=lambda finding: finding.kind):
        _show_kind(kind, list(findings), report.counts[kind])
    hint = _hint(report, extents)
    if hint:
        click.echo(f"  {hint}")


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
    plan = more.get("plan")
    if plan is not None:
        click.echo(
            f"would push {_count(plan['records'], 'record')}, {plan['bytes']:,} bytes, "
            f"in {plan['batches']:,} requests"
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
    )
    return ", ".join(f"{number:,} {text}" for number, text in parts if number)


def _not_judged(report: Report) -> str:
    parts = (
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


def _hint(report: Report, extents: Mapping[str, Extent]) -> str:
    """What may be behind it."""
    missing = [finding for finding in report.findings if finding.kind is Kind.MISSING]
    if missing and not report.agreed and not report.stubs:
        return "Loki has nothing of it: is this its address, and its tenant?"
    if Kind.UNKNOWN_CHAIN in report.counts:
        return (
            "If other logs have this service, too: name their directories as well, or say --shared."
        )
    if len(missing) == 1 and missing[0].chain in extents:
        extent = extents[missing[0].chain]
        if extent.first == missing[0].from_seq and missing[0].to_seq < extent.last:
            return (
                "It is the beginning that is missing. If Loki keeps less than the log, let --since "
                f"begin after {missing[0].to_ts}"
            )
    return ""
