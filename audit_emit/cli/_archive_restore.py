"""``audit-emit archive restore``: archived segments as files again."""

from __future__ import annotations

import errno
import os

import click

from audit_emit._facade.archive import Bucket, Cold, cold_logs
from audit_emit._facade.archive import restore as restore_files
from audit_emit._facade.text import visible
from audit_emit.cli._archiving import (
    FAILURES,
    failed,
    refuse_unvouched,
    settings_of,
    to_option,
)
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import Command, complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import SEQ
from audit_emit.log import KeyRing

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The errors of a full disk, and of a quota or a limit of this process."""


@click.command(
    "restore",
    cls=Command,
    statuses={
        Exit.OK: "restored",
        Exit.FINDINGS: "an object is not what its manifest says, or no given key signed a manifest",
        Exit.USAGE: "usage, or several chains are there",
        Exit.NOTHING: "nothing is archived there, or the directory is not empty",
        Exit.INCOMPLETE: "the disk is full: make room, and run it again",
        Exit.NO_ANSWER: "the store gives no answer",
    },
    examples=[
        "audit-emit archive restore /srv/restored/shop --service shop --key verifier.txt",
        "audit-emit archive restore /srv/restored/shop --chain 3f0c9a1b2c3d4e5f --last-seq 90000",
    ],
)
@click.argument("directory", metavar="DIRECTORY", type=click.Path(file_okay=False))
@to_option
@click.option("--service", help="Only chains of this service.")
@click.option("--chain", help="Only this chain.")
@pinned_keys
@click.option("--first-seq", type=SEQ, default=1, help="From this record on.")
@click.option("--last-seq", type=SEQ, help="Up to this record.")
def restore(
    directory: str,
    *,
    archive: str,
    service: str | None,
    chain: str | None,
    keys: tuple[str, ...],
    first_seq: int,
    last_seq: int | None,
) -> Exit:
    """Write what is archived of a chain into DIRECTORY, as a log that audit-emit verify can read.

    Whole batches are restored: those that hold records of the range. Each segment gets the bytes
    that it had. A checkpoint from the manifest of the last batch is written at the end, so that
    verify has a signature up to there.

    With --key, every manifest must be signed with such a key, or nothing is fetched.
    """
    if last_seq is not None and last_seq < first_seq:
        raise click.UsageError("--last-seq is before --first-seq")
    settings = settings_of(archive)
    ring = KeyRing.from_sources(list(keys), os.environ)
    wanted = {name: value for name, value in (("service", service), ("chain", chain)) if value}
    try:
        with Bucket(settings) as bucket:
            colds = cold_logs(bucket, wanted)
            if len(colds) > 1:
                names = ", ".join(one.chain for one in colds[:5])
                raise click.UsageError(f"{len(colds)} chains are there ({names}); name a --chain")
            for one in colds:
                refuse_unvouched(one, ring)
            cold = _range(colds, first_seq, last_seq)
            if cold is None:
                what = "nothing of that range" if colds else "nothing"
                click.echo(f"{what} is archived in {settings.shown}", err=True)
                return Exit.NOTHING
            with on_terminal("restoring") as bar:
                done = restore_files(bucket, cold, os.path.abspath(directory), bar)
    except FAILURES as error:
        return failed(error)
    except OSError as error:
        return _full(error)
    click.echo(
        f"restored  records {done.first} to {done.last} of chain {cold.chain}: "
        f"{done.written} segments written, {done.kept} were there"
    )
    begin = f" --from-seq {done.first}" if done.first > 1 else ""
    click.echo(visible(f"verify it with: audit-emit verify {directory}{begin} --key KEY"))
    return Exit.OK


def _full(error: OSError) -> Exit:
    """Say what to do where there is no room.

    Raises:
        OSError: it is another failure.
    """
    if error.errno not in _FULL:
        raise error
    complain(
        f"{error.filename}: {error.strerror}; what was restored by then stays: make room, and run "
        "it again, which goes on from there"
    )
    return Exit.INCOMPLETE


def _range(colds: list[Cold], first: int, last: int | None) -> Cold | None:
    if not colds:
        return None
    (cold,) = colds
    kept = [
        one
        for one in cold.manifests
        if one.last_seq >= first and (last is None or one.first_seq <= last)
    ]
    return cold._replace(manifests=kept) if kept else None
