"""The standard streams of a command: some may be closed, and whoever reads them may leave."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TextIO

import click

from audit_emit.cli._exit import Exit

_STATUS = "audit_emit.status"
_NAMES = ("stdin", "stdout", "stderr")


class Closed(TextIOWrapper):
    """Replaces a standard stream that is closed: reading gives nothing, writing goes nowhere."""


def fill() -> None:
    """Put the null device on every standard descriptor that is closed, and streams on those.

    Otherwise the next file that is opened would take the number, and be written to as if it were
    standard output.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            binary = open(number, "wb" if number else "rb", closefd=False)  # noqa: SIM115
            setattr(sys, name, Closed(binary))


def decided(status: Exit) -> Exit:
    """Remember the exit status of this command before its result is printed.

    So it is the status also when the reader of the output goes away in the middle of it.
    """
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_STATUS] = status
    return status


def decision(context: click.Context) -> Exit:
    """The status that was remembered by ``decided``; ``Exit.OK`` without one."""
    status: Exit = context.meta.get(_STATUS, Exit.OK)
    return status


def printing(error: OSError) -> bool:
    """Whether ``error`` came of printing: click or rich raised it, which open no files."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__"))
    return module.partition(".")[0] in {"click", "rich"}


def silence() -> None:
    """Discard output that cannot be written, so that the interpreter does not complain at exit."""
    for stream in (sys.stdout, sys.stderr):
        discard_unwritten(stream)


def discard_unwritten(stream: TextIO) -> None:
    """Let what a stream could not write go to the null device from now on."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
