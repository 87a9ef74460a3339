"""``--key`` and ``--origin``, wherever a command checks signatures or makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SOURCES = "[default: AUDIT_EMIT_SIGNING_KEY and AUDIT_EMIT_SIGNING_KEY_FILE]"


def key_option(text: str) -> Callable[[_Function], _Function]:
    """``--key``, repeatable, as the parameter ``keys``.

    Args:
        text: what the key is for.
    """
    return click.option(
        "--key",
        "keys",
        multiple=True,
        metavar="KEY",
        help=f"{text}: a file, the name of an environment variable, or a URI; repeatable.  "
        f"{_SOURCES}",
    )


pinned_keys = key_option("Pinned key")
"""The keys that signatures must be by."""

signing_keys = key_option("The key that signs, the newest one last")

origin_option = click.option(
    "--origin", help="The log's name in checkpoints.  [default: AUDIT_EMIT_ORIGIN]"
)
