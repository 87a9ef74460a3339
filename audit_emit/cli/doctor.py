"""``audit-emit doctor``: where records go on this machine, and why."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import click

from audit_emit.cli._checks import Report, Way, examine
from audit_emit.cli._exit import Exit
from audit_emit.cli._loki import loki_options
from audit_emit.cli._streams import decided
from audit_emit.cli._text import visible


@click.command("doctor")
@click.option("--service", help="As if this were configured instead of AUDIT_EMIT_SERVICE.")
@click.option("--jsonl", help="As if this were configured instead of AUDIT_EMIT_JSONL.")
@click.option(
    "--reader", default="", metavar="USER", help="Whether this user, such as vector, can read."
)
@loki_options
@click.option("--json", "as_json", is_flag=True, help="The same as one JSON object.")
def command(
    service: str | None,
    jsonl: str | None,
    *,
    reader: str,
    loki: str | None,
    tenant: str | None,
    as_json: bool,
) -> Exit:
    """Explain where records go on this machine, and why.

    Run it as the user and in the environment of the service. Nothing is recorded, nothing that
    stays is written, and no secret is shown. With --loki Loki is asked, too.

    Exit status: 0 ok (warnings included), 1 something must be mended, 2 usage.
    """
    way = Way(loki or "", tenant, reader)
    report = examine({"service": service, "jsonl": jsonl}, os.environ, way)
    status = decided(Exit.FINDINGS if report.problems else Exit.OK)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))  # a path need not be valid Unicode
    else:
        _show(report)
    return status


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
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return visible(", ".join(map(str, value)))
    if isinstance(value, dict):
        return visible(", ".join(f"{name} {inner}" for name, inner in value.items()))
    return visible(str(value))
