"""How commands reach Loki: address and tenant as options, credentials from the environment only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from audit_emit._facade.files import Layout, is_directory, is_segment_alone, layout_of
from audit_emit._facade.loki import PREFIX, from_environment
from audit_emit._facade.text import visible
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import named, of_files

if TYPE_CHECKING:
    from audit_emit._facade.loki_client import LokiClient
else:
    LokiClient = Any

_Command = TypeVar("_Command", bound=Callable[..., Any])


def loki_options(command: _Command) -> _Command:
    """``--loki`` and ``--tenant``, as the parameters ``loki`` and ``tenant``."""
    command = click.option(
        "--tenant",
        envvar=f"{PREFIX}TENANT",
        metavar="NAME",
        help=f"The X-Scope-OrgID.  [env: {PREFIX}TENANT]",
    )(command)
    return click.option(
        "--loki",
        envvar=f"{PREFIX}URL",
        metavar="URL",
        help=f"Address of Loki, such as http://loki:3100.  [env: {PREFIX}URL]",
    )(command)


label_option = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"A further label that every stream has at this site; repeatable.  [env: {PREFIX}LABELS]",
)


def whole_logs(logs: Sequence[str]) -> list[Layout]:
    """The logs that were named, or the one that this environment configures.

    Raises:
        UsageError: one is only a part of a log, or this environment keeps none.
        NoLog: a log is not there, and no closed segment of it is, either.
    """
    for log in of_files(logs):
        if log == "-" or (not is_directory(log) and is_segment_alone(os.path.basename(log))):
            raise click.UsageError(f"{visible(log)} is not a whole log; name its directory")
    return [layout_of(log) for log in of_files(named(logs))]


@contextmanager
def connected(loki: str, tenant: str | None) -> Iterator[LokiClient]:
    """A client, with credentials and a time limit from the environment.

    An error of Loki is printed on standard error, and ends the command.

    Raises:
        ConfigError: address, tenant or credentials cannot be used.
    """
    from audit_emit._facade.loki_client import LokiClient  # noqa: PLC0415 - an extra
    from audit_emit.errors import LokiError  # noqa: PLC0415 - an extra

    try:
        with LokiClient(loki, tenant=tenant, **from_environment(os.environ)) as client:
            yield client
    except LokiError as error:
        with suppress(OSError):  # a full standard error changes nothing of the status
            click.echo(f"audit-emit: {visible(str(error))}", err=True)
        raise click.exceptions.Exit(Exit.NO_ANSWER) from None
