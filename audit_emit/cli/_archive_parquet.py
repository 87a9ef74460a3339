"""``audit-emit archive parquet``: a copy of archived records for searching with DuckDB."""

from __future__ import annotations

import os

import click

from audit_emit._facade.archive import Bucket, cold_logs, write_parquet
from audit_emit._facade.text import visible
from audit_emit.cli._archiving import FAILURES, failed, refuse_unvouched, settings_of, to_option
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import Command
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import pinned_keys
from audit_emit.log import KeyRing


@click.command(
    "parquet",
    cls=Command,
    statuses={
        Exit.OK: "written, or nothing is new",
        Exit.FINDINGS: "an object is not what its manifest says, or no given key signed a manifest",
        Exit.USAGE: "usage, or duckdb is missing",
        Exit.NOTHING: "nothing is archived there",
        Exit.NO_ANSWER: "the store gives no answer",
    },
    examples=["audit-emit archive parquet /srv/search --service shop"],
)
@click.argument("directory", metavar="DIRECTORY", type=click.Path(file_okay=False))
@to_option
@click.option("--service", help="Only chains of this service.")
@click.option("--chain", help="Only this chain.")
@pinned_keys
def parquet(
    directory: str,
    *,
    archive: str,
    service: str | None,
    chain: str | None,
    keys: tuple[str, ...],
) -> Exit:
    """Write archived records as Parquet files into DIRECTORY, for DuckDB and its like.

    There is one file for each batch; existing files are left as they are. They are a copy for
    searching, and no evidence: only the lines of the log can be verified.
    """
    settings = settings_of(archive)
    ring = KeyRing.from_sources(list(keys), os.environ)
    wanted = {name: value for name, value in (("service", service), ("chain", chain)) if value}
    try:
        with Bucket(settings) as bucket:
            colds = cold_logs(bucket, wanted)
            for cold in colds:
                refuse_unvouched(cold, ring)
                with on_terminal("writing", "batches") as bar:
                    done = write_parquet(bucket, cold, os.path.abspath(directory), bar)
                click.echo(visible(f"chain {cold.chain}: {len(done)} new files in {directory}"))
    except FAILURES as error:
        return failed(error)
    return Exit.OK if colds else Exit.NOTHING
