"""``audit-emit anomalies``: what in a log is odd, by rules."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from audit_emit._facade.anomalies import (
    Alert,
    RuleSet,
    built_in,
    detect,
    integrity_alerts,
    rules_in,
    verify_log,
)
from audit_emit._facade.queries import open_readers, span
from audit_emit._facade.records import ts_of
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import Options
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import key_option
from audit_emit.cli._logs import logs_argument, name_of, named
from audit_emit.cli._output import formats
from audit_emit.errors import RuleError, UnsupportedError
from audit_emit.log import KeyRing


def _window(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else span(value)
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


@a_command(
    "anomalies",
    {
        Exit.OK: "nothing odd",
        Exit.FINDINGS: "alerts",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing there, or it cannot be read",
        Exit.NO_ANSWER: "the database does not answer",
    },
    [
        "audit-emit anomalies /var/log/audit-emit/shop --window 15m",
        "audit-emit anomalies --rules /etc/audit-emit/rules --json",
    ],
)
@logs_argument
@click.option(
    "--window",
    callback=_window,
    metavar="SPAN",
    help="Only alerts of the last 15m, 2h, 7d; all records are looked at. [default: all alerts]",
)
@click.option(
    "--rules",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Rules of one's own, instead of those of this package: .json, .yml.",
)
@click.option("--verify/--no-verify", default=True, help="Tell what verify finds, too.  [default]")
@key_option("To verify: a pinned key")
@formats("text", "json", "jsonl")
def command(
    logs: tuple[str, ...],
    *,
    window: timedelta | None,
    directory: Path | None,
    verify: bool,
    keys: tuple[str, ...],
    form: str,
) -> Exit:
    """Look for what is odd in each LOG, by rules: who reads all secrets, who grants himself a role.

    LOG is a log's directory or its active file; a single segment, also packed; - for standard
    input; or postgresql://…. Without LOG, the log that this environment configures.
    """
    try:
        rules = built_in() if directory is None else rules_in(directory)
        ring = KeyRing.from_sources(list(keys), os.environ) if verify else None
        found = _detected(named(logs), rules, window, ring)
    except (RuleError, UnsupportedError) as error:
        raise click.UsageError(visible(str(error))) from None
    _print(found, form)
    return Exit.FINDINGS if found else Exit.OK


def _detected(
    paths: Sequence[str], rules: RuleSet, window: timedelta | None, ring: KeyRing | None
) -> list[tuple[str, Alert]]:
    now = time.time_ns()
    since = "" if window is None else ts_of(now - int(window.total_seconds()) * 10**9)
    found: list[tuple[str, Alert]] = []
    with on_terminal("looking") as bar:
        for reader in open_readers(paths):
            with reader:
                name = name_of(reader.name)
                alerts: list[Alert] = []
                if ring is not None:
                    verdict = verify_log(reader, Options(ring=ring, progress=bar))
                    alerts += integrity_alerts(verdict.report)
                alerts += detect(reader, rules, since=since, now=now, progress=bar)
                found += ((name, alert) for alert in alerts)
    return found


def _print(found: Sequence[tuple[str, Alert]], form: str) -> None:
    if form == "json":
        click.echo(json.dumps({"alerts": [as_json(*one) for one in found]}, indent=2))
        return
    for log, alert in found:
        if form == "jsonl":
            click.echo(json.dumps(as_json(log, alert)))
        else:
            click.echo(_text(alert))


def as_json(log: str, alert: Alert) -> dict[str, Any]:
    """An alert for programs."""
    return {
        "id": alert.id,
        "log": os.fspath(log),
        "rule": alert.rule,
        "title": alert.title,
        "level": alert.level,
        "chain": alert.chain,
        "seqs": alert.seqs,
        "unnamed": alert.unnamed,
        "group": dict(alert.group),
        "first_ts": alert.first_ts,
        "last_ts": alert.last_ts,
        "reason": alert.reason,
        "tags": alert.tags,
    }


def _text(alert: Alert) -> str:
    group = ", ".join(f"{name}={visible(value or '')}" for name, value in alert.group.items())
    seqs = ", ".join(map(str, alert.seqs[:20])) + (", …" if len(alert.seqs) > 20 else "")
    return (
        f"{alert.last_ts} {alert.level:<8} {alert.rule} {group}\n"
        f"    {visible(alert.title)}: {visible(alert.reason)}; records {seqs}"
    )
