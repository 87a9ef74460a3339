"""``audit-emit prune``: remove the oldest closed segments of a log that are old and signed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import click

from audit_emit._facade.retention import Limits, Outcome, Pruner
from audit_emit._facade.text import visible
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import signing_keys
from audit_emit.cli._logs import logs_argument, named, of_files
from audit_emit.cli._output import formats
from audit_emit.cli._signer import Log, opened
from audit_emit.cli._times import cutoff
from audit_emit.errors import CheckpointError, RetentionError, SinkError

EXITS = {
    "no-key": Exit.USAGE,
    "busy": Exit.INCOMPLETE,
    "not-signed": Exit.INCOMPLETE,
    "not-told": Exit.INCOMPLETE,
    "holds": Exit.INCOMPLETE,
}


@a_command(
    "prune",
    {
        Exit.OK: "removed, or nothing is old enough",
        Exit.FINDINGS: "the log does not verify: nothing was removed",
        Exit.USAGE: "usage, or not the key that signs the log",
        Exit.NOTHING: "there is no log, or a file cannot be read or deleted",
        Exit.INCOMPLETE: "another process works on the log, nothing is signed, or no record can be "
        "written",
        Exit.NO_ANSWER: "the key service or the token did not sign",
    },
    [
        "audit-emit prune /var/log/audit-emit/shop --older-than 90d --key signing.pem --dry-run",
        "audit-emit prune /var/log/audit-emit/shop --older-than 90d --key signing.pem",
    ],
)
@logs_argument
@click.option(
    "--older-than",
    required=True,
    metavar="TIME",
    help="Only what is older: 90d, 12w, or a date such as 2026-01-31.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and change nothing.")
@signing_keys
@click.option("--jobs", type=click.IntRange(1, 64), default=1, help="Processes that verify.")
@formats("text", "json")
def command(
    logs: tuple[str, ...],
    *,
    older_than: str,
    dry_run: bool,
    keys: tuple[str, ...],
    jobs: int,
    form: str,
) -> Exit:
    """Remove whole closed segments, oldest first, that are old and covered by a checkpoint.

    LOG is a log's directory or its active file; without it, the log that this environment
    configures. The newest segment always stays, and so does a segment under a legal hold, with all
    segments after it. Nothing is removed from a log that does not verify.

    The hashes of the removed records stay (tile/), and a signed record in the chain, audit.pruned,
    says what was removed: with both, the log still verifies. The key must be the one that signs the
    log's checkpoints.

    Run it as the user of the service. It can be interrupted, and run again.
    """
    limits = Limits(cutoff(older_than), f"older than {older_than}")
    statuses, told = [], []
    for log in of_files(named(logs)):
        status, said = _pruned(log, keys, limits, jobs, dry_run=dry_run)
        statuses.append(status)
        told.append(said)
        if form == "text" and "error" not in said:
            _show(said)
    if form == "json":
        click.echo(json.dumps(told[0] if len(told) == 1 else told, indent=2))
    return worst(statuses)


def _pruned(
    name: str, keys: tuple[str, ...], limits: Limits, jobs: int, *, dry_run: bool
) -> tuple[Exit, dict[str, Any]]:
    log = opened(name, keys, None, stdout=False, durability="always")
    try:
        with on_terminal("reading", "of this step") as bar:
            record = log.emitter.record_own
            made = Pruner(log.layout, log.ring, record, jobs=jobs, progress=bar).run(
                limits, rehearse=dry_run
            )
        said = _said(name, made, dry_run=dry_run)
        if made.record_seq:
            said["signed"] = _signed(log)
    except RetentionError as error:
        complain(f"{name}: {error}; nothing was removed")
        return EXITS.get(error.reason, Exit.FINDINGS), _failed(name, error.reason, str(error))
    except SinkError as error:
        complain(f"{name}: the log cannot be written to ({error.reason}); nothing was removed")
        return Exit.INCOMPLETE, _failed(name, "not-told", error.reason)
    finally:
        log.emitter.close()
    return Exit.OK, said


def _failed(name: str, reason: str, message: str) -> dict[str, Any]:
    return {"log": name, "error": reason, "message": message}


def _signed(log: Log) -> bool:
    """Sign the record of the removal, unless the log's signer has its state somewhere else."""
    with suppress(CheckpointError, SinkError, OSError):
        log.signer.run("manual")
        return True
    return False


def _said(log: str, made: Outcome, *, dry_run: bool) -> dict[str, Any]:
    removal = made.removal
    return {
        "log": log,
        "dry_run": dry_run,
        "removed": {
            "first_seq": removal.first_seq,
            "last_seq": removal.last_seq,
            "records": removal.records,
            "checkpoint": removal.size,
            "root_hash": removal.root_hash,
            "declared_by": made.record_seq or None,
        }
        if removal is not None
        else None,
        "files": list(made.files),
        "bytes": made.bytes,
        "oldest_seq": made.oldest_seq,
        "stopped": made.stopped,
    }


def _show(said: dict[str, Any]) -> None:
    log, removed, would = visible(said["log"]), said["removed"], said["dry_run"]
    files = f"{len(said['files'])} files, {said['bytes'] / 1e6:.1f} MB"
    if removed is not None:
        verb = "would remove" if would else "removed"
        click.echo(
            f"{log}: {verb} records {removed['first_seq']} to {removed['last_seq']} ({files}), "
            f"which checkpoint {removed['checkpoint']} covers"
        )
    elif said["files"]:
        verb = "would delete" if would else "deleted"
        click.echo(f"{log}: {verb} what an earlier run declared ({files})")
    else:
        click.echo(f"{log}: nothing to remove")
    click.echo(f"  begins with record {said['oldest_seq']}; no more, because {said['stopped']}")
    if said.get("signed") is False:
        click.echo("  the next checkpoint signs the record of it: audit-emit checkpoint")
