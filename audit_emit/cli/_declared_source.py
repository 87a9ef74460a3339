"""``audit-emit schema check --source``: what was found in a program, with file and line."""

from __future__ import annotations

import json

import click

from audit_emit._facade.schemas import Mistake, SourceCheck
from audit_emit._facade.text import visible
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit, worst


def show_source(found: SourceCheck, form: str) -> Exit:
    """Print what was found, and say how it ended."""
    if form == "json":
        click.echo(json.dumps(_as_data(found), indent=2))
    else:
        for one in found.mistakes:
            click.echo(f"{visible(one.file)}:{one.line}: {visible(_sentence(one))}")
    for path in found.unread:
        complain(f"{path} cannot be read as Python")
    click.echo(
        f"{found.calls} calls in {found.files} files, {len(found.computed)} of them with a type "
        f"that is computed; {found.declared} event types are declared",
        err=True,
    )
    statuses = [
        Exit.FINDINGS if found.mistakes else Exit.OK,
        Exit.INCOMPLETE if found.unread else Exit.OK,
        Exit.OK if found.files else Exit.NOTHING,
    ]
    return worst(statuses)


def _sentence(one: Mistake) -> str:
    meant = f" ({one.meant}?)" if one.meant else ""
    if one.what == "undeclared":
        return f"{one.event_type} is not declared{meant}"
    if one.what == "missing":
        return f"{one.event_type} needs the field {one.name}"
    return f"{one.event_type} has no field {one.name}{meant}"


def _as_data(found: SourceCheck) -> dict[str, object]:
    return {
        "files": found.files,
        "calls": found.calls,
        "declared": found.declared,
        "findings": [one._asdict() for one in found.mistakes],
        "computed": [{"file": file, "line": line} for file, line in found.computed],
        "unread": found.unread,
    }
