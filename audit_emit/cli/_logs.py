"""``[LOG]...``: the logs that a command is about, and the error where one does not exist."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from audit_emit import Settings
from audit_emit._facade.records import MAX_SEQ
from audit_emit._facade.settings import (
    Address,
    check_address,
    is_address,
    is_archive,
    scheme_of,
    settings,
    system_directory,
)
from audit_emit._facade.text import visible
from audit_emit.cli._exit import Exit
from audit_emit.cli._rights import whose
from audit_emit.errors import ConfigError

_Function = TypeVar("_Function", bound=Callable[..., Any])

_TYPE = re.compile(r"[a-z][a-z0-9_*?]*([.][a-z0-9*?][a-z0-9_*?]*)+")
_ENDINGS = (".jsonl", ".gz", ".zst", ".json", ".log")
_OF_ARCHIVES = {
    *("anomalies", "erase", "export"),
    *("verify", "query", "console", "prove", "reconcile", "report", "tail"),
    *("build", "check", "serve"),  # of tiles
}
"""Commands that read what is archived, too."""

SEQ = click.IntRange(1, MAX_SEQ)
"""The type of options that take a ``seq``: no record has a larger one than 2^63-1."""

_SHOWN = 5
"""How many existing logs the error suggests where one is not found."""


class NoLog(click.ClickException):
    """There is no log where one was named; the status is that of nothing to look at."""

    exit_code = int(Exit.NOTHING)


def logs_argument(function: _Function) -> _Function:
    """``[LOG]...``, as the parameter ``logs``."""
    of_files = click.Path(readable=False, allow_dash=True)  # so that a shell completes names
    return click.argument("logs", nargs=-1, metavar="[LOG]...", type=of_files, callback=_checked)(
        function
    )


def _checked(ctx: click.Context, __: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Refuse what cannot be a log, with what to type instead."""
    for log in value:
        shown = visible(log)
        if not log:
            raise click.UsageError("LOG is empty: name a directory, or leave it out")
        if is_archive(log):
            _check_archive(log, ctx.info_name or "")
        if log == "-" or is_address(log) or is_archive(log) or os.path.lexists(log):
            continue
        if scheme := scheme_of(log):
            meant = "; the address of Loki goes to --loki" if scheme.startswith("http") else ""
            raise click.UsageError(
                f"no log is read from {scheme}; a LOG is a path, -, postgresql://… or "
                f"s3://bucket/prefix{meant}"
            )
        if "=" in log and "/" not in log.partition("=")[0]:
            raise click.UsageError(f"there is no log {shown}; conditions go to --where {shown}")
        if _TYPE.fullmatch(log) and not log.endswith(_ENDINGS):
            raise click.UsageError(f"there is no log {shown}; event types go to --type {shown}")
    return tuple(value)


def _check_archive(log: str, command: str) -> None:
    if command not in _OF_ARCHIVES:
        raise click.UsageError("this is about logs that are not archived; s3://… goes to verify")
    try:
        check_address(log)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def named(logs: Sequence[str]) -> list[str]:
    """The logs that were named, or the one that this environment configures.

    Raises:
        UsageError: none was, and this environment keeps no file.
        NoLog: one is not there.
    """
    found = list(logs) or [configured()]
    for log in found:
        if log != "-" and not is_there(log):
            raise not_there(log)
    return found


def grouped(logs: Sequence[str]) -> list[tuple[str, ...]]:
    """The logs that were named, each with the archives that were named beside it."""
    archives = [log for log in logs if is_archive(log)]
    others = [log for log in logs if not is_archive(log)]
    return [(log, *archives) for log in others] or [(log,) for log in archives]


def of_files(logs: Sequence[str]) -> Sequence[str]:
    """The same logs, for what is about the files of a log.

    Raises:
        UsageError: one is in a database.
    """
    for log in logs:
        if is_address(log) or is_archive(log):
            raise click.UsageError(f"this is about files, and {visible(name_of(log))} has none")
    return logs


