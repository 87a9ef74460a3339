"""``audit-emit verify``: was the log touched, and is all of it there?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import click

from audit_emit._config import settings
from audit_emit._evidence.findings import INCOMPLETE, INFORMATIVE, TAMPERED, Finding, Kind, Report
from audit_emit._evidence.witness import parse_heads
from audit_emit._files.logfiles import UnsupportedError
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._exit import Exit
from audit_emit.cli._records import time_option
from audit_emit.cli._streams import decided
from audit_emit.cli._text import visible
from audit_emit.signing import KeyRing
from audit_emit.verifying import Options, Verified, verify_paths

SHOWN = 10
"""Findings of one kind that are shown; ``--json`` has more."""


def _heads(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[int, str]:
    heads = {}
    for value in values:
        seq, _colon, digest = value.partition(":")
        if not (seq.isascii() and seq.isdecimal()):
            raise click.BadParameter("a head is SEQ:HASH")
        heads[int(seq)] = digest.lower()
    try:
        parse_heads(heads)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return heads


@click.command("verify")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="The verdict and all findings as JSON.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="Pinned key: a file, or the name of an environment variable; repeatable.",
)
@click.option("--from-seq", type=click.IntRange(min=1), default=1, help="Begin at this record.")
@click.option("--since", callback=time_option, help="Begin at this time: 2h, 7d, 2026-05-19T20:00.")
@click.option("--until", callback=time_option, help="End at this time.")
@click.option(
    "--expect-head",
    "heads",
    multiple=True,
    callback=_heads,
    metavar="SEQ:HASH",
    help="A head that was noted down elsewhere; repeatable.",
)
@click.option("--strict", is_flag=True, help="Parse the JSON of every record, too.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes to use.  [default: one per core]"
)
def command(
    paths: tuple[str, ...],
    *,
    as_json: bool,
    keys: tuple[str, ...],
    from_seq: int,
    since: str,
    until: str,
    heads: dict[int, str],
    strict: bool,
    jobs: int | None,
) -> Exit:
    """Verify logs: every hash, every link, every checkpoint, and that nothing is missing.

    PATH is a log's directory or its active file, with all segments beside it; or single segments,
    also packed (.gz, .zst); or - for standard input. Without PATH, the log that this environment
    configures.

    Keys are pinned with --key, or taken from AUDIT_EMIT_SIGNING_KEY and
    AUDIT_EMIT_SIGNING_KEY_FILE; never from the log. An Ed25519 key that a pinned one signed over
    to is followed; of HMAC keys give all. Without a key signatures are not checked, and the
    status is 4.

    Exit status: 0 good, 1 tampered with, 2 usage, 3 unreadable or nothing found, 4 incomplete
    (a torn end, a declared gap, a missing key).
    """
    with on_terminal("verifying") as bar:
        options = Options(
            ring=KeyRing.from_sources(list(keys), os.environ),
            heads=heads,
            from_seq=from_seq,
            since=since,
            until=until,
            strict=strict,
            jobs=jobs or _cores(),
            progress=bar,
        )
        try:
            found = verify_paths(paths or [_configured()], options)
        except UnsupportedError as error:
            raise click.UsageError(str(error)) from None
    status = decided(Exit(_status(verified.report.exit_status for verified in found)))
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        for verified in found:
            _show(verified)
    return status


def _configured() -> str:
    path = settings({}).jsonl
    if path is None:
        raise click.UsageError("this environment keeps no file (AUDIT_EMIT_JSONL); name a PATH")
    return path


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _status(statuses: Iterable[int]) -> int:
    """The worst one: tampered with before nothing found before incomplete."""
    return min((status for status in statuses if status), default=0)


def _as_json(found: list[Verified]) -> dict[str, Any]:
    logs = [{"log": one.log, "files": one.files, **one.report.as_dict()} for one in found]
    status = _status(one.report.exit_status for one in found)
    return logs[0] if len(logs) == 1 else {"exit_status": status, "logs": logs}


def _show(verified: Verified) -> None:
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
    click.echo(f"  anchored      {_anchored(report)}")
    by_kind = sorted(report.findings, key=lambda finding: list(Kind).index(finding.kind))
    for kind, findings in groupby(by_kind, key=lambda finding: finding.kind):
        _show_kind(kind, list(findings), report.counts[kind])


_CHANGED = {
    Kind.EVENT_HASH_MISMATCH: "changed",
    Kind.EVENT_PREV_HASH_MISMATCH: "broken links",
    Kind.SEQUENCE_DUPLICATE: "out of place",
    Kind.CHAIN_ID_MISMATCH: "of another chain",
    Kind.MALFORMED_LINE: "no records",
    Kind.CHECKPOINT_SIGNATURE_MISMATCH: "forged signatures",
    Kind.CHECKPOINT_ROOT_MISMATCH: "checkpoints that disagree",
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
    return "no holes from the first record on"


def _anchored(report: Report) -> str:
    after = report.last_seq - report.anchored_seq
    if report.anchored_seq:
        text = (
            f"up to record {report.anchored_seq}, "
            f"by a checkpoint of {report.anchored_at}, {report.anchored_by}"
        )
        return f"{text}; {after} after it" if after else f"{text}: the whole log"
    if report.checkpoints == 0:
        return "no: there are no checkpoints, so a cut-off end or a rewritten chain does not show"
    if Kind.KEY_UNAVAILABLE in report.counts:
        return "no: the key is missing (--key)"
    if report.partial:
        return "no: roots cover the log from its first record"
    return "no: no checkpoint holds"


def _show_kind(kind: Kind, findings: list[Finding], count: int) -> None:
    color = "red" if kind in TAMPERED else "yellow" if kind in INCOMPLETE else None
    note = " (informative)" if kind in INFORMATIVE - INCOMPLETE else ""
    click.echo(click.style(f"  {kind}", fg=color, bold=True) + f"  {count}{note}")
    for finding in findings[:SHOWN]:
        click.echo(f"    {visible(describe(finding))}")
    if count > SHOWN:
        click.echo(f"    … and {count - SHOWN} more")


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
