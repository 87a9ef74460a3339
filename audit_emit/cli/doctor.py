"""``audit-emit doctor``: where records go on this machine, and why."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import click

from audit_emit._facade.text import visible
from audit_emit.cli._checks import Report, Way, examine
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import logs_argument, of_files
from audit_emit.cli._loki import loki_options
from audit_emit.cli._output import formats
from audit_emit.cli._streams import decided


@a_command(
    "doctor",
    {
        Exit.OK: "records can be written, warnings included",
        Exit.FINDINGS: "there is a problem to be solved",
        Exit.USAGE: "",
    },
    [
        "audit-emit doctor",
        "sudo -u shop audit-emit doctor /var/log/audit-emit/shop --reader vector",
        "audit-emit doctor --loki http://loki:3100 --json --out doctor.json",
    ],
)
@logs_argument
@click.option("--service", help="Use this name instead of AUDIT_EMIT_SERVICE.")
@click.option(
    "--reader",
    default="",
    metavar="USER",
    help="Check whether this user, such as vector, can read.",
)
@loki_options
@formats("text", "json")
def command(
    logs: tuple[str, ...],
    *,
    service: str | None,
    reader: str,
    loki: str | None,
    tenant: str | None,
    form: str,
) -> Exit:
    """Explain where records go on this machine, and why.

    Run it as the user and in the environment of the service. It records nothing, leaves no file
    behind, and shows no secret. With LOG, a log's directory or its active file, it looks at that
    one, as if it were configured (AUDIT_EMIT_JSONL). With --loki it asks Loki, too.
    """
    way = Way(loki or "", tenant, reader)
    reports = [
        examine({"service": service, "jsonl": jsonl}, os.environ, way)
        for jsonl in (*map(_active, of_files(logs)),) or (None,)
    ]
    problems = any(report.problems for report in reports)
    status = decided(Exit.FINDINGS if problems else Exit.OK)
    if form == "json":  # a path need not be valid Unicode
        told = [report.as_dict() for report in reports]
        click.echo(json.dumps(told[0] if len(told) == 1 else told, indent=2))
    else:
        for report in reports:
            _show(report)
    return status


def _active(log: str) -> str:
    if log == "-":
        raise click.UsageError("the doctor looks at a directory or a file, not at standard input")
    return os.path.join(log, "audit.jsonl") if os.path.isdir(log) else log


def _show(report: Report) -> None:
    _title("Settings, and where each one comes from")
    for name, setting in report.settings.items():
        source = setting["source"]
        _row(name, f"{_plain(setting['value'])}  {click.style(f'({source})', dim=True)}")
    for title, section in (
        ("The file", report.file),
        ("Standard output", report.stdout),
        ("This machine", report.machine),
        ("The way to Loki", report.pipeline),
    ):
        _title(title)
        _section(section)
    _title("Verdict")
    for text in report.problems:
        click.echo(click.style("  problem  ", fg="red", bold=True) + visible(text))
    for text in report.warnings:
        click.echo(click.style("  warning  ", fg="yellow") + visible(text))
    if not report.problems:
        click.echo(click.style("  ok       ", fg="green") + "records can be written")


def _title(text: str) -> None:
    click.echo(click.style(text, bold=True))


def _section(section: Mapping[str, Any]) -> None:
    if not section:
        _row("-", "not used")
    for name, value in section.items():
        _row(name.replace("_", " "), _plain(value))


def _row(name: str, value: str) -> None:
    click.echo(f"  {name:<20} {value}")


def _plain(value: object) -> str:
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return visible(", ".join(map(str, value)))
    if isinstance(value, dict):
        return visible(", ".join(f"{name} {inner}" for name, inner in value.items()))
    return visible(str(value))
