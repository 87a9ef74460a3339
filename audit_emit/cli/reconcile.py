"""``audit-emit reconcile``: do a log and its copy in Loki agree, and push what is missing there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from audit_emit._facade.files import Layout, LogFile
from audit_emit._facade.loki import (
    STREAMS,
    Journal,
    Kind,
    LogIndex,
    RecentlyPushed,
    Report,
    site_labels,
)
from audit_emit._facade.queries import away_files, open_readers
from audit_emit._facade.records import time_of, ts_of
from audit_emit._facade.settings import is_address, is_archive
from audit_emit.cli import _reconciled as shown
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import configured, logs_argument, name_of
from audit_emit.cli._loki import connected, label_option, loki_options, whole_logs
from audit_emit.cli._output import formats
from audit_emit.cli._streams import decided
from audit_emit.cli._times import EXAMPLES, span, time_option
from audit_emit.errors import BusyError, LokiError, UnsupportedError

if TYPE_CHECKING:
    from audit_emit._facade.loki_client import Plan, backfill

JOURNAL = "backfill.jsonl"


class Wanted(NamedTuple):
    """What the command line asks for; see its options."""

    loki: str
    tenant: str | None
    layouts: list[Layout]
    away: list[LogFile]
    stored: list[str]
    since: int | None
    until: int | None
    grace: int
    services: tuple[str, ...]
    site: dict[str, str]
    shared: bool
    as_json: bool
    backfill: bool
    plan: bool
    journal: str
    rate: float
    streams: int
    flush: bool

    @property
    def target(self) -> str:
        """Which Loki, without credentials: what is pushed to another one does not count."""
        address = self.loki.rpartition("@")[2].rstrip("/")
        return f"{address} {self.tenant or ''}".rstrip()

    @property
    def log(self) -> str:
        """The log's name."""
        files = (layout.directory or "." for layout in self.layouts)
        return ", ".join([*files, *map(name_of, self.stored)])

    def open_index(self, bar: Callable[[int, int], None] | None, **options: Any) -> LogIndex:
        """The index over it, to be closed."""
        if self.stored:
            return LogIndex([], readers=open_readers(self.stored), progress=bar, **options)
        return LogIndex(self.layouts, away=self.away, progress=bar, **options)


def _grace(_: click.Context, __: click.Parameter, value: str) -> int:
    try:
        return int(span(value).total_seconds()) * 10**9
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None


