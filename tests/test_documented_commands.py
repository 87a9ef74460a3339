"""The commands that the pages show exist, with the options that they are shown with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from audit_emit.cli._group import COMMANDS, Lazy

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("vector/*.md")]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).replace("\\\n", " ")

SHOWN = re.compile(r"(?:`|^ {4}|^|[|&] ?|\$\()audit-emit ([a-z-]+)([^`\n]*)", re.MULTILINE)


def options_of(name: str) -> set[str]:
    command = Lazy().get_command(click.Context(click.Command("audit-emit")), name)
    assert command is not None
    parts = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    parameters = [one for part in parts for one in part.get_params(click.Context(part))]
    return {word for one in parameters for word in (*one.opts, *one.secondary_opts)}


def shown() -> Iterator[tuple[str, str]]:
    """Each command with an option that is shown with it."""
    for name, rest in SHOWN.findall(TEXT):
        # What comes after a pipe, a quote or a bracket is of another program.
        own = re.split(r"[|;)#]|\$\(| - ", rest)[0]
        for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", own):
            yield name, option


def test_the_pages_show_commands() -> None:
    assert len(set(shown())) > 20


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_pages(name: str) -> None:
    assert name in {found for found, _ in SHOWN.findall(TEXT)}


@pytest.mark.parametrize(("name", "option"), sorted(set(shown())))
def test_an_option_that_is_shown_is_there(name: str, option: str) -> None:
    assert name in COMMANDS
    assert option in options_of(name)
