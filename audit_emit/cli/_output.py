"""``--format``, ``--json``, ``--out`` and ``--force``: what is printed, and where it is kept.

The file of ``--out`` gets its name when the command has ended, with everything in it or not at all.
Only its owner can read it (mode 0600): an answer holds what the log holds.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

import click

from audit_emit._facade.text import visible
from audit_emit.cli._streams import discard_unwritten, printing

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OUT = "audit_emit.out"
_FORCE = "audit_emit.force"
_JSON = "audit_emit.json"
_RESUMED = "audit_emit.resumed"
_OF_A_LOG = re.compile(r"(audit(-.*)?|checkpoints)\.jsonl(\.gz|\.zst)?|checkpoints\.state")
"""Names of files of a log, which ``--out --force`` never replaces."""


def formats(*names: str) -> Callable[[_Function], _Function]:
    """``--format`` with these names, the first one by default, as the parameter ``form``.

    ``--json`` is short for ``--format json``. ``--out`` and ``--force`` come with it.
    """

    def chosen(ctx: click.Context, _: click.Parameter, value: str | None) -> str:
        if ctx.meta.get(_JSON) and value not in {None, "json"}:
            raise click.UsageError(f"--json is short for --format json, and not --format {value}")
        return "json" if ctx.meta.get(_JSON) else value or names[0]

    def decorated(function: _Function) -> _Function:
        function = kept(function)
        function = click.option(
            "--json",
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_noted(_JSON),
            help="Short for --format json.",
        )(function)
        return click.option(
            "--format",
            "form",
            type=click.Choice(names),
            callback=chosen,
            help=f"How to print it.  [default: {names[0]}]",
        )(function)

    return decorated


def kept(function: _Function) -> _Function:
    """``--out`` and ``--force``, for what has one format only."""
    function = click.option(
        "--force",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_noted(_FORCE),
        help="With --out: replace a file that is there.",
    )(function)
    return click.option(
        "--out",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_chosen_file,
        help="Write to this new file (mode 0600) instead of standard output.",
    )(function)


def resumable(function: _Function) -> _Function:
    """``--resume`` beside what ``kept`` adds, as the parameter ``resume``.

    With it the file of ``--out`` is not replaced, and the command writes to it itself.
    """
    return click.option(
        "--resume",
        is_flag=True,
        is_eager=True,
        callback=_noted_too(_RESUMED),
        help="With --out: go on where the last export to this file ended, however it ended.",
    )(kept(function))


def _noted_too(name: str) -> Callable[[click.Context, click.Parameter, bool], bool]:
    def note(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta[name] = value
        return value

    return note


def resumed_file(ctx: click.Context) -> Path | None:
    """The file of ``--out`` where ``--resume`` stands beside it."""
    found: Path | None = ctx.meta.get(f"{_RESUMED} file")
    return found


def out_file(ctx: click.Context) -> Path | None:
    """The file of ``--out``."""
    found: Path | None = ctx.meta.get(_OUT)
    return found


def _noted(name: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def note(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[name] = value

    return note


def _chosen_file(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    """Refuse what cannot be written before any work is done for it."""
    if value is None or str(value) == "-":
        return
    resumed = ctx.meta.get(_RESUMED, False)
    force = ctx.meta.get(_FORCE, False) or resumed
    try:
        state = value.lstat()
    except OSError:
        if not os.path.isdir(value.parent):
            where = visible(str(value.parent))
            raise click.UsageError(f"--out: there is no directory {where}") from None
    else:
        _replaceable(value, state, force=force)
    ctx.meta[f"{_RESUMED} file" if resumed else _OUT] = value


def _replaceable(path: Path, state: os.stat_result, *, force: bool) -> None:
    shown = visible(str(path))
    if not stat.S_ISREG(state.st_mode):
        raise click.UsageError(f"--out: {shown} is there, and is not a regular file")
    if _OF_A_LOG.fullmatch(path.name):
        raise click.UsageError(
            f"--out: {shown} has the name of a file of a log, which is never replaced"
        )
    if not force:
        raise click.UsageError(f"--out: {shown} is there; another name, or --force to replace it")


@contextmanager
def written(ctx: click.Context) -> Iterator[None]:
    """Let what a command prints go to the file of ``--out``, if there is one.

    A command that prints nothing leaves no file.

    Raises:
        UsageError: the file has come into being in the meantime.
        OSError: it cannot be written; nothing of it is left then.
    """
    path = out_file(ctx)
    if path is None:
        yield
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    before = sys.stdout
    with open(os.open(temporary, flags, 0o600), "wb") as file:
        sys.stdout = TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
        try:
            yield
        except click.exceptions.Exit:
            _keep(file.fileno(), temporary, path, force=ctx.meta.get(_FORCE, False))
            raise
        except OSError as error:
            if error.filename is None and printing(error):
                raise OSError(error.errno, error.strerror, str(path)) from None
            raise
        else:
            _keep(file.fileno(), temporary, path, force=ctx.meta.get(_FORCE, False))
        finally:
            stream, sys.stdout = sys.stdout, before
            discard_unwritten(stream)
            stream.detach()
            with suppress(OSError):
                os.unlink(temporary)


def _keep(descriptor: int, temporary: Path, path: Path, *, force: bool) -> None:
    """Give the file its name, now that everything is in it."""
    try:
        sys.stdout.flush()
        if os.fstat(descriptor).st_size == 0:
            return
        os.fsync(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    if force:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise click.UsageError(f"--out: {visible(str(path))} is there by now") from None
    except OSError:  # a file system without hard links
        with open(path, "xb"):
            os.replace(temporary, path)
