"""``audit-emit archive prune``: delete old segments that are archived."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any

import click

from audit_emit._facade.archive import (
    ArchivePruner,
    ArchiveSettings,
    Bucket,
    Journal,
    prune_rows,
)
from audit_emit._facade.files import Layout
from audit_emit._facade.retention import Pruner, RowsOutcome, RowsPruner
from audit_emit._facade.settings import Address, is_address
from audit_emit._facade.text import visible
from audit_emit.cli._archiving import (
    FAILURES,
    failed,
    journal_of,
    journal_option,
    settings_of,
    to_option,
)
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import Command, complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import signing_keys
from audit_emit.cli._logs import logs_argument, name_of, named
from audit_emit.cli._output import formats
from audit_emit.cli._signer import active, durable
from audit_emit.errors import (
    ConfigError,
    DatabaseError,
    ObjectStoreError,
    RetentionError,
    SinkError,
)
from audit_emit.log import KeyRing


@click.command(
    "prune",
    cls=Command,
    statuses={
        Exit.OK: "removed, or nothing may go",
        Exit.FINDINGS: "the log does not verify, or the archive does not have what it should: "
        "nothing of that was removed",
        Exit.USAGE: "usage, or not the key that signs the log",
        Exit.NOTHING: "there is no log, or a file cannot be deleted",
        Exit.INCOMPLETE: "another process works on the log, nothing is signed, or no record can "
        "be written",
        Exit.NO_ANSWER: "the store or the database gives no answer: nothing was removed",
    },
    examples=[
        "audit-emit archive prune /var/log/audit-emit/shop --dry-run",
        "audit-emit archive prune /var/log/audit-emit/shop --hot-days 30",
        "audit-emit archive prune postgresql://pruner@db/audit --key signing.pem",
    ],
)
@logs_argument
@to_option
@click.option(
    "--hot-days",
    type=click.IntRange(min=0),
    help="Records younger than this stay.  [default: AUDIT_EMIT_ARCHIVE_HOT_DAYS, else 90]",
)
@click.option("--dry-run", is_flag=True, help="Print what would be deleted, and delete nothing.")
@click.option("--detach", is_flag=True, help="In a database: keep old months as separate tables.")
@signing_keys
@journal_option
@formats("text", "json")
def prune(
    logs: tuple[str, ...],
    *,
    archive: str,
    hot_days: int | None,
    dry_run: bool,
    detach: bool,
    keys: tuple[str, ...],
    journal: str,
    form: str,
) -> Exit:
    """Delete segments on this machine that are archived, old, and under no legal hold.

    Before a batch is deleted, its copy is fetched from the archive and verified, record by record,
    against its signed manifest. Segments are deleted from the oldest on, up to the first one under
    a legal hold; the newest always stays. The chain records what was deleted (audit.pruned), and
    the log still verifies.

    Rows of PostgreSQL are removed by whole months, in which all chains have their rows: each of
    these chains must be archived. The role needs audit_emit_pruner, and no other right.
    """
    settings = settings_of(archive)
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    days = settings.hot_days if hot_days is None else hot_days
    statuses, told = [], []
    for log in named(logs):
        if is_address(log):
            status, said = pruned_rows(log, ring, settings, days, drop=not detach, dry_run=dry_run)
        else:
            status, said = pruned(log, ring, settings, days, journal=journal, dry_run=dry_run)
        statuses.append(status)
        told.append(said)
        if form == "text":
            show_pruned(said)
    if form == "json":
        click.echo(json.dumps(told[0] if len(told) == 1 else told, indent=2))
    return worst(statuses)


def pruned(
    log: str,
    ring: KeyRing,
    settings: ArchiveSettings,
    days: int,
    *,
    journal: str = "",
    dry_run: bool = False,
) -> tuple[Exit, dict[str, Any]]:
    """Prune one log; the exit status, and the result as JSON values."""
    file = active(log)
    cutoff = time.time_ns() - days * 86_400 * 10**9
    emitter = durable(file)
    try:
        path = os.path.abspath(journal) if journal else journal_of(log)
        with Bucket(settings) as bucket, Journal(path, settings.shown) as kept:
            pruner = Pruner(Layout.of(str(file)), ring, emitter.record_own)
            archived = ArchivePruner(bucket, pruner, kept, ring)
            with on_terminal("proving", "records") as bar:
                made = archived.run(cutoff, rehearse=dry_run, progress=bar)
            if made.outcome.files:
                _tell_unlocked(bucket)
    except RetentionError as error:
        return _refused(log, error)
    except SinkError as error:
        complain(f"{log}: nothing was removed: the log cannot be written to ({error.reason})")
        return Exit.INCOMPLETE, {"log": log, "error": "not-told"}
    except FAILURES as error:
        return failed(error), {"log": log, "error": getattr(error, "reason", "busy")}
    finally:
        emitter.close()
    outcome = made.outcome
    said = {
        "log": log,
        "dry_run": dry_run,
        "files": list(outcome.files),
        "bytes": outcome.bytes,
        "oldest_hot_seq": outcome.oldest_seq,
        "highest_proved_seq": made.proved,
        "stopped": made.stopped or outcome.stopped,
    }
    if made.stopped:
        complain(f"{log}: the archive does not have what it should: {made.stopped}")
    return Exit.FINDINGS if made.stopped else Exit.OK, said


def _tell_unlocked(bucket: Bucket) -> None:
    """Warn where the bucket has no Object Lock: then whoever may write there can delete all."""
    with suppress(ObjectStoreError):  # the role may not ask for it
        if not bucket.settings.lock and not bucket.protection().lock:
            complain(
                f"nothing in {bucket.settings.shown} is locked, and what is removed here is only "
                "there: see AUDIT_EMIT_ARCHIVE_LOCK"
            )


def pruned_rows(
    log: str,
    ring: KeyRing,
    settings: ArchiveSettings,
    days: int,
    *,
    drop: bool = True,
    dry_run: bool = False,
) -> tuple[Exit, dict[str, Any]]:
    """Prune the months of a database, which hold all chains there; as ``pruned``."""
    from audit_emit.cli import _pruned_rows as rows  # noqa: PLC0415 - an extra

    address, name = Address.chosen(log)[0], name_of(log.partition("#")[0])
    cutoff = time.time_ns() - days * 86_400 * 10**9
    proved: dict[str, int] = {}
    lacking: list[str] = []

    def work(pruner: RowsPruner) -> RowsOutcome:
        with Bucket(settings) as bucket, on_terminal("proving", "records") as bar:
            made = prune_rows(
                bucket, pruner, ring, cutoff, drop=drop, rehearse=dry_run, progress=bar
            )
        proved.update({chain: found.seq for chain, found in made.proved.items()})
        lacking.extend(found.stopped for found in made.proved.values() if found.stopped)
        return made.outcome

    try:
        said = rows.pruned(address, ring, work, drop=drop, rehearse=dry_run)
    except RetentionError as error:
        return _refused(name, error)
    except DatabaseError as error:
        complain(f"{name}: {error} ({error.reason}); nothing was removed")
        return Exit.NO_ANSWER, {"log": name, "error": error.reason}
    except FAILURES as error:
        return failed(error), {"log": name, "error": getattr(error, "reason", "busy")}
    for why in lacking:
        complain(f"{name}: the archive does not have what it should: {why}")
    said = {"log": name, **said, "highest_proved_seq": proved}
    return Exit.FINDINGS if lacking else Exit.OK, said


def _refused(log: str, error: RetentionError) -> tuple[Exit, dict[str, Any]]:
    complain(f"{log}: nothing was removed: {error}")
    status = Exit.FINDINGS if error.reason in {"tampered", "changed"} else Exit.INCOMPLETE
    return status, {"log": log, "error": error.reason}


def show_pruned(said: dict[str, Any]) -> None:
    """Print the result of ``pruned`` for people."""
    if "error" in said:
        return
    if "months" in said:
        _show_months(said)
        return
    verb = "would remove" if said["dry_run"] else "removed"
    what = f"{len(said['files'])} files, {said['bytes']:,} bytes" if said["files"] else "nothing"
    click.echo(visible(f"{verb} {what} of {said['log']}"))
    why = f"; no more, because {said['stopped']}" if said["stopped"] else ""
    click.echo(f"  on disk from record {said['oldest_hot_seq']} on{visible(why)}")


def _show_months(said: dict[str, Any]) -> None:
    verb = "would remove" if said["dry_run"] else "dropped" if said["dropped"] else "detached"
    what = ", ".join(said["months"])
    click.echo(visible(f"{verb} {what or 'nothing'} of {said['log']}"))
    for one in said["chains"]:
        click.echo(f"  {one['service']} {one['chain']}: records up to {one['last_seq']}")
    click.echo(visible(f"  no more, because {said['stopped']}"))
