"""``audit-emit hash``: how a value looks in the records, so that it can be searched for."""

from __future__ import annotations

import json
import sys

import click

from audit_emit._facade.redaction import Redactor, hash_value_prefix
from audit_emit._facade.settings import settings
from audit_emit.cli._command import command as a_command
from audit_emit.cli._exit import Exit
from audit_emit.cli._output import formats


@a_command(
    "hash",
    {Exit.OK: "printed", Exit.USAGE: "usage, or there is no value on standard input"},
    ["audit-emit hash <secret.txt", 'printf %s "$VALUE" | audit-emit hash -n 16'],
)
@click.option(
    "-n",
    "digits",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Digits of value_hash.",
)
@click.option("--exact", is_flag=True, help="Keep a line break at the end of the input.")
@formats("text", "json")
def command(*, digits: int, exact: bool, form: str) -> Exit:
    """Show how a value from standard input looks in the records, to search for it.

    The value is never an argument: every process can see those, and the shell keeps them.
    value_hash is the result of hash_value_prefix(value). If the environment configures a hash key,
    that is a keyed hash, and held_back is the text that redaction writes in place of this value.
    """
    raw = _read(exact=exact)
    key = settings({}).hash_key
    found = {"value_hash": hash_value_prefix(raw, digits, key=key)}
    if key is None:
        click.echo("no hash key is configured: held-back values are all [redacted]", err=True)
    else:
        found["held_back"] = Redactor(key).held_back(_value(raw))
    if form == "json":
        click.echo(json.dumps(found))
        return Exit.OK
    for name, text in found.items():
        click.echo(f"{name:<10} {text}")
    return Exit.OK


def _read(*, exact: bool) -> bytes:
    if sys.stdin.isatty():
        typed: str = click.prompt(
            "Value", hide_input=True, default="", show_default=False, err=True
        )
        raw = typed.encode("utf-8", "surrogateescape")
    else:
        raw = sys.stdin.buffer.read()
        if not exact:
            raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not raw:
        raise click.UsageError("there is no value on standard input")
    return raw


def _value(raw: bytes) -> str | bytes:
    """What a service had in its hands: text, unless it cannot have been."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
