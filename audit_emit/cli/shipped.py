"""``audit-emit shipped``: which closed segments Loki has whole."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import click

from audit_emit._facade.loki import LogIndex, site_labels
from audit_emit._facade.text import visible
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import logs_argument, not_there
from audit_emit.cli._loki import connected, label_option, loki_options, whole_logs
from audit_emit.cli._output import formats
from audit_emit.cli._streams import decided
from audit_emit.errors import UnsupportedError


@a_command(
    "shipped",
    {
        Exit.OK: "all closed segments are there",
        Exit.FINDINGS: "some are not",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log, or no closed segment",
        Exit.NO_ANSWER: "Loki gave no usable answer",
    },
    ["audit-emit shipped /var/log/audit-emit/shop --loki http://loki:3100"],
)
@logs_argument
@loki_options
@label_option
@formats("text", "json")
def command(
    logs: tuple[str, ...],
    *,
    loki: str | None,
    tenant: str | None,
    labels: tuple[str, ...],
    form: str,
) -> Exit:
    """List the closed segments of LOG that Loki has completely, one per line, oldest first.

    LOG is a log's directory or its active file. Without it, the log that this environment
    configures.

    Every record is looked up in Loki: its bytes, at its time, under its labels. Missing records are
    reported on standard error, and so are bytes that are no record. A segment with such bytes is
    left out, unless the log declares them.

    Before you delete a segment, see that a checkpoint covers all of it (audit-emit verify), and
    keep the newest closed segment.
    """
    if not loki:
        raise click.UsageError("which Loki? --loki URL, or AUDIT_EMIT_LOKI_URL")
    layouts = whole_logs(logs)
    site = site_labels(labels, os.environ)
    found: list[Any] = []
    strange = 0
    from audit_emit._facade.loki_client import shipped as shipping  # noqa: PLC0415 - httpx is an extra

    try:
        with connected(loki, tenant) as client, on_terminal("reading") as bar:
            for layout in layouts:
                with LogIndex([layout], progress=bar) as index:
                    if not index.files:
                        raise not_there(layout.directory)
                    found += shipping.segments(index, client, site, bar)
                    strange += index.strange
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None
    status = Exit.OK if all(one.is_shipped for one in found) else Exit.FINDINGS
    status = decided(status if found else Exit.NOTHING)
    if form == "json":
        listed = [{**one._asdict(), "shipped": one.is_shipped} for one in found]
        click.echo(json.dumps({"segments": listed, "strange": strange}, indent=2))
        return status
    _show(found, strange)
    return status


def _show(found: Sequence[Any], strange: int) -> None:
    for one in found:
        if one.is_shipped:
            click.echo(one.path)
            continue
        if left := one.records - one.there:
            told = f"{left:,} of {one.records:,} records of {one.path} are not in Loki"
            click.echo(visible(told), err=True)
        if one.undeclared:
            told = f"{one.undeclared:,} bytes of {one.path} are no record, and none declares them"
            click.echo(visible(f"{told}: audit-emit verify"), err=True)
    if strange:
        noun = "line of the log is no record" if strange == 1 else "lines of the log are no records"
        click.echo(f"{strange:,} {noun}: Loki has no such line", err=True)
    if not found:
        click.echo("there is no closed segment", err=True)
