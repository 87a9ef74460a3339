"""``audit-emit verify``: was the log touched, and is all of it there?"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from audit_emit._facade.records import ns_of
from audit_emit._facade.text import shown_value, visible
from audit_emit._facade.verdicts import (
    INCOMPLETE,
    INFORMATIVE,
    TAMPERED,
    UNSIGNED_TIME,
    Boundary,
    Options,
    Verified,
    parse_heads,
    remembered,
    verify_paths,
)
from audit_emit._facade.verdicts import SHOWN as SHOWN_MEMBERS
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import logs_argument, named, not_there
from audit_emit.cli._output import formats
from audit_emit.cli._streams import decided
from audit_emit.cli._times import EXAMPLES, span, time_option
from audit_emit.errors import MemoryFileError, UnsupportedError
from audit_emit.log import Finding, KeyRing, Kind, Report

ADVICE = (
    "change nothing, copy the whole directory as it is, and find out who could write it: "
    "docs/incident.md"
)
SHOWN = 10
"""Findings of one kind that are shown; ``--json`` has more."""


def _heads(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[int, str]:
    heads = {}
    for value in values:
        seq, _colon, digest = value.partition(":")
        if not (seq.isascii() and seq.isdecimal() and len(seq) < 20):
            raise click.BadParameter("a head is SEQ:HASH")
        heads[int(seq)] = digest.lower()
    try:
        parse_heads(heads)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return heads


def _chain(_: click.Context, __: click.Parameter, value: str) -> str:
    if value and not re.fullmatch("[0-9a-f]{16}", value):
        raise click.BadParameter("a chain is 16 hex digits")
    return value


def _boundary(_: click.Context, __: click.Parameter, value: str | None) -> Boundary:
    try:
        return Boundary.parse(value) if value else Boundary()
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


def _span(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return span(value).total_seconds() if value else None
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{visible(value or '')} is not a span (90s, 10m, 2h)") from None


@a_command(
    "verify",
    {
        Exit.OK: "it holds",
        Exit.FINDINGS: "tampered with",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing there, or it cannot be read",
        Exit.INCOMPLETE: "not complete: a torn end, a declared gap, a missing key",
    },
    [
        "audit-emit verify /var/log/audit-emit/shop --key shop-verifier.txt",
        "audit-emit verify --expect-head 4711:9f2c… --json --out verdict.json",
        "zcat archive/*.gz | audit-emit verify -",
    ],
)
@logs_argument
@formats("text", "json")
@pinned_keys
@click.option("--from-seq", type=click.IntRange(min=1), default=1, help="Begin at this record.")
@click.option("--since", callback=time_option, metavar="TIME", help=f"Begin here: {EXAMPLES}; UTC.")
@click.option("--until", callback=time_option, metavar="TIME", help="End at this time.")
@click.option(
    "--expect-head",
    "heads",
    multiple=True,
    callback=_heads,
    metavar="SEQ:HASH",
    help="A head that was noted down elsewhere; repeatable.",
)
@click.option(
    "--max-unanchored",
    type=click.IntRange(min=0),
    metavar="N",
    help="Records that may come after the newest signature.  [default: by the log's own policy]",
)
@click.option(
    "--max-age",
    callback=_span,
    metavar="SPAN",
    help="Age that it may have: 10m, 2h.  [default: by the log's own policy, if records wait]",
)
@click.option(
    "--as-of", callback=time_option, metavar="TIME", help="Judge the age as it was then, not now."
)
@click.option(
    "--no-anchor-required", is_flag=True, help="Demand no signature near the end of the log."
)
@click.option("--origin", default="", help="The log's name in checkpoints must be this one.")
@click.option(
    "--chain", default="", callback=_chain, metavar="ID", help="The log's chain must be this one."
)
@click.option(
    "--remember",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Keep what was verified here, and compare it the next time.",
)
@click.option(
    "--legacy-before",
    "legacy",
    callback=_boundary,
    metavar="SEQ|offset:N",
    help="Records before this one, or this byte, may be older than the chain.",
)
@click.option("--strict", is_flag=True, help="Parse the JSON of every record, too.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes to use.  [default: one per core]"
)
def command(
    logs: tuple[str, ...],
    *,
    form: str,
    keys: tuple[str, ...],
    from_seq: int,
    since: str,
    until: str,
    heads: dict[int, str],
    max_unanchored: int | None,
    max_age: float | None,
    as_of: str,
    no_anchor_required: bool,
    origin: str,
    chain: str,
    remember: Path | None,
    legacy: Boundary,
    strict: bool,
    jobs: int | None,
) -> Exit:
    """Verify logs: every hash, every link, every checkpoint, and that nothing is missing.

    LOG is a log's directory or its active file, with all segments beside it; or single segments,
    also packed (.gz, .zst); or - for standard input. Without LOG, the log that this environment
    configures.

    Keys are pinned with --key, or taken from AUDIT_EMIT_SIGNING_KEY and
    AUDIT_EMIT_SIGNING_KEY_FILE; never from the log. An Ed25519 key that a pinned one signed over
    to is followed; of HMAC keys give all. Without a key signatures are not checked, and the
    status is 4. With one, a signature must be near the end of the log: what comes after it,
    anybody who can write the file could have written.
    """
    with on_terminal("verifying") as bar:
        options = Options(
            ring=KeyRing.from_sources(list(keys), os.environ),
            heads=heads,
            from_seq=from_seq,
            since=since,
            until=until,
            chain=chain,
            origin=origin,
            legacy=legacy,
            strict=strict,
            anchor_required=not no_anchor_required,
            max_unanchored=max_unanchored,
            max_age=max_age,
            as_of=ns_of(as_of) if as_of else None,
            jobs=jobs or _cores(),
            progress=bar,
        )
        try:
            found = verify_paths(named(logs), options)
            if remember is not None:
                found = [remembered(one, remember) for one in found]
        except (UnsupportedError, MemoryFileError) as error:
            raise click.UsageError(str(error)) from None
        except FileNotFoundError as error:
            raise not_there(str(error.filename)) from None
    status = decided(worst(verified.report.exit_status for verified in found))
    if form == "json":
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        for verified in found:
            _show(verified, options.ring)
    for verified in found:
        if not verified.files and os.path.isdir(verified.log):
            complain(not_there(verified.log).message)
    return status


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _as_json(found: list[Verified]) -> dict[str, Any]:
    logs = [
        {"log": one.log, "files": one.files, **one.report.as_dict(), **_edge_of(one)}
        for one in found
    ]
    status = int(worst(one.report.exit_status for one in found))
    return logs[0] if len(logs) == 1 else {"exit_status": status, "logs": logs}


def _edge_of(verified: Verified) -> dict[str, Any]:
    """Where the archive ends and the disk begins, if a part of the log is in an archive."""
    if verified.edge is None:
        return {}
    hot, cold = verified.edge.oldest_hot_seq, verified.edge.highest_archived_seq
    return {"archive": {"oldest_hot_seq": hot, "highest_archived_seq": cold}}


def _show(verified: Verified, ring: KeyRing) -> None:
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
    if verified.edge is not None:
        hot = verified.edge.oldest_hot_seq
        here = f"on disk from record {hot} on" if hot else "nothing on disk"
        click.echo(f"  archived      up to record {verified.edge.highest_archived_seq}; {here}")
    by_kind = sorted(report.findings, key=lambda finding: list(Kind).index(finding.kind))
    for kind, findings in groupby(by_kind, key=lambda finding: finding.kind):
        _show_kind(kind, list(findings), report.counts[kind])
    if report.tampered:
        click.echo(f"  what to do    {ADVICE}")


_CHANGED = {
    Kind.EVENT_HASH_MISMATCH: "changed",
    Kind.EVENT_PREV_HASH_MISMATCH: "broken links",
    Kind.SEQUENCE_DUPLICATE: "out of place",
    Kind.CHAIN_ID_MISMATCH: "of another chain",
    Kind.MALFORMED_LINE: "no records",
    Kind.CHECKPOINT_SIGNATURE_MISMATCH: "forged signatures",
    Kind.CHECKPOINT_ROOT_MISMATCH: "checkpoints that disagree",
    Kind.ORIGIN_MISMATCH: "of another log",
}
_MISSING = {
    Kind.SEQUENCE_GAP: "holes",
    Kind.MISSING_SEGMENT: "missing files",
    Kind.TRUNCATED: "ends too early",
    Kind.TORN_TAIL: "torn ends",
    Kind.DECLARED_GAP: "losses declared by the log",
}


def _counted(report: Report, words: Mapping[Kind, str]) -> str:
    """How many findings there are of each of these kinds; nothing when there are none."""
    counts = report.counts
    return ", ".join(f"{counts[kind]} {text}" for kind, text in words.items() if kind in counts)


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
        return "no: the key is missing (--key)"
    if report.partial:
        return "no: only a part was asked for, and roots cover the log from its first record"
    return "no: no checkpoint holds"


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
    """What stands where a finding is, in words that people know: when, what, who, and since when.

    What a line says of itself is shown as it is, and proves nothing.
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
    if finding.actual is not None:
        parts.append(f"found {finding.actual}")
    if finding.note:
        parts.append(finding.note)
    return ", ".join(parts)
