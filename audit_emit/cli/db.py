"""``audit-emit db``: the schema of a chain in PostgreSQL, and old months of its rows."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from audit_emit._facade.database import schema
from audit_emit._facade.retention import Limits, RowsOutcome, RowsPruner
from audit_emit._facade.settings import Address
from audit_emit.cli._command import Command, complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import signing_keys
from audit_emit.cli._output import formats, kept
from audit_emit.cli._times import cutoff
from audit_emit.cli.prune import EXITS
from audit_emit.errors import ConfigError, DatabaseError, RetentionError
from audit_emit.log import KeyRing

VARIABLES = ("AUDIT_EMIT_STORE", "AUDIT_EMIT_STORE_FILE")


def address_of(given: str | None) -> Address:
    """The address that is given, or the one of this environment.

    Raises:
        click.UsageError: there is none, or it cannot be used.
    """
    text = given or os.environ.get(VARIABLES[0], "").strip()
    if not text and os.environ.get(VARIABLES[1]):
        text = f"postgresql+file://{os.path.abspath(os.environ[VARIABLES[1]])}"
    if not text:
        raise click.UsageError(f"name an ADDRESS (postgresql://…), or set {VARIABLES[0]}")
    try:
        return Address(text)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


@click.group("db")
def command() -> None:
    """An audit chain in PostgreSQL: create, update and check its schema, remove old months.

    ADDRESS is postgresql://user@host/database, or postgresql+file:///path of a file that holds one;
    by default that of AUDIT_EMIT_STORE, else of AUDIT_EMIT_STORE_FILE. Keep a password in
    PGPASSFILE, or in that file.
    """


@command.command(
    "migrate",
    cls=Command,
    statuses={
        Exit.OK: "done, or nothing to do",
        Exit.FINDINGS: "the database has other migrations of these numbers",
        Exit.USAGE: "",
        Exit.NO_ANSWER: "the database does not answer, or refuses",
    },
)
@click.argument("address", required=False)
@click.option("--until", type=click.IntRange(min=1), metavar="N", help="Stop after this migration.")
def migrate(address: str | None, until: int | None) -> Exit:
    """Run the migrations that are missing, in one transaction, under a lock."""
    try:
        done = schema.migrate(address_of(address), until=until)
    except DatabaseError as error:
        return failed(error)
    for migration in done:
        click.echo(f"done  {migration.number:04d} {migration.name}")
    if not done:
        click.echo("ok    nothing to do")
    return Exit.OK


@command.command(
    "check",
    cls=Command,
    statuses={
        Exit.OK: "this version works with it",
        Exit.FINDINGS: "the migrations differ from those of this version, or the database is ahead "
        "of --expect",
        Exit.USAGE: "",
        Exit.INCOMPLETE: "some are missing",
        Exit.NO_ANSWER: "the database does not answer, or refuses",
    },
)
@click.argument("address", required=False)
@click.option(
    "--expect",
    type=click.IntRange(min=1),
    metavar="N",
    help="The newest migration must be this one.",
)
@formats("text", "json")
def check(address: str | None, expect: int | None, *, form: str) -> Exit:
    """Show which migrations the database has, and whether this version works with them."""
    try:
        found = schema.look(address_of(address))
    except DatabaseError as error:
        return failed(error)
    word, status = _verdict(found, expect)
    said: dict[str, Any] = {
        "status": word,
        "applied": found.applied,
        "known": found.known,
        "pending": [m.number for m in found.pending],
        "differing": [m.number for m in found.differing],
        "newer": list(found.unknown),
    }
    if form == "json":
        click.echo(json.dumps(said))
        return status
    click.echo(f"{word}  migration {found.applied} of {found.known}")
    for name in ("pending", "differing", "newer"):
        if said[name]:
            click.echo(f"  {name:9}  {', '.join(map(str, said[name]))}")
    return status


def _verdict(found: schema.State, expect: int | None) -> tuple[str, Exit]:
    if found.differing:
        return "DIFFERENT", Exit.FINDINGS
    if expect is not None and found.applied > expect:
        return "AHEAD", Exit.FINDINGS
    if found.applied < (expect or found.known):
        return "behind", Exit.INCOMPLETE
    return "ok", Exit.OK


@command.command("sql", cls=Command, statuses={Exit.OK: "printed", Exit.USAGE: ""})
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="N", help="Without these.")
@kept
def sql(after: int) -> Exit:
    """Print the migrations as a script for psql, in one transaction."""
    click.echo(schema.as_sql(after), nl=False)
    return Exit.OK


@command.command(
    "prune",
    cls=Command,
    statuses={
        Exit.OK: "removed, or no month is old enough",
        Exit.FINDINGS: "a chain does not verify: nothing was removed",
        Exit.USAGE: "usage, or not the key that signs the chains",
        Exit.INCOMPLETE: "nothing is signed, or the table is in use all the time",
        Exit.NO_ANSWER: "the database does not answer, or refuses",
    },
    examples=[
        "audit-emit db prune postgresql://pruner@db/a --older-than 90d --key k.pem --dry-run",
        "audit-emit db prune postgresql://pruner@db/a --older-than 90d --key k.pem --drop",
    ],
)
@click.argument("address", required=False)
@click.option(
    "--older-than",
    required=True,
    metavar="TIME",
    help="Only months that were over by then: 90d, 12w, or a date such as 2026-01-31.",
)
@click.option("--drop", is_flag=True, help="Delete the rows; without it they are only detached.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and change nothing.")
@signing_keys
@formats("text", "json")
def prune(
    address: str | None,
    *,
    older_than: str,
    drop: bool,
    dry_run: bool,
    keys: tuple[str, ...],
    form: str,
) -> Exit:
    """Remove whole months of old rows that checkpoints cover.

    A month is removed when every chain that has rows in it is signed beyond them. Each of these
    chains gets a record of that (audit.pruned), signed with the key of its checkpoints. Nothing is
    removed from a chain that does not verify, or that is under a legal hold. All of it is one
    transaction.

    Without --drop the months stay as separate tables (audit_emit.records_YYYYMM), for you to dump
    and drop. The role needs audit_emit_pruner, and no other right.
    """
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    limits = Limits(cutoff(older_than), f"older than {older_than}")
    from audit_emit.cli._pruned_rows import pruned  # noqa: PLC0415 - an extra

    def work(pruner: RowsPruner) -> RowsOutcome:
        return pruner.run(limits, drop=drop, rehearse=dry_run)

    try:
        said = pruned(address_of(address), ring, work, drop=drop, rehearse=dry_run)
    except DatabaseError as error:
        return failed(error)
    except RetentionError as error:
        complain(f"{error}; nothing was removed")
        return EXITS.get(error.reason, Exit.FINDINGS)
    if form == "json":
        click.echo(json.dumps(said, indent=2))
        return Exit.OK
    verb = "would remove" if dry_run else "dropped" if drop else "detached"
    click.echo(f"{verb} {', '.join(said['months'])}" if said["months"] else "nothing to remove")
    for one in said["chains"]:
        click.echo(f"  {one['service']} {one['chain']}: records up to {one['last_seq']}")
    click.echo(f"  no more, because {said['stopped']}")
    return Exit.OK


def failed(error: DatabaseError) -> Exit:
    """Print what went wrong; the exit status."""
    complain(f"{error} ({error.reason})")
    return Exit.FINDINGS if error.reason == "migrations-differ" else Exit.NO_ANSWER