@a_command(
    "reconcile",
    {
        Exit.OK: "they agree",
        Exit.FINDINGS: "they do not",
        Exit.USAGE: "",
        Exit.NOTHING: "no log, or nothing to compare",
        Exit.INCOMPLETE: "everything is younger than --grace, Loki does not show yet what "
        "was pushed, or there are further steps",
        Exit.NO_ANSWER: "Loki gave no usable answer",
    },
    [
        "audit-emit reconcile /var/log/audit-emit/shop --loki http://loki:3100 --since yesterday",
        "audit-emit reconcile --backfill --plan --loki http://loki:3100",
        'audit-emit verify --expect-head "$(audit-emit reconcile --head --loki http://loki:3100)"',
    ],
)
@logs_argument
@loki_options
@click.option("--since", callback=time_option, metavar="TIME", help=f"Begin here: {EXAMPLES}; UTC.")
@click.option("--until", callback=time_option, metavar="TIME", help="End here.")
@click.option(
    "--grace",
    default="30s",
    show_default=True,
    callback=_grace,
    help="Records younger than this may still be on their way to Loki, and are not compared.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    help="The service whose log this is; repeatable.  [default: the name of its directory, if a "
    "record has it]",
)
@label_option
@click.option("--shared", is_flag=True, help="Other logs have the same service in this Loki.")
@click.option("--head", is_flag=True, help="Print the newest record that Loki has, as SEQ:HASH.")
@click.option("--backfill", is_flag=True, help="Push what is missing in Loki.")
@click.option("--plan", is_flag=True, help="With --backfill: only say what would be pushed.")
@click.option(
    "--journal",
    metavar="FILE",
    help=f"The file that keeps what was pushed.  [default: {JOURNAL} in the log's directory]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.01),
    default=2.0,
    show_default=True,
    help="Megabytes a second to push at most.",
)
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    default=STREAMS,
    show_default=True,
    help="Streams that one step may open in Loki at most.",
)
@click.option(
    "--flush", is_flag=True, help="With --backfill: have Loki write its chunks between steps."
)
@formats("text", "json")
def command(
    logs: tuple[str, ...],
    *,
    loki: str | None,
    head: bool,
    backfill: bool,
    plan: bool,
    flush: bool,
    **given: Any,
) -> Exit:
    """Compare a log with Loki, record by record: what is missing, altered or only in Loki.

    LOG is a log's directory or its active file, with all segments beside it; several when several
    logs have the same service; or postgresql://… for chains in a database (docs/postgresql.md).
    Without LOG, the log that this environment configures.

    --head prints the newest record that Loki has, for audit-emit verify --expect-head.

    --backfill pushes missing records, with the labels and the bytes that the pipeline would have
    sent; it can be interrupted and run again. Late records open a stream in Loki for every service,
    type and hour, and Loki bounds these. So a large backfill runs in steps. It stops after the
    first one unless --flush is given, which makes Loki write its chunks between steps.
    """
    if not loki:
        raise click.UsageError("which Loki? --loki URL, or AUDIT_EMIT_LOKI_URL")
    if (plan or flush) and not backfill:
        raise click.UsageError("--plan and --flush belong to --backfill")
    if backfill and (head or len(logs) > 1):
        raise click.UsageError("--backfill is for one log, and not together with --head")
    wanted = _wanted(logs, loki=loki, backfill=backfill, plan=plan, flush=flush, **given)
    try:
        return _head(wanted) if head else _reconcile(wanted)
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None
    except BusyError as error:
        complain(str(error))
        return Exit.INCOMPLETE


def _wanted(
    logs: tuple[str, ...],
    *,
    since: str,
    until: str,
    labels: tuple[str, ...],
    backfill: bool,
    journal: str | None,
    rate: float,
    form: str,
    **given: Any,
) -> Wanted:
    """What the options say; those in ``given`` are members of ``Wanted`` as they are.

    Raises:
        UsageError: they do not fit the logs.
    """
    stored = _stored(logs)
    here = [log for log in logs if not is_archive(log)]
    layouts = whole_logs(here) if (here or not logs) and not stored else []
    if backfill and not (layouts or stored):
        raise click.UsageError("--backfill needs the log beside its archive")
    if backfill and stored and not journal:
        raise click.UsageError("a database keeps no journal of what was pushed: --journal FILE")
    return Wanted(
        layouts=layouts,
        away=away_files(logs) if len(here) < len(logs) else [],
        stored=stored,
        since=time_of(since),
        until=time_of(until),
        site=site_labels(labels, os.environ),
        as_json=form == "json",
        backfill=backfill,
        journal=journal or os.path.join(layouts[0].directory if layouts else "", JOURNAL),
        rate=rate * 1e6,
        **given,
    )


def _stored(logs: tuple[str, ...]) -> list[str]:
    """The addresses of logs in a database, and those of archives that are named beside them."""
    named_logs = logs or (configured(),)
    found = [log for log in named_logs if is_address(log)]
    archives = [log for log in named_logs if is_archive(log)]
    if found and len(found) + len(archives) < len(named_logs):
        raise click.UsageError("logs of files and of a database are compared one after the other")
    return [*found, *archives] if found else []


