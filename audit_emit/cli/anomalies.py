"""``audit-emit anomalies``: what in a log is odd, by rules."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import click

from audit_emit._facade.anomalies import (
    LEVELS,
    Alert,
    How,
    RuleSet,
    cases_in,
    detect,
    integrity_alerts,
    rules_in,
    run,
    verify_log,
)
from audit_emit._facade.queries import look_for_parts, open_readers, span
from audit_emit._facade.records import ts_of
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import Options
from audit_emit.cli._alerts import explained, listed, print_all, rules_option, tested
from audit_emit.cli._alerts_followed import Following, followed, following_options
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._keys import key_option
from audit_emit.cli._logs import logs_argument, name_of, named, not_there, one_of
from audit_emit.cli._output import formats
from audit_emit.errors import BusyError, DetectionError, RuleError, UnsupportedError
from audit_emit.log import KeyRing


class Search(NamedTuple):
    """What to look for, and how to print it.

    Attributes:
        window: how far back alerts are printed; ``None`` for all of them.
        verify: how to verify the log; ``None`` to leave that out.
        level: the lowest level of alerts that is printed.
        form: of the output.
    """

    rules: RuleSet
    window: timedelta | None
    verify: Options | None
    level: str
    form: str

    def wanted(self, alert: Alert) -> bool:
        """Whether an alert is severe enough."""
        return LEVELS.index(alert.level) >= LEVELS.index(self.level)


def _window(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    try:
        return None if value is None else span(value)
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


@a_command(
    "anomalies",
    {
        Exit.OK: "nothing odd; with --follow, ended by a signal",
        Exit.FINDINGS: "alerts; a test that failed; or with --follow, the log was cut or replaced",
        Exit.USAGE: "",
        Exit.NOTHING: "nothing there, or it cannot be read",
        Exit.INCOMPLETE: "another process follows this log",
        Exit.NO_ANSWER: "the database does not answer",
    },
    [
        "audit-emit anomalies /var/log/audit-emit/shop --window 15m",
        "audit-emit anomalies --explain secret_mass_read",
        "audit-emit anomalies --rules /etc/audit-emit/rules --test rules-test.yml",
        "audit-emit anomalies --follow --webhook https://alerts.example.com/audit",
    ],
)
@logs_argument
@click.option(
    "--window",
    callback=_window,
    metavar="SPAN",
    help="Print only alerts of the last 15m, 2h, 7d; older records are read all the same, as rules "
    "compare with them.  [default: all alerts; with --follow those from now on]",
)
@rules_option("Use the rules in this directory (.json, .yml) instead of those of this package.")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default=LEVELS[0],
    help="Only alerts of this level or a higher one.",
)
@click.option("--follow", is_flag=True, help="Keep running as the log grows, until a signal comes.")
@click.option("--list", "listing", is_flag=True, help="List the rules, and end.")
@click.option("--explain", metavar="RULE", help="Print all about one rule, and end.")
@click.option(
    "--test",
    "tests",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Run the rule tests in this file, and end.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    help="Verify the log, and report the findings, too.  [default]",
)
@key_option("With --verify: a pinned key")
@following_options
@formats("text", "json", "jsonl")
def command(
    logs: tuple[str, ...],
    *,
    window: timedelta | None,
    directory: Path | None,
    level: str,
    follow: bool,
    listing: bool,
    explain: str | None,
    tests: Path | None,
    verify: bool,
    keys: tuple[str, ...],
    form: str,
    **following: object,
) -> Exit:
    """Look for what is odd in each LOG, by rules: who reads all secrets, who grants himself a role.

    LOG is a log's directory or its active file; a single segment, also packed; - for standard
    input, which is not verified; postgresql://… or s3://…. Without LOG, the log that this
    environment configures.

    Rules are written in a subset of Sigma; a rule outside of it is refused, with its line. Every
    alert names all of its records. A threshold that is crossed gives one alert, not one for each
    further record.

    With --follow the search continues where it stopped, also after a restart. Each alert is kept
    until it has been delivered to the log, every command and every webhook. A receiver may get an
    alert twice, and recognises it by its id.
    """
    try:
        rules = rules_in(directory)
        if listing:
            return listed(rules, form)
        if explain is not None:
            return explained(rules, explain, form)
        if tests is not None:
            return tested(run(cases_in(tests), rules), form)
        ring = KeyRing.from_sources(list(keys), os.environ) if verify else None
        search = Search(rules, window, None if ring is None else Options(ring=ring), level, form)
        ways = Following(**following)  # type: ignore[arg-type] # click has looked at them
        return _follow(logs, search, ways) if follow else _once(logs, search, ways)
    except (RuleError, DetectionError, UnsupportedError) as error:
        raise click.UsageError(visible(str(error))) from None
    except BusyError as error:
        complain(str(error))
        return Exit.INCOMPLETE


def _once(logs: Sequence[str], search: Search, ways: Following) -> Exit:
    if ways.commands or ways.webhooks or ways.state:
        raise click.UsageError("--exec, --webhook and --state belong to --follow")
    since = "" if search.window is None else ts_of(_back(search.window))
    try:
        detected = _detected(named(logs), search.rules, since, search.verify)
    except FileNotFoundError as error:
        raise not_there(str(error.filename)) from None
    found = [one for one in detected if search.wanted(one[1])]
    print_all(found, search.form)
    return Exit.FINDINGS if found else Exit.OK


def _follow(logs: Sequence[str], search: Search, ways: Following) -> Exit:
    since = ts_of(_back(search.window or timedelta(0)))
    how = How(since, search.verify, ways.verify_every.total_seconds(), complain, search.wanted)
    return followed(one_of(logs), search.rules, ways, how, search.form)


def _back(window: timedelta) -> int:
    return max(0, time.time_ns() - int(window.total_seconds()) * 10**9)


@contextmanager
def _garbage_rarely_looked_for() -> Iterator[None]:
    """Run Python's cycle collector less often: the state of rules has no cycles to be found."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _detected(
    paths: Sequence[str], rules: RuleSet, since: str, options: Options | None
) -> list[tuple[str, Alert]]:
    found: list[tuple[str, Alert]] = []
    now = time.time_ns()
    with on_terminal("looking") as bar, _garbage_rarely_looked_for():
        for reader in open_readers(paths, options.ring if options is not None else None):
            with reader:
                look_for_parts(reader)
                name = name_of(reader.name)
                if options is not None and "-" not in paths:
                    verdict = verify_log(reader, options._replace(progress=bar))
                    found += ((name, alert) for alert in integrity_alerts(verdict.report))
                alerts = detect(reader, rules, since=since, now=now, progress=bar)
                found += ((name, alert) for alert in alerts)
    return found
