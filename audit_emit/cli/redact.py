"""``audit-emit redact``: what of a text or of JSON would be held back, and by which rule."""

from __future__ import annotations

import sys
from bisect import bisect_right
from typing import Any

import click
import msgspec

from audit_emit._fields.normaliser import Normaliser
from audit_emit._redaction.redactor import SCAN, Redactor
from audit_emit._settings.settings import Settings, settings
from audit_emit.cli._exit import Exit

_MAX_INPUT = 64 * 1024 * 1024


@click.command("redact")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: place and rule.")
@click.option("--event-type", default="a.b", help="As if the fields were those of this event.")
def command(*, as_json: bool, event_type: str) -> Exit:
    """Show what of standard input would be held back, and by which rule; never the value.

    Standard input is the JSON of an event's fields, or a text. The rules are those that the
    environment configures, so that a rule of one's own can be tried. The status is 1 when
    something would be held back, else 0.
    """
    raw = sys.stdin.buffer.read(_MAX_INPUT + 1)
    if len(raw) > _MAX_INPUT:
        raise click.UsageError(f"standard input holds more than {_MAX_INPUT} bytes")
    text = raw.decode("utf-8", "replace")
    redactor = _redactor(settings({}))
    found = _in_json(redactor, text, event_type)
    if found is None:
        found = _in_text(redactor, text)
    for place, rule in found:
        if as_json:
            click.echo(msgspec.json.encode({"place": place, "rule": rule}).decode())
        else:
            click.echo(f"{place}  {rule}")
    if not found and not as_json:
        click.echo("nothing would be held back", err=True)
    return Exit.FINDINGS if found else Exit.OK


def _redactor(given: Settings) -> Redactor:
    return Redactor(
        given.hash_key,
        given.secret_keys,
        given.safe_keys,
        given.redaction_rules,
        hide_access_key_ids=given.hide_access_key_ids,
        report=True,
    )


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
    """Places as ``line:column-column``, counted from 1; each 8 KiB are looked at for themselves."""
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