def is_there(log: str) -> bool:
    """Whether there is something at a path, or a closed segment of the log around it.

    A database is not asked: reading it gives an error of its own.
    """
    return (
        is_address(log)
        or is_archive(log)
        or os.path.lexists(log)
        or any(map(_is_segment, _siblings(Path(log))))
    )


def one_of(logs: Sequence[str]) -> str:
    """As ``named``, for what can be about one log only.

    Raises:
        UsageError: several were named.
    """
    if len(logs) > 1:
        raise click.UsageError("this is about one LOG at a time")
    return named(logs)[0]


def configured() -> str:
    """The log that this environment configures: a file, else the chains of its service in a store.

    Raises:
        UsageError: it keeps none.
    """
    found = settings({})
    if found.jsonl is not None:
        return _where_it_is(found)
    if found.store is None:
        raise click.UsageError(
            "this environment keeps no file (AUDIT_EMIT_JSONL) and no store; name a LOG"
        )
    file = os.path.abspath(os.environ.get("AUDIT_EMIT_STORE_FILE", ""))
    address = os.environ.get("AUDIT_EMIT_STORE", "").strip() or f"postgresql+file://{file}"
    return address if "#" in address else f"{address}#service={quote(found.service)}"


def _where_it_is(found: Settings) -> str:
    """The file of a service that keeps it where it does by default, as seen by whoever asks.

    Who may only read the system directory, such as an auditor in its group, is not who writes
    there: for a process of such an account the default would be in its own home directory.
    """
    log = str(found.jsonl)
    system = system_directory(found.service)
    is_default = found.sources["jsonl"] == "default" and not is_there(log)
    if is_default and (os.path.isdir(system) or _is_closed(system)):
        return f"{system}/audit.jsonl"
    return log


def _is_closed(path: str) -> bool:
    """Whether this user may not look at a path, so that it is unknown what is there."""
    try:
        os.lstat(path)
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


def name_of(log: str) -> str:
    """A log as it may be shown: an address without its password."""
    if not is_address(log):
        return log
    _, separator, chosen = log.partition("#")
    return f"{Address.chosen(log)[0].shown}{separator}{chosen}"


def not_there(log: str) -> NoLog:
    """The error for a log that is not there, with those that may have been meant."""
    if is_archive(log):
        return NoLog(f"nothing is archived in {visible(log)}; see: audit-emit archive status LOG")
    if is_address(log):
        return NoLog(f"there is no such chain in {visible(name_of(log))}")
    path = Path(log)
    if _is_closed(log):
        return NoLog(f"{visible(log)}: Permission denied: {whose(log)}")
    told = f"there is no log {'in ' if path.is_dir() else ''}{visible(log)}"
    found = settings({})
    if found.jsonl is not None and log == _where_it_is(found):
        told += ", where this environment would keep it (see: audit-emit doctor)"
    elsewhere = [Path(system_directory(log))] if path.name == log else []
    for place in (path, path.parent, *elsewhere):
        seen = list(_below(place))
        if seen:
            names = ", ".join(visible(str(one.absolute())) for one in seen[:_SHOWN])
            return NoLog(f"{told}; there is: {names}" + (", …" if len(seen) > _SHOWN else ""))
    return NoLog(f"{told}; a LOG is a directory with audit.jsonl in it, or that file")


def _below(directory: Path) -> Iterator[Path]:
    """The directories of logs at a place and just below it."""
    try:
        inside = sorted(directory.iterdir())
    except OSError:
        return
    if any(_is_segment(path) for path in inside):
        yield directory
    for path in inside:
        try:
            if path.is_dir() and any(map(_is_segment, path.iterdir())):
                yield path
        except OSError:
            continue


def _siblings(path: Path) -> list[Path]:
    """The files in the directory of an active segment that may be closed ones of it."""
    try:
        return [one for one in path.parent.iterdir() if one.name.startswith(path.stem)]
    except OSError:
        return []


def _is_segment(path: Path) -> bool:
    return re.fullmatch(r"audit(-.*)?\.jsonl(\.gz|\.zst)?", path.name) is not None
