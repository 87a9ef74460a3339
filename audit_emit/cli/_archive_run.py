"""``audit-emit archive run`` and ``status``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from audit_emit._facade.archive import (
    ArchiveSettings,
    Done,
    entries_of,
    hour_of,
    manifests_of,
    newest_record_at,
    noted,
    with_records,
)
from audit_emit._facade.queries import open_readers
from audit_emit._facade.retention import Holds
from audit_emit._facade.settings import is_address
from audit_emit._facade.text import visible
from audit_emit.cli._archive_prune import pruned, pruned_rows, show_pruned
from audit_emit.cli._archive_worker import daily as go_on_daily
from audit_emit.cli._archiving import (
    FAILURES,
    Opened,
    batch_of,
    failed,
    journal_of,
    journal_option,
    opened,
    ring_of,
    settings_of,
    to_option,
    worker_of,
)
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import Command, complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import signing_keys
from audit_emit.cli._logs import logs_argument, name_of, named
from audit_emit.cli._output import formats
from audit_emit.log import KeyRing

SHOWN = 20
"""Issues or batches that are shown as text; all are in JSON."""


def _hour(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        try:
            hour_of(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return value


@click.command(
    "run",
    cls=Command,
    statuses={
        Exit.OK: "archived, or nothing is new",
        Exit.FINDINGS: "the log is not the one that was signed or archived, or what was archived "
        "is gone",
        Exit.USAGE: "usage, no key, or boto3 is missing",
        Exit.NOTHING: "there is no log",
        Exit.INCOMPLETE: "another archiver is running, something could not be confirmed, or no "
        "checkpoint has been signed for too long",
        Exit.NO_ANSWER: "the store gives no answer, or refuses",
    },
    examples=[
        "audit-emit archive run /var/log/audit-emit/shop --key signing.pem",
        "audit-emit archive run --archive s3://trail/prod --format json",
        "audit-emit archive run /var/log/audit-emit/shop --daily 03:00",
    ],
)
@logs_argument
@to_option
@signing_keys
@journal_option
@click.option(
    "--daily",
    metavar="HH:MM",
    callback=_hour,
    help="Keep running: every day at this time (UTC); needs AUDIT_EMIT_ARCHIVE_ENABLED=1.",
)
@formats("text", "json")
def run(
    logs: tuple[str, ...],
    *,
    archive: str,
    keys: tuple[str, ...],
    journal: str,
    daily: str | None,
    form: str,
) -> Exit:
    """Archive the segments that are closed and signed, and not in the archive yet.

    LOG is a log's directory or its active file, or the address of chains in PostgreSQL; without it,
    the log that this environment configures.

    Each closed segment that a checkpoint covers is compressed and stored as a new object; no object
    is ever overwritten. Then a signed manifest is stored, which names the one before it: from there
    on the segment counts as archived. Nothing is deleted. The command can be interrupted, and run
    again.

    With --daily it keeps running. It begins within 15 minutes after the given time, makes up for a
    day that it missed, and repeats what failed. With AUDIT_EMIT_ARCHIVE_PRUNE=1 it prunes, too.
    """
    settings = settings_of(archive)
    found = named(logs)
    if daily is None:
        return _archived(found, keys, settings, journal, form)
    if form == "json":
        raise click.UsageError("--daily goes on; --json is for one run")
    guard = worker_of(found, journal, settings.shown)
    os.makedirs(os.path.dirname(guard), mode=0o700, exist_ok=True)

    def work(stop: Callable[[], bool]) -> Exit:
        status = _archived(found, keys, settings, journal, form, stop)
        if status != Exit.OK or not settings.prune or stop():
            return status
        ring = ring_of(keys)
        done = [
            pruned_rows(log, ring, settings, settings.hot_days)
            if is_address(log)
            else pruned(log, ring, settings, settings.hot_days, journal=journal)
            for log in found
        ]
        for _, said in done:
            show_pruned(said)
        return worst([status, *(one for one, _ in done)])

    return go_on_daily(daily, guard, work, enabled=settings.enabled)


def _archived(
    logs: Sequence[str],
    keys: Sequence[str],
    settings: ArchiveSettings,
    journal: str,
    form: str,
    stop: Callable[[], bool] = bool,
) -> Exit:
    statuses, told = [], []
    for log in logs:
        try:
            with opened(log, keys, settings, journal=journal, stop=stop) as found:
                for one in found:
                    done = _run(one)
                    told.append(_ran(one.name, done))
                    statuses.append(_standing(one.name, done))
                    if form == "text":
                        _show_run(one.name, done, settings.shown)
        except FAILURES as error:
            statuses.append(failed(error))
    status = worst(statuses)
    if form == "json":
        made = {"exit_status": int(status), "archive": settings.shown, "logs": told}
        click.echo(json.dumps(made, indent=2))
    return status


def _standing(name: str, done: Done) -> Exit:
    """The exit status of a run that went well, with what has to be told beside it."""
    if done.lost:
        complain(visible(f"{name}: {done.lost}; see: audit-emit archive verify {name}"))
    if done.late:
        complain(visible(f"{name}: {done.late}"))
    return Exit.FINDINGS if done.lost else Exit.INCOMPLETE if done.late else Exit.OK


def _run(one: Opened) -> Done:
    with on_terminal("archiving") as bar:
        return one.archiver.run(bar)


def _ran(name: str, done: Done) -> dict[str, Any]:
    return {
        "log": name,
        "archived": [batch_of(one) for one in done.made],
        "highest_archived_seq": done.last,
        "waiting": done.waiting,
        "lost": done.lost,
        "late": done.late,
    }


def _show_run(name: str, done: Done, where: str) -> None:
    for one in done.made:
        click.echo(
            f"archived  records {one.first_seq} to {one.last_seq}: {one.object.size:,} bytes in "
            f"{one.object.packed_size:,}"
        )
    state = f"up to record {done.last}" if done.last else "nothing yet"
    click.echo(visible(f"ok  {name} is in {where} {state}"))
    if done.waiting:
        click.echo(visible(f"  waiting  {done.waiting}"))


@click.command(
    "status",
    cls=Command,
    statuses={
        Exit.OK: "said",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log, or nothing of it is archived",
        Exit.NO_ANSWER: "the store gives no answer",
    },
    examples=["audit-emit archive status /var/log/audit-emit/shop --json"],
)
@logs_argument
@to_option
@journal_option
@formats("text", "json")
def status(logs: tuple[str, ...], *, archive: str, journal: str, form: str) -> Exit:
    """Show which batches of a log are archived, as its journal has them; the store is not asked.

    The journal is not signed: archive verify checks whether it is true. Legal holds are read from
    the chain.
    """
    settings = settings_of(archive)
    ring = KeyRing.from_sources([])
    statuses, told = [], []
    for log in named(logs):
        for reader in open_readers([log]):
            with reader:
                bounds, holds = reader.bounds(), Holds.of(reader, ring)
            chain = bounds.first.chain if bounds.first is not None else ""
            oldest = bounds.first.seq if bounds.first is not None else 0
            path = os.path.abspath(journal) if journal else journal_of(log, chain)
            entries = [one for one in entries_of(path, settings.shown) if one.chain == chain]
            known = manifests_of(entries, chain)
            batches = with_records(known)
            steps = {(one.step, one.last_seq) for one in entries}
            told.append(
                {
                    "log": name_of(reader.name),
                    "archive": settings.shown,
                    "chain": chain,
                    "oldest_hot_seq": oldest,
                    "newest_seq": bounds.last.seq if bounds.last is not None else 0,
                    "highest_archived_seq": batches[-1].last_seq if batches else 0,
                    "newest_manifest_at": known[-1].at if known else None,
                    "newest_record_at": newest_record_at(known),
                    "worker": noted(worker_of([log], journal, settings.shown))._asdict(),
                    "holds": [one._asdict() for one in holds.all],
                    "batches": [
                        batch_of(one)
                        | {
                            "declared": ("declared", one.last_seq) in steps,
                            "pruned": one.last_seq < oldest,
                        }
                        for one in batches
                    ],
                }
            )
            statuses.append(Exit.OK if batches else Exit.NOTHING)
    if form == "json":
        click.echo(json.dumps(told[0] if len(told) == 1 else told, indent=2))
    else:
        for one in told:
            _show_status(one)
    return worst(statuses) if statuses else Exit.NOTHING


def _show_status(one: dict[str, Any]) -> None:
    batches = one["batches"]
    click.echo(visible(f"{one['log']}  in {one['archive']}"))
    last = one["highest_archived_seq"]
    click.echo(f"  archived   {f'up to record {last}' if last else 'nothing'}")
    click.echo(f"  on disk    from record {one['oldest_hot_seq']} to {one['newest_seq']}")
    plain = sum(batch["bytes"] for batch in batches)
    packed = sum(batch["packed_bytes"] for batch in batches)
    for hold in one["holds"]:
        end = hold["last_seq"] if hold["last_seq"] is not None else "the end"
        click.echo(visible(f"  hold       {hold['name']}: records {hold['first_seq']} to {end}"))
    click.echo(f"  batches    {len(batches)}, {plain:,} bytes in {packed:,}")
    if one["newest_manifest_at"]:
        click.echo(f"  as of      {one['newest_manifest_at']}")
        click.echo(f"  newest     record of {one['newest_record_at']}")
    if one["worker"]["failed"]:
        click.echo(visible(f"  worker     failed {one['worker']['failed']}"))
    for batch in batches[-SHOWN:]:
        word = "pruned here" if batch["pruned"] else "also here"
        word = word if batch["declared"] else f"{word}, not in the chain yet"
        click.echo(f"    {batch['first_seq']} to {batch['last_seq']}  {batch['at']}  {word}")
