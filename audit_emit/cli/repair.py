"""``audit-emit repair``: move bytes that are no record out of a log, after showing the plan."""

from __future__ import annotations

import os

import click

from audit_emit._facade.files import Layout, layout_of
from audit_emit._facade.repair import (
    DIRECTORY,
    Moved,
    Plan,
    apply,
    declare_legacy,
    plan_repair,
    service_of,
)
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import Options, verify_paths
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import logs_argument, named, of_files
from audit_emit.cli._streams import decided
from audit_emit.cli._verdict import describe
from audit_emit.errors import RepairError, UnsupportedError
from audit_emit.log import KeyRing, Kind, Report

_NOT_MOVED = frozenset({Kind.KEY_UNAVAILABLE, Kind.DECLARED_GAP, Kind.NOTHING_FOUND})
"""Findings about no bytes of the file, which can still decide the exit status."""


@a_command(
    "repair",
    {
        Exit.OK: "the log holds",
        Exit.FINDINGS: "tampered with",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log, or it is being written to and could not be locked",
        Exit.INCOMPLETE: "not complete: a torn end, a declared gap, a missing key",
    },
    [
        "audit-emit repair /var/log/audit-emit/shop",
        "audit-emit repair /var/log/audit-emit/shop --apply",
    ],
)
@logs_argument
@click.option(
    "--apply", "do_it", is_flag=True, help="Change the log; without this, only show the plan."
)
@click.option(
    "--declare-legacy",
    is_flag=True,
    help="Record in the chain that the lines before its first record are from before it.",
)
@pinned_keys
def command(
    logs: tuple[str, ...], *, do_it: bool, declare_legacy: bool, keys: tuple[str, ...]
) -> Exit:
    """Move bytes that are no record (torn or foreign ones) to quarantine/, and record that.

    LOG is a log's directory or its active file; without it, the log that this environment
    configures. Without --apply nothing is changed, and the plan is shown.

    No record is changed, dropped or hashed again: a record that does not match its hash stays, and
    a gap stays a gap. The original file is kept in quarantine/, too. The command can be interrupted
    and run again. A file in which there is no record at all is refused: it may be no log.

    Lines from before there was a chain stay where they are. With --declare-legacy the log itself
    says that they are, which verify accepts once a checkpoint covers it; look at them first.

    The exit status is that of audit-emit verify, for the log as it is afterwards.
    """
    options = Options(ring=KeyRing.from_sources(list(keys), os.environ))
    statuses = []
    for log in of_files(named(logs)):
        try:
            statuses.append(_repaired(log, options, do_it=do_it, declare_legacy=declare_legacy))
        except UnsupportedError as error:
            raise click.UsageError(str(error)) from None
        except RepairError as error:
            complain(str(error))
            statuses.append(Exit.NOTHING)
    return worst(statuses)


def _repaired(log: str, options: Options, *, do_it: bool, declare_legacy: bool) -> Exit:
    layout = layout_of(log)
    report, plan = _plan(log, options)
    decided(Exit(report.exit_status))
    if declare_legacy:
        return _declare(layout, report)
    if plan.actions:
        service_of(layout)  # what has no record is not offered to be moved, either
    _show(plan, report, done=do_it)
    if do_it and plan.actions:
        _tell(apply(layout, plan.actions))
        report, _ = _plan(log, options)
    return Exit(report.exit_status)


def _plan(path: str, options: Options) -> tuple[Report, Plan]:
    (verified,) = verify_paths([path], options)
    report = verified.report
    files = {finding.file for finding in report.findings}
    alone = frozenset(f for f in files if f.endswith((".gz", ".zst")) or "checkpoints" in f)
    return report, plan_repair(report, keep=alone)


def _show(plan: Plan, report: Report, *, done: bool) -> None:
    if not plan.actions:
        click.echo("nothing to move")
    for action in plan.actions:
        place = f"{action.file}:{action.line}, offset {action.offset}"
        click.echo(visible(f"move {action.size} bytes to {DIRECTORY}/  {place}"))
    if plan.left:
        click.echo(f"left as they are: {len(plan.left)} findings that nobody may mend")
        for finding in plan.left[:10]:
            click.echo(f"  {finding.kind}  {visible(describe(finding))}")
    others = [finding for finding in report.findings if finding.kind in _NOT_MOVED]
    if others:
        click.echo("what moving bytes does not change:")
    for finding in others[:10]:
        click.echo(f"  {finding.kind}  {visible(describe(finding))}")
    if plan.actions and not done:
        click.echo("nothing was done; to do it: --apply")


def _declare(layout: Layout, report: Report) -> Exit:
    if report.unclaimed is None:
        click.echo("there is nothing to declare")
        return Exit.OK
    declare_legacy(layout, *report.unclaimed)
    click.echo(f"declared: {report.unclaimed[0]} bytes; sign it with: audit-emit checkpoint")
    return Exit.OK


def _tell(moved: list[Moved]) -> None:
    for one in moved:
        click.echo(visible(f"moved to {DIRECTORY}/{one.name}"))
