"""The verdict on a log as ``verify`` and ``repair`` print it for people."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby

import click

from audit_emit._facade.keys import Ed25519Key
from audit_emit._facade.records import ts_of
from audit_emit._facade.text import shown_value, visible
from audit_emit._facade.verdicts import INCOMPLETE, INFORMATIVE, TAMPERED, UNSIGNED_TIME, Verified
from audit_emit._facade.verdicts import SHOWN as SHOWN_MEMBERS
from audit_emit.log import Finding, KeyRing, Kind, Report

ADVICE = (
    "change nothing, copy the whole directory as it is, and find out who could write it: "
    "docs/incident.md"
)
SHOWN = 10
"""Findings of one kind that are shown; ``--json`` has more."""


def show(verified: Verified, ring: KeyRing) -> None:
    """Print the verdict, and what it is about."""
    report = verified.report
    word, color = {
        0: ("ok", "green"),
        1: ("TAMPERED", "red"),
        3: ("NOTHING FOUND", "red"),
        4: ("incomplete", "yellow"),
    }[report.exit_status]
    click.echo(click.style(word, fg=color, bold=True) + f"  {visible(verified.log)}")
    click.echo(f"  integrity     {_integrity(report)}")
    click.echo(f"  completeness  {_completeness(report)}")
    click.echo(f"  anchored      {visible(_anchored(report, ring))}")
    if report.witnessed_seq:
        click.echo(f"  witnessed     {visible(_witnessed(report))}")
    if report.outside_seq:
        at = f", stamped at {ts_of(report.outside_time * 10**9)}" if report.outside_time else ""
        click.echo(f"  outside       record {report.outside_seq} was anchored elsewhere{at}")
    if verified.edge is not None:
        hot = verified.edge.oldest_hot_seq
        here = f"on disk from record {hot} on" if hot else "nothing on disk"
        click.echo(f"  archived      up to record {verified.edge.highest_archived_seq}; {here}")
    by_kind = sorted(report.findings, key=lambda finding: list(Kind).index(finding.kind))
    for kind, findings in groupby(by_kind, key=lambda finding: finding.kind):
        _show_kind(kind, list(findings), report.counts[kind])
    if report.tampered:
        click.echo(f"  what to do    {ADVICE}")


def _witnessed(report: Report) -> str:
    after = report.last_seq - report.witnessed_seq
    rest = f"; nobody else saw the {after} after it" if after else ": the whole log"
    at = ts_of(report.witnessed_time * 10**9)
    return f"up to record {report.witnessed_seq} at {at}, by {', '.join(report.witnessed_by)}{rest}"


_CHANGED = {
    Kind.EVENT_HASH_MISMATCH: ("changed", "changed"),
    Kind.EVENT_PREV_HASH_MISMATCH: ("broken link", "broken links"),
    Kind.SEQUENCE_DUPLICATE: ("out of place", "out of place"),
    Kind.CHAIN_ID_MISMATCH: ("of another chain", "of another chain"),
    Kind.MALFORMED_LINE: ("line that is no record", "lines that are no records"),
    Kind.CHECKPOINT_SIGNATURE_MISMATCH: ("forged signature", "forged signatures"),
    Kind.CHECKPOINT_ROOT_MISMATCH: ("checkpoint that disagrees", "checkpoints that disagree"),
    Kind.ORIGIN_MISMATCH: ("of another log", "of another log"),
}
_MISSING = {
    Kind.SEQUENCE_GAP: ("hole", "holes"),
    Kind.MISSING_SEGMENT: ("missing file", "missing files"),
    Kind.TRUNCATED: ("end that comes too early", "ends that come too early"),
    Kind.TORN_TAIL: ("torn end", "torn ends"),
    Kind.DECLARED_GAP: ("loss declared by the log", "losses declared by the log"),
}
"""The names of each kind of finding: singular, plural."""


def _counted(report: Report, words: Mapping[Kind, tuple[str, str]]) -> str:
    """How many findings there are of each of these kinds; nothing when there are none."""
    counts = report.counts
    return ", ".join(
        f"{counts[kind]} {one if counts[kind] == 1 else several}"
        for kind, (one, several) in words.items()
        if kind in counts
    )


def _integrity(report: Report) -> str:
    found = _counted(report, _CHANGED)
    if found:
        return f"broken: {found}"
    if not report.records:
        return "nothing to check"
    where = f"records {report.first_seq} to {report.last_seq} of chain {report.chain}"
    return f"{where}: every hash and every link holds"


def _completeness(report: Report) -> str:
    found = _counted(report, _MISSING)
    if found:
        return f"not all is there: {found}"
    if not report.records:
        return "nothing is there"
    if report.partial:
        return "no holes between these records; what is before and after was not looked at"
    if Kind.PRUNED in report.counts:
        return (
            f"no holes from record {report.first_seq} on; what was before was removed, see pruned"
        )
    return "no holes from the first record on"


def _anchored(report: Report, ring: KeyRing) -> str:
    if report.anchored_seq:
        text = f"up to record {report.anchored_seq}, by a checkpoint of {_when(report)}"
        algorithm, _, key_id = report.anchored_by.partition(" key ")
        key = ring.named(algorithm, key_id, report.origin)
        return f"{text}, {key}{_after(report)}"
    if report.checkpoints == 0:
        return "no: there are no checkpoints, so a cut-off end or a rewritten chain does not show"
    if Kind.KEY_UNAVAILABLE in report.counts:
        return f"no: the key is missing (--key){_names_of(ring)}"
    if report.partial:
        return "no: only a part was asked for, and roots cover the log from its first record"
    return "no: no checkpoint holds"


def _names_of(ring: KeyRing) -> str:
    """The names of logs that the given keys are for: keys of another log are a common mistake."""
    names = sorted({key.name for key in ring.keys if isinstance(key, Ed25519Key) and key.name})
    return f"; what is given is for {', '.join(names)} (see --origin)" if names else ""


def _when(report: Report) -> str:
    if report.anchored_time:
        return report.anchored_at
    return f"{visible(report.anchored_at)} ({UNSIGNED_TIME})"


def _after(report: Report) -> str:
    after = report.last_seq - report.anchored_seq
    if not after:
        return ": the whole log"
    text = f"; {after} after it"
    if report.partial:
        return f"{text}; only a part was asked for, so nothing was demanded of them"
    return text if report.demanded else f"{text}, of which nothing was demanded"


def _show_kind(kind: Kind, findings: list[Finding], count: int) -> None:
    color = "red" if kind in TAMPERED else "yellow" if kind in INCOMPLETE else None
    note = " (informative)" if kind in INFORMATIVE - INCOMPLETE else ""
    click.echo(click.style(f"  {kind}", fg=color, bold=True) + f"  {count}{note}")
    for finding in findings[:SHOWN]:
        click.echo(f"    {visible(describe(finding))}")
        for line in stands(finding):
            click.echo(f"      {line}")
    if count > SHOWN:
        click.echo(f"    … and {count - SHOWN} more")


def stands(finding: Finding) -> list[str]:
    """The record at a finding, for people: its time, type and actor, and the checkpoints around it.

    The content of the line is shown as it is, and proves nothing.
    """
    if finding.record is None:
        return []
    ts, kind, user, actor = (shown_value(finding.record.get(name, "")) for name in SHOWN_MEMBERS)
    lines = [f"it now says: {ts} {kind} by {user} ({actor})"]
    before, after = finding.between or (0, 0)
    if before or after:
        where = f"after checkpoint {before}" if before else "before the first checkpoint"
        until = f"checkpoint {after} covers it" if after else "no checkpoint covers it"
        lines.append(f"it lies {where}; {until}")
    return lines


def describe(finding: Finding) -> str:
    """A finding on one line, without its kind."""
    parts = [finding.file or "-"]
    if finding.line is not None:
        parts[0] += f":{finding.line}"
        parts.append(f"offset {finding.offset}")
    if finding.seq is not None:
        parts.append(f"seq {finding.seq}")
    if finding.expected is not None:
        parts.append(f"expected {finding.expected}")
    if finding.kind is Kind.DECLARED_GAP:
        parts.append(f"events lost: {finding.actual}")
    elif finding.actual is not None:
        parts.append(f"found {finding.actual}")
    if finding.note:
        parts.append(finding.note)
    return ", ".join(parts)
