"""``audit-emit redact``: what of a text or of JSON would be held back, and by which rule."""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from typing import Any

import click
import msgspec

from audit_emit._facade.redaction import SCAN, Normaliser, Redactor
from audit_emit._facade.text import visible
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._output import formats
from audit_emit.cli._redacting import rules
from audit_emit.cli._streams import decided

_MAX_INPUT = 64 * 1024 * 1024


@a_command(
    "redact",
    {
        Exit.OK: "nothing would be held back",
        Exit.FINDINGS: "something would be",
        Exit.USAGE: "",
    },
    [
        """echo '{"note": "acme_0123456789abcdef0123456789abcdef"}' | audit-emit redact""",
        "audit-emit redact --format jsonl <service.log",
    ],
)
@formats("text", "json", "jsonl")
@click.option(
    "--type",
    "event_type",
    default="a.b",
    metavar="TYPE",
    help="The type of the event, for rules that depend on it.",
)
def command(*, form: str, event_type: str) -> Exit:
    """Show what redaction would hold back in standard input, and by which rule; never the value.

    Standard input is the JSON of an event's fields, or a text. The rules are those that the
    environment configures, so that you can try your own.
    """
    if sys.stdin.isatty():
        click.echo("reading standard input to its end (Ctrl-D)", err=True)
    raw = sys.stdin.buffer.read(_MAX_INPUT + 1)
    if len(raw) > _MAX_INPUT:
        raise click.UsageError(f"standard input holds more than {_MAX_INPUT} bytes")
    text = raw.decode("utf-8", "replace")
    redactor = rules()
    found = _in_json(redactor, text, event_type)
    if found is None:
        found = _in_text(redactor, text)
    status = decided(Exit.FINDINGS if found else Exit.OK)
    rows = [{"place": place, "rule": rule} for place, rule in found]
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
    for row in rows if form == "jsonl" else ():
        click.echo(msgspec.json.encode(row).decode())
    for place, rule in found if form == "text" else ():
        click.echo(f"{visible(place)}  {rule}")
    if not found and form == "text":
        click.echo("nothing would be held back", err=True)
    return status


def _in_json(redactor: Redactor, text: str, event_type: str) -> list[tuple[str, str]] | None:
    """Places as paths; ``None`` for a text that is no JSON object or list."""
    try:
        value: Any = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict | list):
        return None
    done = Normaliser(redactor).full(event_type, value).value
    found = []
    for entry in done.get("_redacted", []):
        place, _, rule = str(entry).rpartition(": ")
        found.append((place or "fields", rule))
    return found


def _in_text(redactor: Redactor, text: str) -> list[tuple[str, str]]:
    """Places as ``line:column-column``, counted from 1; the text is searched in parts of 8 KiB."""
    lines = [at + 1 for at, char in enumerate(text) if char == "\n"]
    found: dict[tuple[str, str], None] = {}
    for start in range(0, len(text), SCAN):
        part = text[start : start + SCAN + 512]
        for one in redactor.engine.find(part, redactor.is_secret_key):
            if one.start >= SCAN:
                continue
            at = start + one.start
            line = bisect_right(lines, at)
            column = at - (lines[line - 1] if line else 0) + 1
            found[f"{line + 1}:{column}-{column + one.end - one.start - 1}", one.rule] = None
    return list(found)
