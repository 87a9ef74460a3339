"""How commands reach Loki: address and tenant as options, credentials from the environment only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from audit_emit._loki.settings import PREFIX, from_environment
from audit_emit.cli._exit import Exit
from audit_emit.cli._text import visible

if TYPE_CHECKING:
    from audit_emit.loki import LokiClient
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


@contextmanager
def connected(loki: str, tenant: str | None) -> Iterator[LokiClient]:
    """A client, with credentials and patience from the environment.

    What goes wrong with Loki is said on standard error, and is the end of the command.

    Raises:
        ConfigError: address, tenant or credentials cannot be used.
    """
    from audit_emit.loki import LokiClient, LokiError  # noqa: PLC0415 - an extra

    try:
        with LokiClient(loki, tenant=tenant, **from_environment(os.environ)) as client:
            yield client
    except LokiError as error:
        click.echo(f"audit-emit: {visible(str(error))}", err=True)
        raise click.exceptions.Exit(Exit.LOKI) from None
