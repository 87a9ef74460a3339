"""Commands that answer over HTTP: where they listen, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import click

from audit_emit._facade.http import Server
from audit_emit.cli._daemon import pause, until_told

_Function = TypeVar("_Function", bound=Callable[..., Any])
_LOOK_SECONDS = 0.5


def address_options(port: int) -> Callable[[_Function], _Function]:
    """``--bind`` and ``--port``.

    Args:
        port: by default.
    """

    def decorated(function: _Function) -> _Function:
        function = click.option(
            "--port", default=port, show_default=True, type=click.IntRange(0, 65535)
        )(function)
        return click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS")(
            function
        )

    return decorated


def served(server: Server, what: str, work: Callable[[], object] = lambda: None) -> None:
    """Run a server until a signal comes.

    Args:
        what: printed on standard output, once the server answers.
        work: called every half second while it runs.
    """
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    with server, until_told() as told:
        thread.start()
        click.echo(what)
        try:
            while not told:
                pause(told, _LOOK_SECONDS)
                work()
        finally:
            server.shutdown()
            thread.join()
