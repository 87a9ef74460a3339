"""The command line: ``audit-emit <command>``, one module per command.

What a command returns is its exit status; ``_exit`` has the table of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from audit_emit.cli._exit import Exit

EXTRA_OF = {
    "rich": "cli",
    "cryptography": "sign",
    "fastapi": "fastapi",
    "jinja2": "console",
    "starlette": "console",
    "authlib": "oidc",
    "joserfc": "oidc",
    "uvicorn": "fastapi",
    "flask": "flask",
    "httpx": "loki",
    "psycopg": "postgres",
    "boto3": "s3",
    "botocore": "s3",
    "rfc3161_client": "tsa",
    "duckdb": "parquet",
}
"""Which extra brings a module that a command imports."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: the words after the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    from audit_emit.cli._group import run  # noqa: PLC0415 - click takes a while

    return run(args)


def brings(error: ModuleNotFoundError) -> str:
    """The extra that brings the module that is not there; empty for none."""
    return EXTRA_OF.get((error.name or "").partition(".")[0], "")


def missing(error: ModuleNotFoundError) -> int:
    """Say in one line which extra brings the module that is not there.

    Raises:
        ModuleNotFoundError: no extra brings it.
    """
    name = (error.name or "").partition(".")[0]
    extra = brings(error)
    if not extra:
        raise error
    hint = f"{name} is not installed; pip install 'audit-emit[{extra}]'"
    print(f"audit-emit: {hint}", file=sys.stderr)
    return Exit.USAGE
