"""``audit-emit tail``: the records of a log, readably, filtered, and as they are written."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import NoReturn

import click

from audit_emit._readers.files.logfiles import LogFile, look_at
from audit_emit._readers.files.times import Times
from audit_emit._settings.settings import settings
from audit_emit.cli._exit import Exit
from audit_emit.cli._lines import Follower, backward, complete_end, forward, segments
from audit_emit.cli._marks import mark
from audit_emit.cli._records import SHOWN, Filter, instant, parse, shown, shown_malformed
from audit_emit.cli._streams import Closed
from audit_emit.cli._text import visible, visible_bytes
from audit_emit.cli._verified import Mark, judged, verified_option

DEFAULT_COUNT = 20
POLL_SECONDS = 0.1


class View:
    """Shows lines, and counts the ones that are no records."""

    def __init__(self, wanted: Filter, mark: Mark = mark, *, raw: bool) -> None:
        self.mark = mark
        self.wanted = wanted
        self.raw = raw
        self.malformed: int = 0
        self.incomplete: bool = False
        self._newest: int | None = None
        self._was_cut = False

    def begin(self, line: bytes) -> None:
        """The last line before those that are followed."""
        record = parse(line)
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

    def followed(self, line: bytes) -> str | bytes | None:
        """How to show a line that was just written; says what is missing before it."""
        record = parse(line)
        seq = None if record is None else record.seq
        if seq is not None:
            if self._was_cut and self._newest is not None and seq > self._newest + 1:
                self.incomplete = True
                _warn(f"records {self._newest + 1} to {seq - 1} are in neither file")
            self._newest, self._was_cut = seq, False
        return self.text(line)

    def all(self, lines: Iterable[bytes]) -> Iterator[str | bytes]:
        """What to show of lines in their order."""
        for line in lines:
            text = self.text(line)
            if text is not None:
                yield text

    def last(self, lines: Iterable[bytes], count: int | None) -> list[str | bytes]:
        """What to show of lines that come last first: ``count`` of them, oldest first."""
        texts: list[str | bytes] = []
        if count != 0:
            for line in lines:
                text = self.text(line)
                if text is not None:
                    texts.append(text)
                if len(texts) == count:
                    break
        return texts[::-1]

    def text(self, line: bytes) -> str | bytes | None:
        """How to show one line; ``None`` for a record that was not asked for."""
        record = parse(line)
        if record is None:
            # A filter hides records. Damage is nothing that a filter may hide.
            self.malformed += 1
            return None if self.raw else shown_malformed(line)
        if not self.wanted.matches(record):
            return None
        if not self.raw:
            marked = self.mark(line)
            return shown(record) + (click.style(f" [{marked}]", fg="red") if marked else "")
        return visible_bytes(line, len(line)) if sys.stdout.isatty() else line


def _since(_: click.Context, __: click.Parameter, value: str | None) -> str:
    try:
        return instant(value, datetime.now(UTC)) if value else ""
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("tail")
@click.argument("path", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("-f", "--follow", is_flag=True, help="Go on as records are written, over rotation.")
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=0),
    help=f"Show the last N matching records.  [default: {DEFAULT_COUNT}; all of them with --since]",
)
@click.option("--type", "types", multiple=True, help="Event type, such as 'secret.*'; repeatable.")
@click.option("--actor", default="", help="Who acted (user_id); a shell pattern may be used.")
@click.option("--workspace", default="", help="In which workspace.")
@click.option("--correlation", default="", help="In which request (correlation_id).")
@click.option(
    "--since", callback=_since, help="90s, 10m, 2h, 7d, or a time such as 2026-05-19T20:00."
)
@click.option("--json", "raw", is_flag=True, help="The records as they are in the file.")
@verified_option
def command(
    path: Path | None,
    *,
    follow: bool,
    count: int | None,
    types: tuple[str, ...],
    actor: str,
    workspace: str,
    correlation: str,
    since: str,
    raw: bool,
    verified: bool,
    keys: tuple[str, ...],
) -> Exit:
    """Show the records of the log at PATH, a file or its directory.

    Without PATH, the log that this environment configures (see: audit-emit doctor). Closed segments
    beside it are read as far as needed. Control characters are shown, never obeyed. What is not
    chained, or does not have the hash that it states, is marked.

    Exit status: 0 ok, 1 some lines are no records, 2 usage, 3 nothing there, 4 a torn end, or what
    was written before the file was cut off in place is not shown.
    """
    if verified and (follow or raw):
        raise click.UsageError("--verified marks what is shown, and is there; not -f or --json")
    judge = judged(str(_active(path)), keys)[0] if verified else mark
    view = View(Filter(types, actor, workspace, correlation, since), judge, raw=raw)
    if count is None and not since:
        count = DEFAULT_COUNT
    try:
        return _show(_active(path), view, count, follow=follow)
    except KeyboardInterrupt:
        if not follow:
            raise
        return Exit.INCOMPLETE if view.incomplete else Exit.OK  # the one way to end it


def _show(active: Path, view: View, count: int | None, *, follow: bool) -> Exit:
    fd = _open(active, wait=follow)
    follower = Follower(active, fd, complete_end(fd) if fd is not None else 0, view.cut)
    try:
        if follow and fd is not None:
            # Before anything is shown: whoever sees it may cut the file off at once.
            view.begin(next(backward(fd, follower.position), b""))
        if count is None:  # from a time on, however much that is
            lines = _from(active, fd, follower.position, view.wanted.since)
            _print(view.all(lines))
        else:
            _print(view.last(_history(active, fd, follower.position), count))
        if follow and not isinstance(sys.stdout, Closed):
            _follow(follower, view)
        torn = os.pread(fd, SHOWN + 1, follower.position) if fd is not None else b""
    finally:
        follower.close()
    return _verdict(view, torn)


def _active(path: Path | None) -> Path:
    if path is None:
        configured = settings({}).jsonl
        if configured is None:
            raise click.UsageError("this environment keeps no file (AUDIT_EMIT_JSONL); name a PATH")
        path = Path(configured)
    return path / "audit.jsonl" if path.is_dir() else path


def _open(active: Path, *, wait: bool) -> int | None:
    try:
        # Opening a named pipe would wait for its writer.
        fd = os.open(active, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if not wait:
            raise
        click.echo(f"waiting for {visible(str(active))}", err=True)
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise click.UsageError(f"{visible(str(active))} is not a regular file")
    return fd


def _history(active: Path, fd: int | None, end: int) -> Iterator[bytes]:
    """All lines up to ``end``, last first: the open file, then the segments closed before it."""
    if fd is None:
        return iter(())
    older = map(_closed, reversed(_older(active, fd)))
    return chain(backward(fd, end), chain.from_iterable(older))


def _older(active: Path, fd: int) -> list[Path]:
    """The segments that were closed before the open file, oldest first."""
    here = os.fstat(fd)
    return [path for path in segments(active) if not os.path.samestat(path.stat(), here)]


def _from(active: Path, fd: int | None, end: int, since: str) -> Iterator[bytes]:
    """The lines up to ``end``, without the parts of files that hold nothing but earlier records."""
    if fd is None:
        return
    here = os.fstat(fd)
    times = Times(str(active.parent))
    for path in _older(active, fd):
        yield from _later(look_at(str(path)), times, since)
    identity = (here.st_dev, here.st_ino)
    yield from _later(LogFile(str(active), identity, end, descriptor=fd), times, since, end)
    times.save()


def _later(file: LogFile, times: Times, since: str, end: int | None = None) -> Iterator[bytes]:
    rows = times.rows(file)
    with file.opened() as descriptor:
        for row in rows:
            stop = row.end if end is None else min(row.end, end)
            if row.begin < stop and row.within(since, ""):
                yield from forward(descriptor, row.begin, stop)


def _closed(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from backward(file.fileno(), complete_end(file.fileno()))


def _print(texts: Iterable[str | bytes]) -> None:
    for text in texts:
        click.echo(text)


def _warn(text: str) -> None:
    click.echo(visible(text), err=True)


def _follow(follower: Follower, view: View) -> NoReturn:
    while True:
        for line in follower.poll():
            text = view.followed(line)
            if text is not None:
                click.echo(text)
        time.sleep(POLL_SECONDS)


def _verdict(view: View, torn: bytes) -> Exit:
    if torn:
        text = visible_bytes(torn, SHOWN)
        click.echo(f"the last line is torn (or still being written): {text}", err=True)
    if view.malformed:
        noun = "line is no record" if view.malformed == 1 else "lines are no records"
        click.echo(f"{view.malformed} {noun}", err=True)
        return Exit.FINDINGS
    return Exit.INCOMPLETE if torn else Exit.OK
