"""The group of commands: each one is imported when it is used, and returns its exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Any

import click

from audit_emit import __version__
from audit_emit._facade.text import visible, without_passwords
from audit_emit.cli import _streams, brings, missing
from audit_emit.cli._exit import INTERRUPTED, MEANING, Exit, worst
from audit_emit.cli._rights import whose
from audit_emit.cli._unforeseen import unforeseen
from audit_emit.errors import (
    ConfigError,
    DatabaseError,
    KeyServiceError,
    ObjectStoreError,
    SignerError,
)

COMMANDS = {
    "anomalies": "Look for unusual events in a log, by rules.",
    "archive": "Archive logs in an object store; verify and restore them.",
    "attest": "Sign a statement about some records of a log.",
    "checkpoint": "Sign a log, once or as it grows.",
    "console": "Show a log in a browser, and whether it verifies.",
    "db": "Create and check the schema of a chain in PostgreSQL, and remove old months.",
    "demo": "Start a real service, change its secrets, and show what was recorded.",
    "doctor": "Explain where records go on this machine, and why.",
    "erase": "Destroy the key of a person, and record that.",
    "export": "Write the records of a log in the format of another system.",
    "hash": "Show how a value read from standard input looks in a record.",
    "keygen": "Make a key that signs checkpoints.",
    "prove": "Write a proof that a record is in a log.",
    "prune": "Remove the oldest segments of a log that are old and signed.",
    "reconcile": "Compare a log with Loki, and push what is missing there.",
    "query": "Find records, in a log or in Loki: who, what, when.",
    "redact": "Show what redaction would hold back in a text or in JSON, and by which rule.",
    "repair": "Move bytes that are no record out of a log, and record that.",
    "report": "Report on a log: who did what, what was refused, and whether it verifies.",
    "schema": "Check a log or a program against declared events, and describe them.",
    "seal": "Link the records in the outbox in PostgreSQL into their chains.",
    "ship": "Copy logs of files into PostgreSQL, byte for byte.",
    "shipped": "List the closed segments that Loki has completely.",
    "status": "Show the state of a log: its head, its last event, what is signed.",
    "tail": "Show the newest records of a log, and follow it.",
    "tiles": "Build, check and serve the hash tiles of a log.",
    "vector": "Print a configuration file: Vector, Loki, alerts, dashboards.",
    "verify": "Check that a log is complete and unaltered.",
    "verify-attestation": "Check an attestation against a log.",
    "verify-proof": "Check a proof, without the log.",
    "vkey": "Print the verifier key of a log.",
    "witness": "Have witnesses cosign a log, or be one for other logs.",
}
"""Every command, with the module of its name beside this one."""


COMPLETION = 'eval "$(_AUDIT_EMIT_COMPLETE=bash_source audit-emit)"'
"""For bash; zsh and fish have ``zsh_source`` and ``fish_source``."""


def _frozen() -> None:
    """Never called: tools such as PyInstaller look for import statements, and ours are by name."""
    from audit_emit.cli import (  # noqa: F401, PLC0415 - see above
        anomalies,
        archive,
        attest,
        checkpoint,
        console,
        db,
        demo,
        doctor,
        erase,
        export,
        hash,  # noqa: A004
        keygen,
        prove,
        prune,
        query,
        reconcile,
        redact,
        repair,
        report,
        schema,
        seal,
        ship,
        shipped,
        status,
        tail,
        tiles,
        vector,
        verify,
        verify_attestation,
        verify_proof,
        vkey,
        witness,
    )


class Lazy(click.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, or ``None``."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(
            f"audit_emit.cli.{cmd_name.replace('-', '_')}"
        ).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; the error for a misspelt one suggests some."""
        name = args[0]  # there is one: the parser has taken out whatever looks like an option
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(name, COMMANDS, cutoff=0.7)
            if not near:
                raise
            told = f"No such command {name!r}. Did you mean {' or '.join(near)}?"
            raise click.UsageError(told, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a reader of its output that goes away ends it, without an error.

        The exit status is then the one that the command had decided on.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _streams.silence()
            return _streams.decision(ctx)
        except OSError as error:
            if error.filename or not _streams.printing(error):
                raise
            _say(f"standard output: {error.strerror or error}", Exit.INCOMPLETE)
            _streams.silence()
            return worst([_streams.decision(ctx), Exit.INCOMPLETE])
        return result

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The table of exit statuses, and how a shell learns to complete the rest."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(int(one)), text) for one, text in MEANING.items()])
            formatter.write_text("Where several hold: 1, then 5, 4, 3.")
        with formatter.section("Completion"):
            formatter.write(f"  {COMPLETION}\n")


@click.group(
    cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="audit-emit")
def cli() -> None:
    """Look at an audit trail, and at how this machine writes it."""


def run(args: Sequence[str] | None) -> int:
    """Run one command and turn whatever ends it into an exit status."""
    _streams.fill()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal need not know UTF-8
    try:
        result: Any = cli.main(args, prog_name="audit-emit", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (click.ClickException, ConfigError, SignerError, OSError) as error:
        return failed(error)
    except ModuleNotFoundError as error:
        return failed(error) if brings(error) else _say(unforeseen(error), Exit.INCOMPLETE)
    except Exception as error:  # noqa: BLE001 - Python would end with 1, which is a finding
        return _say(unforeseen(error), Exit.INCOMPLETE)
    finally:
        # Python ends with 120 when the rest of standard output cannot be written then.
        _streams.silence()
    return int(result or 0)


def failed(error: Exception) -> int:
    """Say what ended a command, and give its exit status."""
    if isinstance(error, click.ClickException):
        told = StringIO()
        error.show(told)
        # A script may pass on a name that somebody else has chosen. What is spelled out stays so.
        shown = "".join(
            one if one.isprintable() or one in "\n\t" else visible(one)  # click lists with tabs
            for one in without_passwords(told.getvalue())
        )
        with suppress(OSError):
            print(shown, end="", file=sys.stderr)
        return error.exit_code
    if isinstance(error, ModuleNotFoundError):
        return missing(error)
    if isinstance(error, DatabaseError):
        return _say(f"{error} ({error.reason})", Exit.NO_ANSWER)
    if isinstance(error, ObjectStoreError):
        return _say(f"{error} ({error.reason})", Exit.NO_ANSWER)
    if isinstance(error, (SignerError, KeyServiceError)):
        return _say(f"{error} ({error.reason})", Exit.NO_ANSWER)
    if isinstance(error, OSError):
        where = f"{error.filename or repr(error.filename)}: " if error.filename is not None else ""
        said = f"{where}{error.strerror or error}"
        if isinstance(error, PermissionError) and isinstance(error.filename, str):
            said += f": {whose(error.filename)}"
        return _say(said, Exit.NOTHING)
    return _say(str(error), Exit.USAGE)


def _say(message: str, status: Exit) -> int:
    with suppress(OSError):
        print(f"audit-emit: {visible(without_passwords(message))}", file=sys.stderr)
    return status
