"""Alerts and rules as ``audit-emit anomalies`` prints them, and the option that names rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from audit_emit._facade.anomalies import Alert, Outcome, Rule, RuleSet
from audit_emit._facade.text import visible
from audit_emit.cli._exit import Exit

_Function = TypeVar("_Function", bound=Callable[..., Any])

SHOWN = 20
"""Numbers of records that people are shown of one alert; programs get all."""

_COLORS = {"medium": "yellow", "high": "red", "critical": "red"}


def rules_option(words: str) -> Callable[[_Function], _Function]:
    """``--rules DIR``, as the parameter ``directory``; for ``rules_in``.

    Args:
        words: what the command says of it.
    """
    return click.option(
        "--rules", "directory", type=click.Path(path_type=Path), metavar="DIR", help=words
    )


def as_json(log: str, alert: Alert) -> dict[str, Any]:
    """An alert for programs."""
    return {"log": log, **alert.fields(), "group": dict(alert.group)}


def print_all(found: Sequence[tuple[str, Alert]], form: str) -> None:
    """All alerts of a search that has ended."""
    if form == "json":
        alerts = [as_json(*one) for one in found]
        click.echo(json.dumps({"alerts": alerts}, indent=2))
        return
    for log, alert in found:
        print_one(log, alert, form)


def print_one(log: str, alert: Alert, form: str) -> None:
    """One alert as soon as it comes up; a stream has one JSON object on each line."""
    if form == "text":
        click.echo(_text(alert))
    else:
        click.echo(json.dumps(as_json(log, alert), separators=(",", ":")))


def _text(alert: Alert) -> str:
    group = " ".join(f"{name}={value or '-'}" for name, value in alert.group.items())
    seqs = ", ".join(map(str, alert.seqs[:SHOWN]))
    more = len(alert.seqs) - SHOWN + alert.unnamed if len(alert.seqs) > SHOWN else alert.unnamed
    level = click.style(f"{visible(alert.level):<8}", fg=_COLORS.get(alert.level))
    at = alert.last_ts[:19] + "Z" if alert.last_ts else f"{'':20}"
    records = f"records {seqs}" if len(alert.seqs) > 1 else f"record {seqs}" if seqs else ""
    return (
        f"{visible(at)} {level} {visible(alert.rule)} {visible(group)}\n"
        f"    {visible(alert.title)}: {visible(alert.reason)}\n"
        f"    {records}{f' and {more} more' if more else ''}"
    ).rstrip()


def listed(rules: RuleSet, form: str) -> Exit:
    """The rules that make alerts."""
    if form != "text":
        told = [_about(one) for one in rules.alerting()]
        if form == "json":
            click.echo(json.dumps({"rules": told}, indent=2))
        else:
            click.echo("\n".join(map(json.dumps, told)))
        return Exit.OK
    width = max(len(one.name) for one in rules.alerting())
    for one in rules.alerting():
        click.echo(f"{visible(one.name):<{width}}  {one.level:<13}  {visible(one.description)}")
    return Exit.OK


def explained(rules: RuleSet, name: str, form: str) -> Exit:
    """Print a rule with its description, its conditions, and the rules that it correlates.

    Raises:
        UsageError: there is no such rule.
    """
    rule = rules.find(name)
    if rule is None:
        names = ", ".join(one.name for one in rules.alerting())
        raise click.UsageError(f"there is no rule {visible(name)}; there are: {visible(names)}")
    if form != "text":
        click.echo(json.dumps(_about(rule), indent=2 if form == "json" else None))
        return Exit.OK
    click.echo(f"{visible(rule.title)} ({visible(rule.name)}, {rule.level})")
    rows: Iterable[tuple[str, Iterable[str]]] = (
        ("detects", [rule.description]),
        ("why", [rule.reason]),
        ("false positives", rule.falsepositives),
        ("evasion", [rule.evasion]),
        ("tags", [", ".join(rule.tags)]),
        ("sources", rule.references),
        ("looks for", [_looked_for(rule)]),
        ("about", [f"{one.name}: {one.description}" for one in rules.parts(rule)]),
        ("stands in", [f"{rule.file}:{rule.line}"]),
    )
    for title, texts in rows:
        for number, text in enumerate(filter(None, texts)):
            click.echo(f"  {'' if number else title:<15}  {visible(text)}")
    return Exit.OK


def _looked_for(rule: Rule) -> str:
    spec = rule.correlation
    if spec is None:
        return "one record"
    group = f" by {', '.join(spec.group_by)}" if spec.group_by else ""
    field = f" of {spec.field}" if spec.field else ""
    least = (
        f" at least {spec.least:.15g}"
        if spec.type in {"event_count", "value_count", "value_sum"}
        else ""
    )
    span = f" within {spec.timespan // 10**9} s" if spec.timespan else ""
    options = ", ".join(f"{name} {value:.15g}" for name, value in spec.options.items())
    return f"{spec.type}{field}{group}{least}{span}{f' ({options})' if options else ''}"


def _about(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "id": rule.id,
        "title": rule.title,
        "level": rule.level,
        "status": rule.status,
        "description": rule.description,
        "reason": rule.reason,
        "falsepositives": rule.falsepositives,
        "evasion": rule.evasion,
        "tags": rule.tags,
        "references": rule.references,
        "looks_for": _looked_for(rule),
        "rules": rule.correlation.rules if rule.correlation is not None else [],
        "file": rule.file,
        "line": rule.line,
    }


def tested(outcomes: Iterable[Outcome], form: str) -> Exit:
    """Print the results of rule tests; the status is that of a finding where one failed."""
    status, told, count = Exit.OK, [], 0
    for case, found in ((one.case, one) for one in outcomes):
        count += 1
        if not found.ok:
            status = Exit.FINDINGS
        told.append(
            {
                "rule": case.rule,
                "name": case.name,
                "ok": found.ok,
                "expected": case.expect,
                "found": found.found,
                "file": case.file,
                "line": case.line,
            }
        )
        if form == "jsonl":
            click.echo(json.dumps(told[-1]))
        elif form == "text":
            shown = f"{visible(case.rule)}: {visible(case.name)}"
            click.echo(f"{'ok' if found.ok else 'FAILED':<6}  {shown}")
            if not found.ok:
                click.echo(f"        {visible(case.file)}:{case.line}")
                click.echo(f"        expected {_seqs(case.expect)}")
                click.echo(f"        found    {_seqs(found.found)}")
    if form == "json":
        click.echo(json.dumps({"tests": told}, indent=2))
    return status if count else Exit.NOTHING


def _seqs(alerts: Sequence[Sequence[int]]) -> str:
    return "; ".join(" ".join(map(str, one)) for one in alerts) or "nothing"
