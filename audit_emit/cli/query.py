"""``audit-emit query``: one question, asked of the log on this machine or of Loki."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import click
from click.core import ParameterSource

from audit_emit._format.record import ns_of, ts_of
from audit_emit._query.question import Question, Term, checked
from audit_emit._query.search import Answer, ask_log, ask_loki
from audit_emit._settings.settings import settings
from audit_emit.cli import _answers, _marks
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._exit import Exit
from audit_emit.cli._loki import connected, loki_options
from audit_emit.cli._records import time_option
from audit_emit.cli._text import visible
from audit_emit.cli._verified import judged, verified_option
from audit_emit.errors import UnsupportedError

LIMIT = 1000
"""Records that are shown when nobody says how many."""


class Source(NamedTuple):
    """Where to ask: a Loki, or a log."""

    loki: str
    tenant: str | None
    path: str

    @property
    def name(self) -> str:
        """Without credentials."""
        if not self.loki:
            return self.path
        return "Loki" + (f", tenant {self.tenant}" if self.tenant else "")


@click.command("query")
@click.argument("words", nargs=-1, metavar="[TYPE]... [NAME=VALUE]...")
@click.option("--type", "types", multiple=True, help="Event type, such as 'secret.*'; repeatable.")
@click.option("--actor", default="", help="Who acted (user_id).")
@click.option("--workspace", default="", help="In which workspace.")
@click.option("--correlation", default="", help="In which request (correlation_id).")
@click.option("--who-changed", "changed", default="", metavar="KEY", help="Who changed a secret.")
@click.option("--since", callback=time_option, help="Begin here: 24h, 7d, 03:00Z, 2026-05-19.")
@click.option("--until", callback=time_option, help="End before this.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"The newest N records; 0 for all.  [default: {LIMIT}]",
)
@click.option(
    "--output", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
@click.option(
    "--no-record", is_flag=True, help="With --output csv: no column for the whole record."
)
@click.option(
    "--path", "--jsonl", "path", help="A log, or a part of it.  [default: this environment's]"
)
@verified_option
@loki_options
@click.option("--explain", is_flag=True, help="Print the question as LogQL; ask nobody.")
@click.pass_context
def command(
    context: click.Context,
    *,
    words: tuple[str, ...],
    types: tuple[str, ...],
    actor: str,
    workspace: str,
    correlation: str,
    changed: str,
    since: str,
    until: str,
    limit: int | None,
    output: str,
    no_record: bool,
    path: str | None,
    loki: str | None,
    tenant: str | None,
    explain: bool,
    verified: bool,
    keys: tuple[str, ...],
) -> Exit:
    """Find records: in the log of this machine, or in Loki with --loki.

    TYPE is an event type; NAME=VALUE and NAME!=VALUE look at a member of the record (service, id,
    trace_id, ...), any other NAME at one of its fields: key=STRIPE_LIVE_KEY, a.b=1, tags[0]=x,
    '["a.b"]=1'. Everything must hold, but one TYPE is enough. Values and types may be shell
    patterns. Both places give the same records, oldest first. What is not chained, or does not have
    the hash that it states, is marked: nothing ties it to a log.

    Exit status: 0 found, 1 found, and lines that are no records, 2 usage, 3 nothing found or
    nothing to read, 5 Loki gives no answer to build on.
    """
    if no_record and output != "csv":
        raise click.UsageError("--no-record belongs to --output csv")
    for word in words:
        if "=" not in word and "/" in word:
            raise click.UsageError(f"{visible(word)} is no event type; a log goes with --path")
    try:
        question = Question(
            types=tuple(map(checked, (*(word for word in words if "=" not in word), *types))),
            terms=tuple(Term.parse(word) for word in words if "=" in word),
            actor=checked(actor),
            workspace=checked(workspace),
            correlation=checked(correlation),
            changed=checked(changed),
            since=max(0, ns_of(since)) if since else None,
            until=ns_of(until) if until else None,
        )
    except ValueError as error:
        raise click.UsageError(visible(str(error))) from None
    if explain:
        return _explain(question)
    if since and until and since >= until:
        raise click.UsageError(f"nothing is from {since} on and before {until}")
    explicit = context.get_parameter_source("loki") is ParameterSource.COMMANDLINE
    if path is not None and explicit:
        raise click.UsageError("ask a log (--path) or Loki (--loki), not both")
    source = Source(loki, tenant, "") if loki and path is None else Source("", None, _log(path))
    if verified and source.loki:
        raise click.UsageError("--verified needs the log (see: audit-emit reconcile)")
    mark, tampered = judged(source.path, keys) if verified else (_marks.mark, False)
    answer = _asked(question, source, LIMIT if limit is None else limit or None)
    _print(answer, output, question, mark, with_record=not no_record)
    status = _verdict(answer, question, source, mark, default=limit is None)
    return Exit.FINDINGS if tampered and answer.lines else status


def _explain(question: Question) -> Exit:
    click.echo(question.logql())
    for term in question.unsaid():
        name = visible(".".join(map(str, term.path)))
        click.echo(f"LogQL has no way to name {name}: query looks at it itself", err=True)
    return Exit.OK


def _log(path: str | None) -> str:
    path = path or settings({}).jsonl
    if path is None:
        raise click.UsageError("this environment keeps no file (AUDIT_EMIT_JSONL); use --path")
    return path


def _asked(question: Question, source: Source, limit: int | None) -> Answer:
    if source.loki:
        with connected(source.loki, source.tenant) as client:
            return ask_loki(question, client, time.time_ns(), limit)
    try:
        with on_terminal("searching") as bar:
            return ask_log(question, source.path, limit, bar)
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None


def _print(
    answer: Answer, output: str, question: Question, mark: _answers.Mark, *, with_record: bool
) -> None:
    terminal = sys.stdout.isatty()
    if output == "json":
        for line in _answers.as_lines(answer.lines, terminal=terminal):
            click.echo(line, nl=False)
    elif output == "csv":
        for row in _answers.as_csv(answer.lines, terminal=terminal, with_record=with_record):
            click.echo(row, nl=False)
    elif question.changed:
        for line in answer.lines:
            click.echo(_answers.told(line, mark))
    elif answer.lines:
        _answers.print_table(answer.lines, mark)


def _when(question: Question) -> str:
    """Which times were asked about, as understood: ``03:00Z`` is one of a day."""
    since = "" if question.since is None else f" since {ts_of(question.since)}"
    return since + ("" if question.until is None else f" until {ts_of(question.until)}")


def _verdict(
    answer: Answer, question: Question, source: Source, mark: _answers.Mark, *, default: bool
) -> Exit:
    """What standard error has to say, and the status."""
    found = len(answer.lines)
    if answer.cut:
        more = f"; --limit takes another number than {LIMIT}, and 0 for all" if default else ""
        click.echo(f"shown: the newest {found}; there are older ones{more}", err=True)
    if answer.strange:
        noun = "line is no record" if answer.strange == 1 else "lines are no records"
        click.echo(f"{answer.strange} {noun} (see: audit-emit verify)", err=True)
    notes = _marks.told(map(mark, answer.lines))
    for note in [*notes, *(_marks.chains_told(answer.lines) if source.loki else [])]:
        click.echo(note, err=True)
    if source.loki and question.since is None and not answer.cut:
        click.echo("Loki was asked about the last 30 days; --since goes further back", err=True)
    if not found:
        what = f"nothing changed {question.changed}" if question.changed else "nothing found"
        click.echo(visible(f"{what} in {source.name}{_when(question)}"), err=True)
    return Exit.UNREADABLE if not found else Exit.FINDINGS if answer.strange else Exit.OK
