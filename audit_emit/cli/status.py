"""``audit-emit status``: the state of logs, once or again and again (``--watch``)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from audit_emit._facade.anchors import in_words
from audit_emit._facade.text import shown_value, visible
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import logs_argument, named
from audit_emit.cli._output import formats, out_file
from audit_emit.cli._standing import (
    Alerts,
    Standing,
    alerts_of,
    seconds_between,
    standing,
    trail_of_console,
)
from audit_emit.cli._streams import decided
from audit_emit.errors import MemoryFileError
from audit_emit.log import open_log

SECONDS = 2.0
"""Seconds between two looks of ``--watch``."""

_ALERTS_EVERY = 30
"""``--watch`` searches for alerts only every so many looks: it takes longer in a large log."""


@a_command(
    "status",
    {
        Exit.OK: "nothing needs attention",
        Exit.FINDINGS: "the log ends before what was signed or verified, or its disk is full",
        Exit.USAGE: "",
        Exit.NOTHING: "there is no log, or no record in it",
        Exit.INCOMPLETE: "its last line is torn, or still being written",
    },
    [
        "audit-emit status",
        "audit-emit status --watch /var/log/audit-emit/shop /var/log/audit-emit/api",
        "audit-emit status --key shop-verifier.txt --remember seen.json --json",
    ],
)
@logs_argument
@pinned_keys
@click.option(
    "--remember",
    "memory",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of audit-emit verify --remember, to compare with what was verified last.",
)
@click.option(
    "--console",
    metavar="LOG",
    default="",
    help="The log of the console's own events, in which operators acknowledge alerts.  [default: "
    "the one that this environment configures]",
)
@click.option("--watch", is_flag=True, help=f"Look again every {SECONDS:g} s, until Ctrl-C.")
@formats("text", "json", "jsonl")
@click.pass_context
def command(
    context: click.Context,
    *,
    logs: tuple[str, ...],
    keys: tuple[str, ...],
    memory: Path | None,
    console: str,
    watch: bool,
    form: str,
) -> Exit:
    """Show the state of a log: its head, its last event, what is signed, and free disk space.

    LOG is a log's directory or its active file; without it, the log that this environment
    configures. Only a few lines are read, and those of the last 30 days searched for alerts
    (audit.anomaly); with --watch once a minute. Nothing is verified: audit-emit verify does that.
    """
    if watch and form == "json":
        raise click.UsageError("with --watch use --format jsonl: one line each time")
    if watch and out_file(context) is not None:
        raise click.UsageError("--out is written at the end, and --watch has none; use > FILE")
    trail = trail_of_console(console)
    opened = [open_log(log, keys=keys) for log in named(logs)]
    looks, status = 0, Exit.OK
    try:
        while True:
            if looks % _ALERTS_EVERY == 0:
                alerts = [alerts_of(log, trail) for log in opened]
            pairs = zip(opened, alerts, strict=True)
            found = [standing(log, memory, one) for log, one in pairs]
            status = decided(worst(one.status for one in found))
            if watch and form == "text":
                click.clear()
            _print(found, form)
            if not watch:
                return status
            looks += 1
            time.sleep(SECONDS)
    except MemoryFileError as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        if not watch:
            raise
        return status


def _print(found: Sequence[Standing], form: str) -> None:
    plain = [msgspec.to_builtins(one) for one in found]
    if form == "json":
        click.echo(json.dumps(plain[0] if len(plain) == 1 else plain, indent=2))
    elif form == "jsonl":
        for each in plain:
            click.echo(json.dumps(each))
    else:
        for one in found:
            _show(one)


def _show(one: Standing) -> None:
    word, color = ("look at it", "yellow") if one.problems else ("ok", "green")
    if one.last is None:
        word, color = "no record", "yellow"
    click.echo(click.style(word, fg=color, bold=True) + f"  {visible(one.log)}")
    _row("service", shown_value(one.service) if one.service else "-")
    _row("head", f"record {one.head_seq:,} of chain {one.chain}" if one.chain else "no chain")
    _row("last event", _event(one))
    _row("signed", _signature(one))
    if one.outside:
        _row("outside", visible(in_words(one.outside)))
    if one.verified is not None:
        at = one.verified.at
        _row("verified", f"up to record {one.verified.head_seq:,} at {at}{_ago(at, one)}")
    if one.files is not None:
        free = "" if one.files.free is None else f"; {_size(one.files.free)} free"
        count = f"{one.files.segments} file" + ("s" if one.files.segments != 1 else "")
        _row("store", f"{_size(one.files.bytes)} in {count}{free}")
    if one.alerts is not None:
        _row("alerts", _alerts(one.alerts))
    for problem in one.problems:
        click.echo(click.style("  problem       ", fg="red", bold=True) + visible(problem))


def _row(name: str, text: str) -> None:
    click.echo(f"  {name:<12}  {text}")


def _alerts(alerts: Alerts) -> str:
    among = f" of the newest {alerts.of_newest:,}" if alerts.of_newest else ""
    if not alerts.open:
        return f"none{among} is open" if alerts.acknowledged else "none"
    text = f"{alerts.open:,} open{among}, the newest "
    newest = alerts.newest or {}
    text += f"{newest.get('level', '')}: {newest.get('title') or newest.get('rule', '')}"
    return click.style(visible(f"{text} (audit-emit query --type audit.anomaly)"), fg="yellow")


def _event(one: Standing) -> str:
    if one.last is None:
        return "none"
    ts, kind, actor = (
        shown_value(one.last.get(name, "")) for name in ("ts", "event_type", "actor_kind")
    )
    user = shown_value(one.last["user_id"]) if one.last.get("user_id") else "-"
    return f"{kind} by {user} ({actor}) at {ts}{_ago(str(one.last.get('ts', '')), one)}"


def _signature(one: Standing) -> str:
    if one.signed is None:
        return "no: there is no checkpoint"
    text = f"up to record {one.signed.head_seq:,} at {visible(one.signed.at)}, key "
    text += visible(one.signed.key)
    if not one.signed.trusted:
        text += " (not checked: no such key was given)"
    noun = "record is" if one.signed.unsigned == 1 else "records are"
    return f"{text}; {one.signed.unsigned:,} {noun} not signed yet"


def _ago(ts: str, one: Standing) -> str:
    seconds = seconds_between(ts, one.looked_at)
    if seconds is None:
        return ""
    if seconds < 0:
        return ", which is still to come"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f", {seconds / size:.0f} {unit} ago"
    return f", {seconds:.0f} s ago"


def _size(number: int) -> str:
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} bytes"
