"""``--policy FILE``: the policy that an agent worked under, of which only the digest is used."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


def policy_option(text: str) -> Callable[[_Function], _Function]:
    """``--policy``, as the parameter ``policy``: SHA-256 as hex, empty where none was named."""
    of_files = click.Path(path_type=Path, exists=True, dir_okay=False)
    return click.option(
        "--policy", metavar="FILE", type=of_files, callback=_digest, default=None, help=text
    )


def _digest(_: click.Context, __: click.Parameter, value: Path | None) -> str:
    if value is None:
        return ""
    with value.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
