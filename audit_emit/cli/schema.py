"""``audit-emit schema``: a log and a program against declared events; pages and files of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import click

from audit_emit._facade.queries import Question
from audit_emit._facade.schemas import (
    Schemas,
    as_data,
    check_source,
    differing,
    page,
    write,
)
from audit_emit._facade.text import visible
from audit_emit.cli._asked import asked
from audit_emit.cli._command import Command, complain
from audit_emit.cli._declarations import declarations, need
from audit_emit.cli._declared_log import check_logs
from audit_emit.cli._declared_source import show_source
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import logs_argument, named
from audit_emit.cli._output import formats


@click.group("schema")
def command() -> None:
    """Declared events: event classes and JSON Schemas (docs/schemas.md)."""


@command.command(
    "check",
    cls=Command,
    statuses={
        Exit.OK: "everything is declared, and fits",
        Exit.FINDINGS: "a type or a field is not declared, or does not fit",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing found, or there is no log or no such directory",
        Exit.INCOMPLETE: "a file of --source cannot be read as Python; the other files are right",
        Exit.NO_ANSWER: "the database does not answer",
    },
    examples=[
        "audit-emit schema check /var/log/audit-emit/shop --schemas schemas/ --since 24h",
        "audit-emit schema check --source src/",
        "audit-emit schema check --source src/ --module shop.events --json",
    ],
)
@logs_argument
@asked
@click.option(
    "--source",
    "sources",
    metavar="DIR",
    multiple=True,
    help="Look at the calls in the Python files of this directory instead; repeatable. Their code "
    "is not run, and their event classes count as declared.",
)
@declarations
@formats("text", "json")
def check(
    *,
    logs: tuple[str, ...],
    question: Question,
    sources: tuple[str, ...],
    schemas: Schemas,
    form: str,
) -> Exit:
    """Find what is not declared: in the records of each LOG, or in the calls of a program.

    In a LOG these are records of an undeclared type, and records whose fields do not fit their
    declaration (the field _schema). In --source they are calls with an undeclared type or an
    unknown field, or without a required one.
    """
    if sources:
        if logs or question != Question():
            raise click.UsageError("--source is about files of Python, and not about a LOG")
        return show_source(check_source(sources, schemas), form)
    need(schemas)
    return check_logs(named(logs), question, schemas, form)


@command.command(
    "docs",
    cls=Command,
    statuses={Exit.OK: "written", Exit.USAGE: ""},
    examples=["audit-emit schema docs --module shop.events --title 'Events of the shop'"],
)
@declarations
@click.option("--title", default="Audit events", show_default=True, help="Of the page.")
@formats("markdown", "json")
def docs(*, schemas: Schemas, title: str, form: str) -> Exit:
    """Write a page of a service's events, in Markdown."""
    need(schemas)
    if form == "json":
        click.echo(json.dumps(as_data(schemas), indent=2))
    else:
        click.echo(page(schemas, title), nl=False)
    return Exit.OK


@command.command(
    "export",
    cls=Command,
    statuses={
        Exit.OK: "written, or with --check nothing differs",
        Exit.FINDINGS: "with --check: a file differs, or is not there",
        Exit.USAGE: "",
    },
    examples=[
        "audit-emit schema export --module shop.events --to schemas/",
        "audit-emit schema export --module shop.events --to schemas/ --check",
    ],
)
@declarations
@click.option("--to", metavar="DIR", help="Write a file for each event type: secret.set.json.")
@click.option(
    "--check",
    "only",
    is_flag=True,
    help="With --to: write nothing, and list the files that differ.",
)
@formats("json")
def export(*, schemas: Schemas, to: str | None, only: bool, form: str) -> Exit:
    """Write event classes as JSON Schemas: one object with all, or a file for each with --to.

    configure(schemas=…) and --schemas accept both. With --to, the names of the written files are
    printed.
    """
    del form
    need(schemas)
    if only and to is None:
        raise click.UsageError("--check compares the files of a directory; name it with --to")
    if to is None:
        documents = {name: schemas[name].document for name in sorted(schemas)}
        click.echo(json.dumps(documents, indent=2))
        return Exit.OK
    names = differing(schemas, to) if only else write(schemas, to)
    click.echo(json.dumps(names))
    _tell(names, to, only=only)
    return Exit.FINDINGS if only and names else Exit.OK


def _tell(names: Sequence[str], to: str, *, only: bool) -> None:
    if only and names:
        complain(f"{len(names)} files differ; write them with: audit-emit schema export --to {to}")
    elif not only:
        where = visible(os.path.abspath(to))
        click.echo(f"{len(names)} files written to {where}", err=True)
