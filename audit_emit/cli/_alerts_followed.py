"""``audit-emit anomalies --follow``: where alerts go, and the loop."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from audit_emit._facade.anomalies import (
    NAME,
    Alert,
    Command,
    Follower,
    How,
    Records,
    RuleSet,
    StateFile,
    Webhook,
)
from audit_emit._facade.queries import open_reader, span
from audit_emit._facade.settings import is_address, is_archive
from audit_emit._facade.text import visible
from audit_emit.cli._alerts import print_one
from audit_emit.cli._command import complain
from audit_emit.cli._daemon import go_on, until_told
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import name_of
from audit_emit.cli._recording import recorder
from audit_emit.cli._signer import active

_Function = TypeVar("_Function", bound=Callable[..., Any])

POLL_SECONDS = 0.5
AUTHORIZATION = "AUDIT_EMIT_WEBHOOK_AUTHORIZATION"


class Following(NamedTuple):
    """The options of ``--follow``.

    Attributes:
        record: alerts become records of the log.
        commands: of each program that gets alerts, its path and its arguments.
        webhooks: addresses that get alerts.
        state: the file that keeps how far the search has come; ``None`` for the usual place.
        verify_every: the time between two verifications of the whole log.
    """

    record: bool
    commands: tuple[tuple[str, ...], ...]
    webhooks: tuple[str, ...]
    state: Path | None
    verify_every: timedelta


def following_options(function: _Function) -> _Function:
    """The options that belong to ``--follow``, as the parameters of ``Following``."""
    for option in (
        click.option(
            "--verify-every",
            default="1h",
            show_default=True,
            callback=_span,
            metavar="SPAN",
            help="With --follow: how often the whole log is verified again.",
        ),
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"With --follow: the file that keeps how far the search has come.  "
            f"[default: {NAME} beside the log]",
        ),
        click.option(
            "--webhook",
            "webhooks",
            multiple=True,
            metavar="URL",
            help="With --follow: POST each alert to this URL, as JSON; repeatable.  "
            f"[env: {AUTHORIZATION}, its Authorization header]",
        ),
        click.option(
            "--exec",
            "commands",
            multiple=True,
            callback=_words,
            metavar="COMMAND",
            help="With --follow: run this program for each alert, which it reads as JSON from "
            "standard input. No shell interprets the command. Repeatable.",
        ),
        click.option(
            "--record/--no-record",
            default=True,
            help="With --follow: write each alert into the log, as audit.anomaly.  [default]",
        ),
    ):
        function = option(function)
    return function


def _span(_: click.Context, __: click.Parameter, value: str) -> timedelta:
    try:
        return span(value)
    except ValueError as error:
        raise click.BadParameter(visible(str(error))) from None


def _words(
    _: click.Context, __: click.Parameter, value: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    try:
        found = tuple(tuple(shlex.split(one)) for one in value)
    except ValueError as error:
        raise click.BadParameter(f"it cannot be cut into words: {error}") from None
    if not all(found):
        raise click.BadParameter("it is empty")
    return found


def followed(log: str, rules: RuleSet, following: Following, how: How, form: str) -> Exit:
    """Follow a log until a signal comes.

    Raises:
        ConfigError: there are several chains at an address.
        UsageError: the log cannot be followed.
        BusyError, DetectionError: the state cannot be used.
    """
    if log == "-" or is_archive(log):
        raise click.UsageError("--follow is about a log that grows: files, or postgresql://…")
    name = name_of(log)
    with ExitStack() as stack, until_told() as told:
        where = following.state or _state_of(log)
        file = stack.enter_context(StateFile(where))

        def sinks(known: set[str]) -> list[Any]:
            found: list[Any] = [_Printed(name, form)]
            if following.record:
                found.append(Records(recorder(log, stack), known))
            found += map(Command, following.commands)
            for url in following.webhooks:
                webhook = Webhook(url, os.environ.get(AUTHORIZATION, ""))
                stack.callback(webhook.close)
                found.append(webhook)
            return found

        follower = Follower(partial(open_reader, log), rules, file, sinks, how)
        try:
            go_on(lambda: bool(follower.round()), told, POLL_SECONDS)
        except LookupError as error:
            complain(str(error))
            return Exit.FINDINGS
        follower.keep()
    return Exit.OK


class _Printed:
    """A receiver that prints each alert; it never refuses one, so nothing is kept for it."""

    name = "standard output"

    def __init__(self, log: str, form: str) -> None:
        self._log = log
        self._form = form

    def send(self, alert: Alert) -> None:
        print_one(self._log, alert, self._form)


def _state_of(log: str) -> Path:
    """Where the state is: beside the log; for rows in the user's state directory."""
    if not is_address(log):
        return active(log).with_name(NAME)
    with open_reader(log) as reader:
        last = reader.bounds().last
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    chain = last.chain if last is not None else "none"
    place = Path(os.path.abspath(home), "audit_emit", "anomalies", chain)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place / NAME
