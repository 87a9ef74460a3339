"""Rich's console, as every command uses it."""

from __future__ import annotations

from rich.console import Console


class Plain(Console):
    """Colours only what it is told to, and leaves a reader that is gone to the command line."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        """Rich would end the process here, with status 1."""
        raise  # noqa: PLE0704 - called while the error is handled
