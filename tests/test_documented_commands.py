"""The commands that the pages show exist, with the options that they are shown with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from support import commands_page
from support.for_each import for_each

from audit_emit.cli._group import COMMANDS, Lazy

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("vector/*.md")]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).replace("\\\n", " ")

SHOWN = re.compile(r"(?:`|^ {2,4}|^|[|&] ?|\$\()audit-emit ([a-z-]+)([^`\n]*)", re.MULTILINE)


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


def test_the_page_of_the_commands_is_what_their_help_says() -> None:
    """After a change of a command: ``python tests/support/commands_page.py``."""
    text = commands_page.PAGE.read_text("utf-8")
    assert text == commands_page.page()
    assert [row for row in commands_page.rows() if row not in text.splitlines()] == []


@for_each("name, command", list(commands_page.commands()))
def test_every_help_says_what_the_statuses_mean(name: str, command: click.Command) -> None:
    if isinstance(command, click.Group):
        return
    shown = commands_page.help_of(name, command)
    statuses = re.findall(r"^  ([0-9])  \S", shown.partition("Exit status:")[2], re.MULTILINE)
    assert {"0", "2"} <= set(statuses)
    assert statuses == sorted(statuses)


def test_the_pages_show_commands() -> None:
    assert len(set(shown())) > 20


@for_each("name", COMMANDS)
def test_every_command_is_in_the_pages(name: str) -> None:
    assert name in {found for found, _ in SHOWN.findall(TEXT)}


@for_each("name, option", sorted(set(shown())))
def test_an_option_that_is_shown_is_there(name: str, option: str) -> None:
    assert name in COMMANDS
    assert option in options_of(name)
