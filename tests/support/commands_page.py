"""Writes the second half of docs/commands.md out of the commands, so that it cannot say otherwise.

    python tests/support/commands_page.py

A test holds the page against ``page()`` and ``rows()``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from audit_emit.cli._exit import MEANING
from audit_emit.cli._group import COMMANDS, Lazy

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
WIDTH = 100

MARK = "<!-- What follows is written by tests/support/commands_page.py. -->\n"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Each command by its full name, those of a group after it."""
    group = click.Context(Lazy(), info_name="audit-emit")
    for name in sorted(COMMANDS):
        made = Lazy().get_command(group, name)
        assert made is not None
        yield name, made
        if isinstance(made, click.Group):
            for inner in sorted(made.commands):
                yield f"{name} {inner}", made.commands[inner]


def help_of(name: str, command: click.Command) -> str:
    """What ``--help`` prints, on a terminal of ``WIDTH`` columns."""
    context = click.Context(
        command,
        info_name=f"audit-emit {name}",
        terminal_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context)


def page() -> str:
    """The whole page: what people wrote, up to the mark, then what the commands say."""
    head, _, _ = PAGE.read_text("utf-8").partition(MARK)
    parts = [head, MARK]
    for name, command in commands():
        level = "###" if " " in name else "##"
        parts.append(f"\n{level} {name}\n\n```text\n{help_of(name, command)}\n```\n")
    return "".join(parts)


def rows() -> list[str]:
    """What the tables of the page must have: each command, each exit status."""
    listed = [f"| [`{name}`](#{name}) | {what} |" for name, what in sorted(COMMANDS.items())]
    return [*listed, *(f"| {int(status)} | {text} |" for status, text in MEANING.items())]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
