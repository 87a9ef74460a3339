"""``--reveal``: sealed values in the clear, and the record of who had that done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import click

from audit_emit.errors import SinkError

_Function = TypeVar("_Function", bound=Callable[..., Any])

REVEALED = "audit.revealed"
_KEYS = 256
"""Ids of keys that are recorded."""


def reveal_option(function: _Function) -> _Function:
    """``--reveal``, as the parameter ``reveal``."""
    return click.option(
        "--reveal",
        is_flag=True,
        help="Decrypt sealed values; each LOG first gets a record of that (audit.revealed).",
    )(function)


def record_reveal(
    logs: Sequence[str],
    command: str,
    *,
    records: int | None = None,
    values: int | None = None,
    keys: Collection[str] = (),
) -> None:
    """Record in every log that sealed values are decrypted, before anybody sees one.

    Args:
        command: its name. Its filters are not recorded: they may name the person.
        records, values: how many; ``None`` where that is not known beforehand.
        keys: the ids of those that are used.

    Raises:
        UsageError, NoLog, DatabaseError: see ``recordings``.
        ClickException: one takes no record; nothing is shown then.
    """
    from audit_emit.cli._recording import operator, recordings  # noqa: PLC0415 - only who reveals writes

    told = sorted(set(keys))[:_KEYS]
    fields = {"command": command, "records": records, "values": values, "keys": told}
    if "-" in logs:
        raise click.UsageError("--reveal is recorded in the LOG: standard input is none")
    with recordings(logs, operator()) as found:
        for one in found:
            try:
                one.record(REVEALED, fields)
            except SinkError as error:
                raise click.ClickException(
                    f"{one.name} takes no record of the reveal ({error.reason}); nothing is "
                    "revealed"
                ) from None
