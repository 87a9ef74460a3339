"""``audit-emit report``: what happened in a log, by whom, and whether it holds, for an auditor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from audit_emit._facade.anomalies import RuleSet, rules_in
from audit_emit._facade.queries import open_reader
from audit_emit._facade.records import ns_of
from audit_emit._facade.reports import (
    FORMATS,
    SECOND,
    SECTIONS,
    Asked,
    Entry,
    Period,
    read_map,
    report_on,
    written,
)
from audit_emit._facade.text import visible
from audit_emit.cli._alerts import rules_option
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import grouped, logs_argument, name_of, named, not_there
from audit_emit.cli._output import formats
from audit_emit.cli._streams import decided
from audit_emit.cli._times import EXAMPLES, time_option
from audit_emit.errors import RuleError, UnsupportedError
from audit_emit.log import KeyRing

DAYS = 30


@a_command(
    "report",
    {
        Exit.OK: "written, and the log verifies",
        Exit.FINDINGS: "written, and the log was tampered with",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log, or no record in it",
        Exit.INCOMPLETE: "written, and not all could be verified: a declared gap, a missing key",
        Exit.NO_ANSWER: "the database does not answer",
    },
    [
        "audit-emit report /var/log/audit-emit/shop --days 30 --format html --out october.html",
        "audit-emit report --since 2026-07-01 --until 2026-10-01 --key shop-verifier.txt",
        "audit-emit report 'postgresql://auditor@db/audit#service=shop' --format csv",
        "audit-emit report --controls our-controls.json --json --out report.json",
    ],
)
@logs_argument
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="Report on the N days (UTC) before today, and on today so far.  "
    f"[default: {DAYS}, unless --since says otherwise]",
)
@click.option("--since", callback=time_option, metavar="TIME", help=f"Begin here: {EXAMPLES}; UTC.")
@click.option(
    "--until", callback=time_option, metavar="TIME", help="End before this.  [default: now]"
)
@pinned_keys
@click.option(
    "--controls",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Your own map from controls to questions (docs/report.md), instead of the built-in one.",
)
@rules_option("Your own rules for anomalies, as for audit-emit anomalies.")
@click.option("--no-anomalies", is_flag=True, help="Do not look for anomalies, which is faster.")
@formats(*FORMATS)
def command(
    logs: tuple[str, ...],
    *,
    days: int | None,
    since: str,
    until: str,
    keys: tuple[str, ...],
    controls: Path | None,
    directory: Path | None,
    no_anomalies: bool,
    form: str,
) -> Exit:
    """Report on LOG for a period: who did what, how often, by whom and when, and what was refused.

    LOG is a log's directory or its active file; a database's chain; or a log and its archive
    (s3://…). Without LOG, the log that this environment configures. It is read and verified in one
    pass: the report has the verdict, and the head of the log that it is about.

    Beside every figure is the command that computes it again. The map of controls says which
    figures support an answer to which question; whether a control is met is for you to judge.
    """
    log = _one(logs)
    if days is not None and since:
        raise click.UsageError("--days and --since both say where to begin; take one")
    period, words = _period(days, since, until)
    names = tuple(map(name_of, log))
    ring, own_map = KeyRing.from_sources(list(keys)), _map(controls)
    try:
        rules = _rules(directory, none=no_anomalies)
        asked = Asked(names, period, words, ring, own_map, rules)
        with on_terminal("reading") as bar, open_reader(*log, ring=ring) as reader:
            report = report_on(reader, asked, bar)
    except (RuleError, UnsupportedError) as error:
        raise click.UsageError(visible(str(error))) from None
    except FileNotFoundError as error:
        raise not_there(str(error.filename)) from None
    body = written(report, form)
    click.echo(body, nl=False)
    return decided(_status(report.verdict.verdict))


def _status(verdict: str) -> Exit:
    return {
        "ok": Exit.OK,
        "tampered": Exit.FINDINGS,
        "incomplete": Exit.INCOMPLETE,
        "nothing-found": Exit.NOTHING,
    }[verdict]


def _one(logs: Sequence[str]) -> tuple[str, ...]:
    """The one log that was named, with its archive.

    Raises:
        UsageError: several were.
    """
    found = grouped(named(logs))
    if len(found) > 1:
        raise click.UsageError("a report is about one LOG, and perhaps its archive (s3://…)")
    return found[0]


def _period(days: int | None, since: str, until: str) -> tuple[Period, str]:
    """The period, and the same in words.

    Raises:
        UsageError: nothing is in it.
    """
    end = max(0, ns_of(until)) if until else time.time_ns() // SECOND * SECOND
    if since:
        period, words = Period(max(0, ns_of(since)), end), "as asked for"
    else:
        count = DAYS if days is None else days
        period = Period.of_days(count, end)
        words = f"{count} day{'' if count == 1 else 's'}"
    if period.since >= period.until:
        raise click.UsageError("nothing is from that time on and before the other")
    return period, words


def _rules(directory: Path | None, *, none: bool) -> RuleSet | None:
    if not none:
        return rules_in(directory)
    if directory is not None:
        raise click.UsageError("--rules are of the anomalies that --no-anomalies leaves out")
    return None


def _map(path: Path | None) -> Sequence[Entry] | None:
    if path is None:
        return None
    try:
        return read_map(path, SECTIONS)
    except ValueError as error:
        raise click.UsageError(f"--controls {visible(str(path))}: {visible(str(error))}") from None
