"""``audit-emit prove``: one record, with the proof that it is in the log."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
import msgspec

from audit_emit._checkpoints.prove import find_id, prove_record
from audit_emit._format.proof_file import Evidence
from audit_emit._format.record import head_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.cli._exit import Exit
from audit_emit.cli._signer import active
from audit_emit.cli._text import visible
from audit_emit.errors import CheckpointError, ConfigError

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@click.command("prove")
@click.argument("which", metavar="SEQ|ID")
@click.argument("path", required=False, type=click.Path(path_type=Path, readable=False))
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file.")
def command(which: str, path: Path | None, out: Path | None) -> Exit:
    """Write a proof that a record is in the log at PATH.

    SEQ is its number, ID its id. The file holds the record, its inclusion proof and the first
    checkpoint that covers it; audit-emit verify-proof checks it without the log.

    Proofs are made of hash tiles, which the signer keeps in tile/ beside the log. Where there are
    none, or wrong ones, the log is read and they are made: there, or in the temporary directory.

    Exit status: 0 ok, 1 the log was changed, 2 usage, 3 there is no such record,
    4 no checkpoint covers it yet.
    """
    layout = Layout.of(str(active(path)))
    try:
        seq = _seq(which, layout)
        made = prove_record(layout, seq, KeyRing.from_sources([]))
    except CheckpointError as error:
        click.echo(f"audit-emit: {visible(str(error))}", err=True)
        return Exit.FINDINGS
    except LookupError:
        click.echo(f"audit-emit: there is no record {visible(which)}", err=True)
        return Exit.UNREADABLE
    except ConfigError:
        raise
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


def _seq(which: str, layout: Layout) -> int:
    """The number of the record that is named.

    Raises:
        LookupError: there is none.
    """
    if which.isascii() and which.isdecimal() and 0 < len(which) < 20:
        return int(which)
    if not _ID.fullmatch(which):
        raise click.UsageError("name the record by its seq or its id")
    for line in find_id(layout, f'"id":"{which}"'.encode()):
        head = head_of(line)
        if head is not None and msgspec.json.decode(line)["id"] == which:
            return head.seq
    raise LookupError(which)
