"""What all commands share: examples and exit statuses in the help, ``--no-color``, ``--out``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from audit_emit._facade.text import visible
from audit_emit.cli._exit import MEANING, Exit
from audit_emit.cli._output import written

_Function = TypeVar("_Function", bound=Callable[..., Any])

_OLD = {
    "--output": "it is --format now, with --json for short",
    "--path": "a log is named without an option: audit-emit COMMAND [OPTIONS] LOG",
    "--jsonl": "a log is named without an option: audit-emit COMMAND [OPTIONS] LOG",
    "--no-record": "name the columns instead: --columns ts,user_id,fields.key",
    "--event-type": "event types go to --type",
}
"""Options that people often try, and what to type instead."""


class Command(click.Command):
    """A command whose help says what its exit statuses mean, with examples.

    Args:
        statuses: those that it can give, with its own words where they say more than the table's.
        examples: lines to copy.
    """

    def __init__(
        self,
        *args: Any,
        statuses: Mapping[Exit, str] | None = None,
        examples: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self.statuses: Mapping[Exit, str] = statuses or {}
        self.examples = examples

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, then what every command has."""
        *own, helping = super().get_params(ctx)
        return [*own, _no_color(), helping]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; for what is often tried the error says what to type instead.

        An empty value is refused. A script that runs ``--actor "$ID"`` with ``ID`` unset would
        otherwise ask for the records of everybody, or demand nothing.
        """
        try:
            if not ctx.resilient_parsing:
                self._refuse_empty(ctx, list(args))
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = {name for one in self.get_params(ctx) for name in one.opts}
            if error.option_name in _OLD and error.option_name not in known:
                raise click.UsageError(
                    f"there is no {error.option_name}; {_OLD[error.option_name]}", ctx
                ) from None
            raise

    def _refuse_empty(self, ctx: click.Context, typed: list[str]) -> None:
        given, _, _ = self.make_parser(ctx).parse_args(typed)
        for one in self.get_params(ctx):
            value = given.get(one.name or "")
            values = value if isinstance(value, list) else [value]
            if one.param_type_name == "option" and "" in values:
                told = f"{one.opts[0]} is empty: name something, or leave it out"
                raise click.UsageError(told, ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples and exit statuses, after the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        with formatter.section("Exit status"):
            formatter.write_dl([(str(int(one)), text) for one, text in self.told().items()])

    def told(self) -> dict[Exit, str]:
        """What each of its statuses means."""
        return {one: self.statuses.get(one) or MEANING[one] for one in sorted(self.statuses)}

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, with its standard output in the file of ``--out`` where that is given."""
        with written(ctx):
            return super().invoke(ctx)


def command(
    name: str, statuses: Mapping[Exit, str], examples: Sequence[str] = (), **more: Any
) -> Callable[[_Function], Command]:
    """Make a command of a function; see ``Command``."""
    return click.command(name, cls=Command, statuses=statuses, examples=examples, **more)


def _no_color() -> click.Option:
    return click.Option(
        ["--no-color"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_decolored,
        help="No colours.  [env: NO_COLOR]",
    )


def _decolored(ctx: click.Context, _: click.Parameter, value: object) -> None:
    # Any value but the empty one counts (https://no-color.org).
    if value or os.environ.get("NO_COLOR"):
        ctx.color = False


def complain(message: str) -> None:
    """Say on standard error what went wrong, safe for a terminal."""
    click.echo(f"audit-emit: {visible(message)}", err=True)
