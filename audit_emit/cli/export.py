"""``audit-emit export``: the records of a log in the format of another system."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from audit_emit._facade.exports import (
    INDEX_TEMPLATE,
    MODULES,
    VERSIONS,
    Column,
    Format,
    Piece,
    Reading,
    ResumableFile,
    chosen,
    exported,
)
from audit_emit._facade.queries import (
    LogReader,
    Question,
    look_for_parts,
    open_reader,
    open_readers,
)
from audit_emit._facade.records import Head, split_lines
from audit_emit._facade.schemas import Schemas, ocsf_places
from audit_emit._facade.settings import is_archive
from audit_emit._facade.text import visible, visible_bytes
from audit_emit.cli._answers import columns_of, columns_option
from audit_emit.cli._asked import asked
from audit_emit.cli._bar import Bar, on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._daemon import go_on, until_told
from audit_emit.cli._declarations import declarations
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import configured, grouped, logs_argument, name_of, named, not_there
from audit_emit.cli._output import resumable, resumed_file
from audit_emit.cli._reveal import record_reveal, reveal_option
from audit_emit.cli._subject_keys import sight
from audit_emit.errors import ExportError, UnsupportedError

POLL_SECONDS = 0.5


@a_command(
    "export",
    {
        Exit.OK: "exported, or nothing new with --resume",
        Exit.FINDINGS: "exported, except for lines that are no records, or parts that are missing; "
        "or the log no longer has the record that the last export ended with",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing found, or there is no log",
        Exit.NO_ANSWER: "the database or the key service does not answer",
    },
    [
        "audit-emit export /var/log/audit-emit/shop --format ocsf --out shop.ocsf.jsonl",
        "audit-emit export --format ecs --out /var/spool/siem/shop.jsonl --resume --follow",
        "audit-emit export --format csv --columns ts,user_id,fields.key --type 'secret.*'",
        "audit-emit export --index-template > template.json",
    ],
)
@logs_argument
@asked
@click.option(
    "--format",
    "form",
    type=click.Choice(list(MODULES)),
    default="jsonl",
    show_default=True,
    help=" ".join(f"{name}: {what}" for name, what in MODULES.items()),
)
@resumable
@click.option("--follow", is_flag=True, help="Keep running as the log grows, until a signal comes.")
@click.option(
    "--ocsf-version",
    type=click.Choice(VERSIONS),
    help=f"With --format ocsf.  [default: {VERSIONS[0]}]",
)
@declarations
@click.option(
    "--type-prefix",
    metavar="NAME",
    help="With --format cloudevents: the prefix of each type, such as org.example.  "
    "[default: audit_emit]",
)
@columns_option
@reveal_option
@click.option(
    "--index-template",
    is_flag=True,
    help="Print the index template for Elasticsearch (--format ecs), and end.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    logs: tuple[str, ...],
    question: Question,
    form: str,
    resume: bool,
    follow: bool,
    ocsf_version: str | None,
    schemas: Schemas,
    type_prefix: str | None,
    columns: tuple[Column, ...],
    index_template: bool,
    reveal: bool,
) -> Exit:
    """Write the records of each LOG in the format of another system: all, or those that match.

    LOG is a log's directory or its active file; a single segment, also packed; - for standard
    input; postgresql://…; or s3://…, which after a LOG adds the part of it that is only archived.
    Without LOG, the log that this environment configures. Every event has the exact line of its
    record in it, so that it can still be verified.

    With --format ocsf, --schemas and --module say where the fields of declared events belong.

    With --resume an export that was interrupted continues (its position is in FILE.state), and the
    file ends up with the same bytes as without the interruption. What is written to a pipe instead
    may come twice after a restart; receivers recognise duplicates by the id.
    """
    if index_template:
        click.echo(_template(), nl=False)
        return Exit.OK
    options = _options(form, ocsf_version, type_prefix, columns, schemas)
    output = resumed_file(context)
    if resume and output is None:
        raise click.UsageError("--resume continues the file of --out; name it")
    paths = list(logs) or [configured()] if follow else named(logs)
    one = _one_of(paths, question, follow=follow) if follow or resume else ()
    identity = f"{form} {options or ''} {_asked_for(question)}".replace("  ", " ").strip()
    form_made = _made(form, options)
    if reveal:
        identity += " revealed"
        record_reveal(paths, "export")
    run = _Run(form_made, question if _asked_for(question) else None, reveal=reveal)
    try:
        if output is not None:
            return run.to_file(one, output, identity, follow=follow)
        return run.to_standard_output(one or paths, follow=follow)
    except (ExportError, UnsupportedError) as error:
        raise click.UsageError(visible(str(error))) from None


def _one_of(paths: Sequence[str], question: Question, *, follow: bool) -> tuple[str, ...]:
    """The one log that was named, with its archive.

    Raises:
        UsageError: several were; or it is read once; or it does not grow, or not until then.
    """
    if follow and question.until is not None:
        raise click.UsageError("--follow runs until a signal comes; leave --until out")
    found = grouped(paths)
    if len(found) > 1 or "-" in paths:
        raise click.UsageError("--follow and --resume are about one LOG, and not standard input")
    if follow and any(map(is_archive, paths)):
        raise click.UsageError("--follow needs a log that grows: files, or postgresql://…")
    return found[0]


def _options(
    form: str,
    ocsf_version: str | None,
    type_prefix: str | None,
    columns: Sequence[Column],
    schemas: Schemas,
) -> dict[str, Any]:
    """The options of the format.

    Raises:
        UsageError: one of another format was given.
    """
    if ocsf_version and form != "ocsf":
        raise click.UsageError("--ocsf-version belongs to --format ocsf")
    if type_prefix and form != "cloudevents":
        raise click.UsageError("--type-prefix belongs to --format cloudevents")
    if form == "csv":
        return {"columns": columns_of("csv", columns)}
    columns_of(form, columns)
    if form == "ocsf":
        given = {"version": ocsf_version, "places": ocsf_places(schemas)}
        return {name: value for name, value in given.items() if value}
    return {"type_prefix": type_prefix} if type_prefix else {}


def _made(form: str, options: dict[str, Any]) -> Format:
    try:
        return chosen(form, **options)
    except ValueError as error:
        raise click.UsageError(visible(str(error))) from None


def _asked_for(question: Question) -> str:
    """The filters as a text; empty without any."""
    given = {
        name: value for name, value in question._asdict().items() if value not in (None, "", (), [])
    }
    return str(given) if given else ""


def _template() -> str:
    return INDEX_TEMPLATE.read_text("utf-8")


class _Run:
    """One export, and what was counted on the way.

    Args:
        form: of the events.
        wanted: which records; ``None`` for all.
        reveal: whether sealed values are decrypted.
    """

    def __init__(self, form: Format, wanted: Question | None, *, reveal: bool) -> None:
        self._reading = Reading(sight(), reveal=reveal)
        self._form = form
        self._wanted = wanted
        self._events = 0
        self._foreign = 0
        self._missing: list[str] = []

    def to_standard_output(self, paths: Sequence[str], *, follow: bool) -> Exit:
        self._write(self._form.head)
        if follow:
            end: list[Head | None] = [None]

            def again() -> bool:
                with open_reader(*paths) as reader:
                    return self._pass(reader, end, None)

            try:
                self._follow(again)
            except LookupError:
                self._say_lost(paths[0], "what was exported", end[0])
                return Exit.FINDINGS
            return self._verdict(resumed=True)
        with on_terminal("exporting") as bar, ExitStack() as stack:
            for reader in [stack.enter_context(one) for one in open_readers(paths)]:
                _check_there(reader)
                self._pass(reader, [None], bar)
        return self._verdict(resumed=False)

    def _pass(self, reader: LogReader, end: list[Head | None], bar: Bar | None) -> bool:
        """Print what follows the end; whether there was anything."""
        before = self._events
        for piece in exported(reader, self._form, end[0], self._wanted, self._reading):
            self._count(piece)
            self._write(piece.data)
            end[0] = piece.head
            if bar is not None:
                bar(piece.read, max(reader.size, piece.read))
        return self._events > before

    def _write(self, data: bytes) -> None:
        click.echo(_shown(data) if sys.stdout.isatty() else data, nl=False)

    def to_file(self, log: Sequence[str], output: Path, identity: str, *, follow: bool) -> Exit:
        with ResumableFile(output, identity, self._form.head) as file:
            begun = file.after

            def again() -> bool:
                with open_reader(*log) as reader:
                    return self._pass_to(file, reader, None)

            try:
                if follow:
                    self._follow(again)
                else:
                    with on_terminal("exporting") as bar, open_reader(*log) as reader:
                        _check_there(reader)
                        self._pass_to(file, reader, bar)
            except LookupError:
                self._say_lost(log[0], output.name, file.after)
                return Exit.FINDINGS
        click.echo(f"{self._events} events to {visible(str(output))}", err=True)
        return self._verdict(resumed=begun is not None)

    def _pass_to(self, file: ResumableFile, reader: LogReader, bar: Bar | None) -> bool:
        """Write what follows the end of a file; whether there was anything."""
        before = file.after
        for piece in exported(reader, self._form, file.after, self._wanted, self._reading):
            self._count(piece)
            file.add(piece)
            if bar is not None:
                bar(piece.read, max(reader.size, piece.read))
        if file.after != before:
            file.sync()
        return file.after != before

    def _say_lost(self, path: str, output: str, after: Head | None) -> None:
        seq = after.seq if after is not None else 0
        click.echo(
            f"audit-emit: {visible(name_of(path))} no longer has record {seq}, with which "
            f"{visible(output)} ends: the log was cut, or is another one",
            err=True,
        )

    def _follow(self, again: Callable[[], bool]) -> None:
        def patient() -> bool:
            try:
                return again()
            except FileNotFoundError:
                return False  # the log may come into being later

        with until_told() as told:
            go_on(patient, told, POLL_SECONDS)

    def _count(self, piece: Piece) -> None:
        self._events += piece.events
        self._foreign += piece.foreign
        if piece.missing and piece.missing not in self._missing:
            self._missing.append(piece.missing)
            click.echo(
                f"audit-emit: {visible(piece.missing)} is missing, and so are its records "
                "(see: audit-emit verify)",
                err=True,
            )

    def _verdict(self, *, resumed: bool) -> Exit:
        if self._foreign:
            click.echo(
                f"audit-emit: {self._foreign} lines are no records, and were not exported "
                "(see: audit-emit verify)",
                err=True,
            )
        if self._foreign or self._missing:
            return Exit.FINDINGS
        if self._events or resumed:
            return Exit.OK
        click.echo("audit-emit: no record matches", err=True)
        return Exit.NOTHING


def _check_there(reader: LogReader) -> None:
    """An empty log is exported as nothing; no log is an error.

    Raises:
        NoLog: nothing is there.
    """
    try:
        look_for_parts(reader)
    except FileNotFoundError:
        raise not_there(reader.name) from None


def _shown(data: bytes) -> bytes:
    """Events on a terminal: without anything that it would obey."""
    return b"".join(visible_bytes(line, len(line)).encode() + b"\n" for line in split_lines(data))
