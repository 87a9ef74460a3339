"""``audit-emit schema check LOG``: what was found in logs, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from audit_emit._facade.queries import Question, lines_in, open_readers
from audit_emit._facade.schemas import LogCheck, Schemas
from audit_emit._facade.text import visible
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.integrations.events import EVENTS


def check_logs(logs: Sequence[str], question: Question, schemas: Schemas, form: str) -> Exit:
    """Look at the records of logs that answer a question, and print what was found."""
    check = LogCheck(schemas, {one.__event_type__ for one in EVENTS})
    everything = question == Question()
    for reader in open_readers(logs):
        with reader:
            for line in lines_in(reader):
                if everything or question.match(line) is not None:
                    check.add(line)
    if form == "json":
        click.echo(json.dumps(_as_data(check), indent=2))
    else:
        _show(check)
    if check.undeclared or check.unfit or check.foreign:
        return Exit.FINDINGS
    return Exit.OK if check.records else Exit.NOTHING


def _as_data(check: LogCheck) -> dict[str, object]:
    return {
        "records": check.records,
        "undeclared": check.undeclared,
        "unfit": check.unfit,
        "foreign": check.foreign,
        "findings": [row._asdict() for row in check.rows()],
        "more": check.more,
    }


def _show(check: LogCheck) -> None:
    for row in check.rows():
        count = "1 record" if row.records == 1 else f"{row.records} records"
        first = f", first seq {row.first_seq}" if row.first_seq else ""
        click.echo(f"{visible(row.event_type)}  {visible(row.what)}  ({count}{first})")
    if check.more:
        click.echo(f"and {check.more} further findings of other kinds")
    if check.foreign:
        complain(f"{check.foreign} lines are no records (see: audit-emit verify)")
    click.echo(
        f"{check.records} records: {check.unfit} do not fit, {check.undeclared} of a type that is "
        "not declared",
        err=True,
    )
