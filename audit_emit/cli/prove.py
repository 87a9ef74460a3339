"""``audit-emit prove``: one record, with the proof that it is in the log."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from audit_emit._signing.growth import open_segments, records
from audit_emit.checkpoint import Checkpoint
from audit_emit.cli._exit import Exit
from audit_emit.cli._signer import active
from audit_emit.cli._text import visible
from audit_emit.errors import CheckpointError
from audit_emit.evidence import Evidence, prove
from audit_emit.sinks.segments import Layout
from audit_emit.sinks.tail import read_end

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@click.command("prove")
@click.argument("which", metavar="SEQ|ID")
@click.argument("path", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file.")
def command(which: str, path: Path | None, out: Path | None) -> Exit:
    """Write a proof that a record is in the log at PATH.

    SEQ is its number, ID its id. The file holds the record, its inclusion proof and the first
    checkpoint that covers it; audit-emit verify-proof checks it without the log.

    Exit status: 0 ok, 1 the log was changed, 2 usage, 3 there is no such record,
    4 no checkpoint covers it yet.
    """
    layout = Layout.of(str(active(path)))
    try:
        seq = _seq(which, layout)
        if seq is None:
            click.echo(f"audit-emit: there is no record {visible(which)}", err=True)
            return Exit.UNREADABLE
        made = prove(seq, lambda: records(layout), list(_checkpoints(layout)))
    except CheckpointError as error:
        click.echo(f"audit-emit: {visible(str(error))}", err=True)
        return Exit.FINDINGS
    except ValueError as error:
        click.echo(f"audit-emit: {visible(str(error))}", err=True)
        return Exit.INCOMPLETE
    _write(made, out)
    return Exit.OK


def _write(made: Evidence, out: Path | None) -> None:
    if out is None:
        sys.stdout.buffer.write(made.to_bytes())
    else:
        out.write_bytes(made.to_bytes())


def _seq(which: str, layout: Layout) -> int | None:
    if which.isascii() and which.isdecimal() and 0 < len(which) < 20:
        return int(which) if 0 < int(which) <= _length(layout) else None
    if not _ID.fullmatch(which):
        raise click.UsageError("name the record by its seq or its id")
    mark = f'"id":"{which}"'.encode()
    for number, (_, line) in enumerate(records(layout), 1):
        if mark in line and msgspec.json.decode(line)["id"] == which:
            return number
    return None


def _length(layout: Layout) -> int:
    """The ``seq`` of the last record; 0 when there is none."""
    with open_segments(layout) as descriptors:
        for descriptor in reversed(descriptors):
            head = read_end(descriptor, os.fstat(descriptor).st_size).head
            if head is not None:
                return head.seq
    return 0


def _checkpoints(layout: Layout) -> Iterator[Checkpoint]:
    path = os.path.join(layout.directory, "checkpoints.jsonl")
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        for line in file:
            try:
                yield Checkpoint.from_line(line)
            except ValueError:
                continue
