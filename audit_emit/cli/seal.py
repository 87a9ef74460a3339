"""``audit-emit seal``: link the records in the outbox of a database into their chains."""

from __future__ import annotations

import sys

import click

from audit_emit import Emitter
from audit_emit._facade.database import POLL_SECONDS, Sealer
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._daemon import go_on, until_told
from audit_emit.cli._exit import Exit
from audit_emit.cli.db import address_of
from audit_emit.outbox import own_record


@a_command(
    "seal",
    statuses={
        Exit.OK: "the outbox is empty",
        Exit.FINDINGS: "rows of the outbox were no records; each chain declares how many",
        Exit.USAGE: "",
        Exit.NO_ANSWER: "the database does not answer, or a chain accepts nothing (with --follow "
        "this is tried again)",
    },
    examples=["audit-emit seal --follow --lines postgresql://sealer@db/shop"],
)
@click.argument("address", required=False)
@click.option("--follow", is_flag=True, help="Keep running, until a signal comes.")
@click.option("--lines", is_flag=True, help="Print each sealed line, as a service does for Loki.")
def command(address: str | None, *, follow: bool, lines: bool) -> Exit:
    """Link the records that applications put into the outbox of ADDRESS into their chains.

    ADDRESS is as for audit-emit db. Any number of such processes may run at once, and services may
    seal as well.
    """
    emitter = Emitter(service="seal", jsonl="off", stdout=False)
    show = _shown if lines else None
    sealer = Sealer(address_of(address), own=own_record(emitter), show=show)
    refused = 0

    def one_round() -> bool:
        nonlocal refused
        done = sealer.seal()
        refused += done.refused
        for error in done.errors:
            complain(f"{error} ({error.reason}); other chains are sealed meanwhile")
        return done.more if follow else bool(done.records)

    try:
        if follow:
            with until_told() as told:
                go_on(one_round, told, POLL_SECONDS)
        else:
            while one_round():
                pass
    finally:
        sealer.close()
        emitter.close()
    if refused:
        click.echo(f"audit-emit: {refused} rows of the outbox were no records", err=True)
    if refused:
        return Exit.FINDINGS
    return Exit.NO_ANSWER if sealer.fault and not follow else Exit.OK


def _shown(line: bytes) -> None:
    sys.stdout.buffer.write(b"audit: " + line)
    sys.stdout.buffer.flush()
