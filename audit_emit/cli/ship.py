"""``audit-emit ship``: the chains of files, byte for byte, into PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from audit_emit._facade.queries import open_readers
from audit_emit._facade.shipping import Difference, Shipped, Shipper
from audit_emit._facade.text import visible
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._daemon import go_on, until_told
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import configured, logs_argument, name_of, named
from audit_emit.cli._output import formats, out_file
from audit_emit.cli.db import address_of

POLL_SECONDS = 1.0


@a_command(
    "ship",
    statuses={
        Exit.OK: "everything is there",
        Exit.FINDINGS: "the database differs from the log, or the log was changed",
        Exit.USAGE: "",
        Exit.NOTHING: "a log cannot be read",
        Exit.NO_ANSWER: "the database does not answer (with --follow this is tried again)",
    },
    examples=[
        "audit-emit ship /var/log/audit-emit/shop --to postgresql://shipper@db/audit --follow"
    ],
)
@logs_argument
@click.option(
    "--to",
    "address",
    metavar="ADDRESS",
    help="postgresql://…, or postgresql+file:///path of a file that holds one.  "
    "[default: AUDIT_EMIT_STORE, AUDIT_EMIT_STORE_FILE]",
)
@click.option("--follow", is_flag=True, help="Keep running as the logs grow, until a signal comes.")
@formats("text", "json")
@click.pass_context
def command(
    context: click.Context,
    *,
    logs: tuple[str, ...],
    address: str | None,
    follow: bool,
    form: str,
) -> Exit:
    """Copy logs into PostgreSQL: every record of each LOG that is not there yet, byte for byte.

    LOG is a log's directory or its active file; without it, the log that this environment
    configures. The file stays the original. The command keeps no state: it asks the database what
    is there, so that a second run, or a second process, copies nothing twice. Lines that are no
    records stay in the file. With --json one object is printed for each log, each on its line.
    """
    if follow and out_file(context) is not None:
        raise click.UsageError("--out is written at the end, and --follow has none; use > FILE")
    as_json = form == "json"
    shipper = Shipper(address_of(address))
    paths = tuple(logs) or (configured(),) if follow else tuple(named(logs))
    status = [Exit.OK]
    try:
        if not follow:
            with on_terminal("shipping") as bar:
                _round(shipper, paths, status, bar, as_json=as_json)
            return status[0]
        with until_told() as told:

            def again() -> bool:
                return _again(shipper, paths, status, told, as_json=as_json)

            go_on(again, told, POLL_SECONDS)
        return status[0]
    finally:
        shipper.close()


def _again(
    shipper: Shipper, paths: tuple[str, ...], status: list[Exit], told: list[int], *, as_json: bool
) -> bool:
    """One round of ``--follow``; a log that is not there yet is waited for."""
    try:
        return _round(shipper, paths, status, None, told, as_json=as_json, quiet=True)
    except FileNotFoundError as error:
        missing = str(error.filename)
        if _told.get(missing) != _WAITS:
            _told[missing] = _WAITS
            click.echo(f"audit-emit: {visible(missing)} {_WAITS}", err=True)
        return False


def _round(
    shipper: Shipper,
    paths: tuple[str, ...],
    status: list[Exit],
    bar: Any,
    told: Sequence[int] = (),
    *,
    as_json: bool,
    quiet: bool = False,
) -> bool:
    """Ship each log once, or until a signal comes; whether anything was done."""
    busy = False
    status[0] = Exit.OK
    for path in paths:
        for reader in open_readers([path]):
            with reader:
                try:
                    done = shipper.ship(reader, bar, lambda: bool(told))
                except Difference as found:
                    status[0] = Exit.FINDINGS
                    if not quiet or str(found) != _told.get(path):
                        click.echo(
                            f"DIFFERENT  {visible(name_of(path))}: {visible(str(found))}", err=True
                        )
                    _told[path] = str(found)
                    continue
            _told.pop(path, None)
            busy = busy or bool(done.records)
            if not quiet or done.records or done.checkpoints:
                _say(path, done, as_json=as_json)
    return busy


_WAITS = "is not there yet; it is waited for"

_told: dict[str, str] = {}
"""The last message about each log that cannot be shipped; the same one is not printed again."""


def _say(path: str, done: Shipped, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"log": name_of(path), **done._asdict()}))
        return
    shown = visible(name_of(path))
    passed = f", {done.passed} lines that are no records stay in the file" if done.passed else ""
    click.echo(
        f"ok  {shown}: {done.records} records and {done.checkpoints} checkpoints shipped; "
        f"chain {done.chain or '(none yet)'} is there up to {done.last}{passed}"
    )
