"""``audit-emit tail``: the records of logs, readably, filtered, and as they are written."""

from __future__ import annotations

import heapq
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click

from audit_emit._facade.exports import Column
from audit_emit._facade.queries import Question
from audit_emit._facade.records import placement_of, ts_of, unwrapped
from audit_emit._facade.text import visible, visible_bytes
from audit_emit.cli._answers import columns_of, columns_option, for_programs
from audit_emit.cli._asked import asked, when
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._logs import configured, grouped, logs_argument, name_of, named
from audit_emit.cli._output import formats, out_file
from audit_emit.cli._records import SHOWN, Record, parse, shown, shown_malformed
from audit_emit.cli._sources import Source, source
from audit_emit.cli._streams import Closed
from audit_emit.cli._subject_keys import told as told_fields
from audit_emit.cli._verified import Mark, judged, verified_option

DEFAULT_COUNT = 20
POLL_SECONDS = 0.1


class Line(NamedTuple):
    """One line that is shown: its time, its bytes, and its text for people."""

    ts: int
    raw: bytes
    text: str


class View:
    """Which lines of one log are shown, and how many are no records.

    Args:
        question: which records.
        mark: what is said beside one.
        with_service: see ``shown``.
        for_people: whether texts are wanted, and what is no record is shown as well.
    """

    def __init__(
        self, question: Question, mark: Mark, *, with_service: bool, for_people: bool
    ) -> None:
        self._question = question
        self._mark = mark
        self._with_service = with_service
        self._for_people = for_people
        self.malformed: int = 0
        self.found: int = 0
        self.incomplete: bool = False
        self._ts = 0
        self._newest: int | None = None
        self._was_cut = False

    def begin(self, line: bytes) -> None:
        """The last line before those that are followed."""
        record = parse(unwrapped(line))
        self._newest = None if record is None else record.seq

    def cut(self, copy: Path | None) -> None:
        """The file was cut off in place, and goes on in a copy or nowhere."""
        self._was_cut = True
        told = "the file was cut off in place (copytruncate)"
        if copy is not None:
            _warn(f"{told}; read on in {copy.name}")
            return
        self.incomplete = True
        _warn(f"{told}, with no copy beside it: what it held beyond the last look is not shown")

    def followed(self, line: bytes) -> Line | None:
        """A line that was just written; says what is missing before it."""
        record = parse(unwrapped(line))
        seq = None if record is None else record.seq
        if seq is not None:
            if self._was_cut and self._newest is not None and seq > self._newest + 1:
                self.incomplete = True
                _warn(f"records {self._newest + 1} to {seq - 1} are in neither file")
            self._newest, self._was_cut = seq, False
        return self.look(line)

    def all(self, lines: Iterable[bytes]) -> Iterator[Line]:
        """What to show of lines."""
        for line in lines:
            found = self.look(line)
            if found is not None:
                yield found

    def look(self, line: bytes) -> Line | None:
        """One line; ``None`` for a record that was not asked for."""
        raw = unwrapped(line)
        found = placement_of(raw)
        if found is not None and not self._question.holds(found, raw):
            return None
        record = None if found is None else parse(raw)
        if found is None or record is None:
            # A filter hides records. Damage is nothing that a filter may hide.
            self.malformed += 1
            return Line(self._ts, raw, shown_malformed(line)) if self._for_people else None
        self._ts = found.ts
        self.found += 1
        return Line(found.ts, raw, self._told(record, raw) if self._for_people else "")

    def _told(self, record: Record, raw: bytes) -> str:
        marked = self._mark(raw)
        beside = click.style(f" [{marked}]", fg="red") if marked else ""
        told_fields(record.fields, raw)
        return shown(record, with_service=self._with_service) + beside


