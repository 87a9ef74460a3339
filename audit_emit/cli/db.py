"""``audit-emit db``: the schema of a chain in PostgreSQL."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from audit_emit._facade.database import schema
from audit_emit._facade.settings import Address
from audit_emit.cli._command import Command, complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._output import formats, kept
from audit_emit.errors import ConfigError, DatabaseError

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
    """The schema of an audit chain in PostgreSQL: create it, bring it up to date, check it.

    ADDRESS is postgresql://user@host/database, or postgresql+file:///path of a file that holds one;
    without it, AUDIT_EMIT_STORE counts, then AUDIT_EMIT_STORE_FILE. A password belongs in
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
@click.option("--until", type=click.IntRange(min=1), metavar="N", help="Stop after this one.")
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
        Exit.OK: "this build can work with it",
        Exit.FINDINGS: "the migrations differ from those of this build, or the database is ahead "
        "of --expect",
        Exit.USAGE: "",
        Exit.INCOMPLETE: "some are missing",
        Exit.NO_ANSWER: "the database does not answer, or refuses",
    },
)
@click.argument("address", required=False)
@click.option(
    "--expect", type=click.IntRange(min=1), metavar="N", help="The migration must be this one."
)
@formats("text", "json")
def check(address: str | None, expect: int | None, *, form: str) -> Exit:
    """Say which migrations the database has, and whether this build can work with them."""
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


def failed(error: DatabaseError) -> Exit:
    """Say it, and what that means for the exit status."""
    complain(f"{error} ({error.reason})")
    return Exit.FINDINGS if error.reason == "migrations-differ" else Exit.NO_ANSWER
