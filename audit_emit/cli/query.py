"""``audit-emit query``: one question, asked of the log on this machine or of Loki."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import click
from click.core import ParameterSource

from audit_emit._facade.exports import Column, Mark
from audit_emit._facade.queries import Answer, Question, ask_log, ask_loki, count_log
from audit_emit._facade.records import placement_of
from audit_emit._facade.text import visible
from audit_emit.cli import _answers, _marks
from audit_emit.cli._answers import columns_of, columns_option
from audit_emit.cli._asked import asked, when
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._logs import grouped, logs_argument, name_of, named, not_there
from audit_emit.cli._loki import connected, loki_options
from audit_emit.cli._output import formats
from audit_emit.cli._reveal import record_reveal, reveal_option
from audit_emit.cli._subject_keys import see_with
from audit_emit.cli._verified import judged, verified_option
from audit_emit.errors import UnsupportedError
from audit_emit.log import KeyRing

LIMIT = 1000
"""The number of records that are shown without ``--limit``."""


END = 2**63
"""Above every ``seq``."""


class Source(NamedTuple):
    """Where to ask: a Loki, or logs."""

    loki: str
    tenant: str | None
    logs: Sequence[str]

    @property
    def name(self) -> str:
        """Without credentials."""
        if not self.loki:
            return ", ".join(map(name_of, self.logs))
        return "Loki" + (f", tenant {self.tenant}" if self.tenant else "")


@a_command(
    "query",
    {
        Exit.OK: "found",
        Exit.FINDINGS: "found, and lines that are no records; or with --verified a log that does "
        "not verify",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing found, or nothing to read",
        Exit.NO_ANSWER: "Loki, or the key service with --reveal, gave no usable answer",
    },
    [
        "audit-emit query --who-changed STRIPE_LIVE_KEY --since yesterday",
        "audit-emit query --type 'secret.*' --actor u-17 --since 'monday 03:00'",
        "audit-emit query --where key=STRIPE_LIVE_KEY --columns ts,user_id,fields.key --format csv",
        "audit-emit query --type auth.login --since 24h --loki http://loki:3100 --json",
        "audit-emit query /var/log/audit-emit/shop /var/log/audit-emit/api --correlation req-81",
    ],
)
@logs_argument
@asked
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"Print the newest N records; 0 for all.  [default: {LIMIT}]",
)
@click.option(
    "--before",
    type=click.IntRange(min=0),
    metavar="SEQ",
    help="Only records of a chain with a smaller seq, in the order of seq: the next page begins "
    "before the first seq of this one; 0 begins at the end.",
)
@click.option("--total", is_flag=True, help="Print only the number of matching records.")
@formats("text", "json", "jsonl", "csv")
@columns_option
@verified_option
@reveal_option
@loki_options
@click.option("--explain", is_flag=True, help="Print the query as LogQL, and do not run it.")
@click.pass_context
def command(
    context: click.Context,
    *,
    logs: tuple[str, ...],
    question: Question,
    limit: int | None,
    before: int | None,
    total: bool,
    form: str,
    columns: tuple[Column, ...],
    loki: str | None,
    tenant: str | None,
    explain: bool,
    verified: bool,
    keys: tuple[str, ...],
    reveal: bool,
) -> Exit:
    """Find records: in logs of this machine, or in Loki with --loki.

    LOG is a log's directory or its active file, with all segments beside it; a single segment, also
    packed (.gz, .zst); or - for standard input. Without LOG, the log that this environment
    configures.

    A record must match every filter; of several --type one is enough. Values may be shell patterns.
    A log and Loki give the same records, oldest first. A line that is not chained, or whose hash is
    not the one that it states, is marked, since nothing ties it to a log.
    """
    wanted = columns_of(form, columns)
    question = question._replace(before=END if before == 0 else before or 0)
    if total and (limit is not None or verified or columns or reveal):
        raise click.UsageError(
            "--total only counts: not with --limit, --columns, --verified or --reveal"
        )
    if explain:
        return _explain(question)
    source = _source(context, logs, loki, tenant, before, verified=verified)
    if total:
        return _total(question, source, form)
    mark, tampered, ring = judged(source.logs, keys, verified=verified)
    answer = _asked(question, source, LIMIT if limit is None else limit or None, ring)
    if reveal:
        answer, mark = _revealed(answer, source, mark)
    if form == "text":
        _print(answer, question, mark)
    else:
        terminal = sys.stdout.isatty()
        for piece in _answers.for_programs(form, answer.lines, wanted, mark, terminal=terminal):
            click.echo(piece, nl=False)
    status = _verdict(answer, question, source, mark, default=limit is None)
    return worst([status, Exit.FINDINGS]) if tampered and answer.lines else status


def _revealed(answer: Answer, source: Source, mark: Mark) -> tuple[Answer, Mark]:
    """Decrypt the sealed values of an answer, after each log has recorded that; and its marks."""
    if source.loki:
        raise click.UsageError("--reveal is recorded in the LOG, so it needs one")
    sight = see_with(click.get_current_context().params["subject_keys"])
    opened = [sight.opened(line) for line in answer.lines]
    keys = [key for _, used in opened for key in used]
    if not keys:
        complain("nothing could be opened: no key for it is there (see: --subject-keys)")
        return answer, mark
    records = sum(bool(used) for _, used in opened)
    record_reveal(source.logs, "query", records=records, values=len(keys), keys=keys)
    marks = {line: mark(old) for (line, _), old in zip(opened, answer.lines, strict=True)}
    return answer._replace(lines=[line for line, _ in opened]), lambda line: marks[line]


def _source(
    context: click.Context,
    logs: tuple[str, ...],
    loki: str | None,
    tenant: str | None,
    before: int | None,
    *,
    verified: bool,
) -> Source:
    if logs and loki and context.get_parameter_source("loki") is ParameterSource.COMMANDLINE:
        raise click.UsageError("ask a LOG or Loki (--loki), not both")
    source = Source(loki, tenant, ()) if loki and not logs else Source("", None, named(logs))
    if verified and source.loki:
        raise click.UsageError("--verified needs the log (see: audit-emit reconcile)")
    if before is not None and (source.loki or len(grouped(source.logs)) > 1):
        raise click.UsageError("--before is of one LOG: a seq is of one chain")
    return source


def _explain(question: Question) -> Exit:
    click.echo(question.logql())
    for term in question.unsaid():
        name = visible(".".join(map(str, term.path)))
        click.echo(f"LogQL has no way to name {name}: query looks at it itself", err=True)
    if question.before:
        click.echo("LogQL is not told of --before: a seq is of one chain", err=True)
    return Exit.OK


def _total(question: Question, source: Source, form: str) -> Exit:
    if source.loki:
        raise click.UsageError("--total is of a LOG; Loki counts with: count_over_time(…)")
    with _searching() as bar:
        found = sum(count_log(question, log, bar) for log in grouped(source.logs))
    click.echo(f'{{"total":{found}}}' if form in ("json", "jsonl") else f"{found}")
    return Exit.OK if found else Exit.NOTHING


@contextmanager
def _searching() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar while logs are read; what cannot be read becomes a usage error."""
    try:
        with on_terminal("searching") as bar:
            yield bar
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None
    except FileNotFoundError as error:
        raise not_there(str(error.filename)) from None