@a_command(
    "tail",
    {
        Exit.OK: "shown",
        Exit.FINDINGS: "some lines are no records; or with --verified a log does not verify",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing found, or there is no log",
        Exit.INCOMPLETE: "a torn end; or what was written before the file was cut off in place is "
        "not shown",
    },
    [
        "audit-emit tail",
        "audit-emit tail -f --type 'secret.*' /var/log/audit-emit/shop",
        "audit-emit tail --since yesterday --until today --actor u-17",
        "audit-emit tail -n 500 --format csv --columns ts,user_id,fields.key --out last.csv",
        "kubectl logs -f deploy/shop | audit-emit tail -f -",
    ],
)
@logs_argument
@click.option(
    "-f", "--follow", is_flag=True, help="Print new records as they come, also after rotation."
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=0),
    help=f"Show the last N matching records.  [default: {DEFAULT_COUNT}; all of them with --since]",
)
@asked
@formats("text", "json", "jsonl", "csv")
@columns_option
@verified_option
@click.pass_context
def command(
    context: click.Context,
    *,
    logs: tuple[str, ...],
    follow: bool,
    count: int | None,
    question: Question,
    form: str,
    columns: tuple[Column, ...],
    verified: bool,
    keys: tuple[str, ...],
) -> Exit:
    """Show the records of logs, the newest last.

    LOG is a log's directory or its active file: closed segments beside it are read as far as
    needed. It may also be a packed segment (.gz, .zst), or - for standard input. Without LOG, the
    log that this environment configures (see: audit-emit doctor).

    Control characters are printed as escapes. A line that is not chained, or whose hash is not the
    one that it states, is marked.
    """
    wanted = columns_of(form, columns)
    if follow:
        _check_follow(context, form, verified=verified)
    if count is None and question.since is None:
        count = DEFAULT_COUNT
    found = (list(logs) or [configured()]) if follow else named(logs)
    mark, tampered, ring = judged(found, keys, verified=verified)
    groups = grouped(found)
    found = [log for log, *_ in groups]
    several, for_people = len(found) > 1, form == "text"
    views = [View(question, mark, with_service=several, for_people=for_people) for _ in found]
    with ExitStack() as stack:
        sources = []
        for (log, *archives), view in zip(groups, views, strict=True):
            one = source(log, view.cut, wait=follow, archives=archives, ring=ring)
            stack.callback(one.close)
            sources.append(one)
        shown_ones = _shown(list(zip(sources, views, strict=True)), question, count, follow=follow)
        try:
            _print(shown_ones, form, wanted, mark)
        except KeyboardInterrupt:
            if not follow:
                raise
        torn = [] if follow else [one.torn() for one in sources]
    status = worst([_verdict(views, torn), Exit.FINDINGS if tampered else Exit.OK])
    if follow or count == 0 or any(view.found for view in views):
        return status
    _warn(f"nothing found in {', '.join(map(name_of, found))}{when(question)}")
    return worst([status, Exit.NOTHING])


def _check_follow(context: click.Context, form: str, *, verified: bool) -> None:
    if verified:
        raise click.UsageError("--verified is for records that are there already, and not for -f")
    if form == "json":
        raise click.UsageError("a JSON array has an end; with -f use --format jsonl")
    if out_file(context) is not None:
        raise click.UsageError("--out is written at the end, and -f has none; use > FILE")


def _shown(
    pairs: Sequence[tuple[Source, View]], question: Question, count: int | None, *, follow: bool
) -> Iterator[Line]:
    """What there is to show, oldest first, then what comes."""
    if follow:
        for one, view in pairs:
            # Before anything is shown: whoever sees it may cut the file off at once.
            view.begin(next(one.newest_first() or iter(()), b""))
    since = "" if question.since is None else ts_of(question.since)
    ways = [_history(one, view, since, count, follow=follow) for one, view in pairs]
    history = ways[0] if len(ways) == 1 else heapq.merge(*ways, key=_time)
    yield from history if count is None or len(ways) == 1 else deque(history, count)
    while follow and not isinstance(sys.stdout, Closed):
        for one, view in pairs:
            yield from filter(None, map(view.followed, one.poll()))
        if all(one.ended() for one, _ in pairs):
            return
        time.sleep(POLL_SECONDS)


def _history(
    one: Source, view: View, since: str, count: int | None, *, follow: bool
) -> Iterator[Line]:
    """What a log has to show of what is there already, oldest first."""
    if count == 0:
        return
    backwards = one.newest_first()
    if count is None:  # from a time on, however much that is
        yield from view.all(one.since(since))
    elif backwards is not None:
        lines = []
        for line in view.all(backwards):
            lines.append(line)
            if len(lines) == count:
                break
        yield from reversed(lines)
    elif not follow:  # else it comes as it is read
        yield from deque(view.all(one.since(since)), count)


def _time(line: Line) -> int:
    return line.ts


def _print(lines: Iterator[Line], form: str, columns: Sequence[Column], mark: Mark) -> None:
    if form == "text":
        for line in lines:
            click.echo(line.text)
        return
    raw = (line.raw for line in lines)
    for piece in for_programs(form, raw, columns, mark, terminal=sys.stdout.isatty()):
        click.echo(piece, nl=False)


def _warn(text: str) -> None:
    click.echo(visible(text), err=True)


def _verdict(views: Sequence[View], torn: Sequence[bytes]) -> Exit:
    for end in filter(None, torn):
        text = visible_bytes(end, SHOWN)
        click.echo(f"the last line is torn (or still being written): {text}", err=True)
    malformed = sum(view.malformed for view in views)
    if malformed:
        noun = "line is no record" if malformed == 1 else "lines are no records"
        click.echo(f"{malformed} {noun} (see: audit-emit verify)", err=True)
        return Exit.FINDINGS
    incomplete = any(torn) or any(view.incomplete for view in views)
    return Exit.INCOMPLETE if incomplete else Exit.OK
