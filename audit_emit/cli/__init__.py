"""The command line: ``audit-emit <command>``, one module per command.

Exit status: 0 all good, 1 something is wrong, 2 usage, 3 unreadable or nothing found, 4 incomplete.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from audit_emit.cli._exit import Exit

INTERRUPTED = 130
"""What a shell expects of a process that Ctrl-C ended."""

EXTRA_OF = {
    "click": "cli",
    "rich": "cli",
    "cryptography": "sign",
    "fastapi": "fastapi",
    "uvicorn": "fastapi",
    "flask": "flask",
    "httpx": "loki",
    "psycopg": "postgres",
}
"""Which extra brings a module that a command imports."""


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: the words after the program's name; those of the process by default.

    Returns:
        The exit status.
    """
    try:
        from audit_emit.cli._group import run  # noqa: PLC0415 - click is optional
    except ModuleNotFoundError as error:
        return missing(error)
    return run(args)


def missing(error: ModuleNotFoundError) -> int:
    """Say in one line which extra brings the module that is not there.

    Raises:
        ModuleNotFoundError: no extra brings it.
    """
    name = (error.name or "").partition(".")[0]
    if name not in EXTRA_OF:
        raise error
    hint = f"{name} is not installed; pip install 'audit-emit[{EXTRA_OF[name]}]'"
    print(f"audit-emit: {hint}", file=sys.stderr)
    return Exit.USAGE