def _asked(question: Question, source: Source, limit: int | None, ring: KeyRing | None) -> Answer:
    if source.loki:
        with connected(source.loki, source.tenant) as client:
            return ask_loki(question, client, time.time_ns(), limit)
    with _searching() as bar:
        answers = [ask_log(question, log, limit, bar, ring) for log in grouped(source.logs)]
    return answers[0] if len(answers) == 1 else _together(answers, limit)


def _together(answers: Sequence[Answer], limit: int | None) -> Answer:
    """The newest records of several logs, oldest first."""
    lines = sorted((line for one in answers for line in one.lines), key=_time)
    cut = any(one.cut for one in answers) or (limit is not None and len(lines) > limit)
    return Answer(lines[-limit:] if limit else lines, cut, sum(one.strange for one in answers))


def _time(line: bytes) -> int:
    found = placement_of(line)
    return found.ts if found is not None else 0


def _print(answer: Answer, question: Question, mark: Mark) -> None:
    if question.changed:
        for line in answer.lines:
            click.echo(_answers.told(line, mark))
    elif answer.lines:
        _answers.print_table(answer.lines, mark)


def _verdict(
    answer: Answer, question: Question, source: Source, mark: Mark, *, default: bool
) -> Exit:
    """Print the remarks about an answer on standard error; the exit status."""
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
        click.echo(visible(f"{what} in {source.name}{when(question)}"), err=True)
    return worst(
        [
            Exit.OK if found else Exit.NOTHING,
            Exit.FINDINGS if answer.strange else Exit.OK,
        ]
    )