def _reconcile(wanted: Wanted) -> Exit:
    # httpx, which these need, is an extra.
    from audit_emit._facade.loki_client import BackfillSettings, plan  # noqa: PLC0415
    from audit_emit._facade.loki_client import backfill as backfilling  # noqa: PLC0415
    from audit_emit._facade.loki_client import reconcile as reconciling  # noqa: PLC0415

    options = reconciling.Options(
        time.time_ns(), wanted.grace, wanted.since, wanted.until, wanted.shared
    )
    more: dict[str, Any] = {}
    error: LokiError | None = None
    with ExitStack() as stack:
        client = stack.enter_context(connected(wanted.loki, wanted.tenant))
        journal = None
        if wanted.backfill and not wanted.plan:
            journal = stack.enter_context(Journal(wanted.journal, wanted.target))
        sent = RecentlyPushed(wanted.journal, wanted.target, options.now)
        with on_terminal("reading") as bar:
            index = stack.enter_context(wanted.open_index(bar, fresh=options.fresh))
        with on_terminal("comparing") as bar:
            options = options._replace(progress=bar, own=_own(wanted, index), site=wanted.site)
            report, missing = reconciling.reconcile(index, client, options, sent)
        pace = BackfillSettings(
            wanted.rate, streams=wanted.streams, flush=wanted.flush, tell=complain, site=wanted.site
        )
        if journal is not None:
            shown.show_plan(plan(index, missing, pace), flush=wanted.flush)
            with on_terminal("pushing", "records") as bar:
                done = backfilling.Backfill(index, client, journal, pace, bar)
                done.run(missing)
            report = backfilling.with_backfill(report, done)
            error, more = done.error, {"backfill": _about_backfill(done)}
        elif wanted.plan:
            more = {"plan": _about_plan(plan(index, missing, pace))}
        return _told(wanted, index, report, more, error)


def _about_backfill(done: backfill.Backfill) -> dict[str, Any]:
    return {
        "placed": done.placed,
        "accepted": done.accepted,
        "doubtful": done.doubtful,
        "left": sum(done.left.counts.values()),
        "later": done.later,
    }


def _about_plan(planned: Plan) -> dict[str, Any]:
    return {
        "records": planned.records,
        "bytes": planned.size,
        "batches": planned.batches,
        "streams": planned.streams,
        "steps": planned.steps,
        "left": sum(planned.left.counts.values()),
    }


def _told(
    wanted: Wanted,
    index: LogIndex,
    report: Report,
    more: dict[str, Any],
    error: LokiError | None,
) -> Exit:
    """Print what was found, and say how it ended.

    Raises:
        LokiError: that ended the backfill, and there is nothing else to tell.
    """
    # What Loki did not take is missing because of that; anything else is a finding by itself.
    found = set(report.counts) - {Kind.MISSING.value}
    failed = error is not None and not found
    status = decided(Exit.NO_ANSWER if failed else Exit(report.exit_status))
    if wanted.as_json:
        where = {"log": wanted.log, "loki": wanted.target}
        click.echo(json.dumps({**report.as_dict(), **where, **more}, indent=2))
    else:
        log_shown = shown.Log(wanted.log, index.extents, index.times, wanted.grace)
        shown.show(report, log_shown, wanted.target)
        shown.show_more(more)
    if error is not None:
        if failed:
            raise error
        complain(str(error))
    return status


def _own(wanted: Wanted, index: LogIndex) -> tuple[str, ...]:
    """Whose log it is: by default that of its directory's name (docs/configuration.md)."""
    named = {os.path.basename(os.path.abspath(layout.directory)) for layout in wanted.layouts}
    return wanted.services or tuple(sorted((named & index.services) if named else index.services))


def _head(wanted: Wanted) -> Exit:
    from audit_emit._facade.loki_client import reconcile as reconciling  # noqa: PLC0415 - httpx is an extra

    now = time.time_ns()
    with connected(wanted.loki, wanted.tenant) as client:
        with (
            on_terminal("reading") as bar,
            wanted.open_index(bar) as index,
        ):
            chains, times = list(index.extents), index.times
        start = wanted.since if wanted.since is not None else times[0] if times else now
        end = now + reconciling.AHEAD if wanted.until is None else wanted.until + 1
        heads = list(reconciling.heads(client, chains, start, end))
    if wanted.as_json:
        found = [{**head._asdict(), "ts": ts_of(head.ts)} for head in heads]
        click.echo(json.dumps({"heads": found}, indent=2))
    else:
        for head in heads:
            # For --expect-head as it is; only where there are several must be said whose they are.
            click.echo(f"{head.seq}:{head.hash}" + (f"  {head.chain}" if len(heads) > 1 else ""))
    if not heads:
        complain("Loki has no record of this log")
        return Exit.NOTHING
    return Exit.OK
