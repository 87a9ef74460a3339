"""``--schemas`` and ``--module``: where a command finds declared events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from audit_emit._facade.schemas import Schemas, declared

_Function = TypeVar("_Function", bound=Callable[..., Any])

VARIABLE = "AUDIT_EMIT_SCHEMAS"
_DIRECTORY = "audit_emit.schemas"


def declarations(function: _Function) -> _Function:
    """Both options, as the parameter ``schemas``."""
    function = click.option(
        "--module",
        "schemas",
        metavar="NAME",
        multiple=True,
        callback=_found,
        help="A Python module with event classes, such as shop.events. It is imported, and so "
        "its code is run. Repeatable.",
    )(function)
    return click.option(
        "--schemas",
        "directory",
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=_noted,
        envvar=VARIABLE,
        show_envvar=True,
        help="A directory of JSON Schemas, one for each event type: secret.set.json.",
    )(function)


def _noted(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    ctx.meta[_DIRECTORY] = value or ""


def _found(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> Schemas:
    return declared(ctx.meta.get(_DIRECTORY, ""), value)


def need(schemas: Schemas) -> None:
    """Refuse to go on without any.

    Raises:
        UsageError: no event is declared.
    """
    if not schemas:
        raise click.UsageError(f"no event is declared: name --schemas DIR ({VARIABLE}) or --module")
