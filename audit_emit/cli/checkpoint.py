"""``audit-emit checkpoint``: sign a log, once or as it grows, beside the service that writes it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from audit_emit._facade.settings import is_address
from audit_emit._facade.signing import INTERVAL_SECONDS, THRESHOLD, Outside
from audit_emit.cli._command import command as a_command
from audit_emit.cli._command import complain
from audit_emit.cli._daemon import pause, until_told
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import origin_option, signing_keys
from audit_emit.cli._logs import logs_argument, named
from audit_emit.cli._output import kept
from audit_emit.cli._outside import brought
from audit_emit.cli._signer import EXITS, Log, both_signed, opened, print_note, shown
from audit_emit.errors import AuditEmitError, CheckpointError, ConfigError, SinkError
from audit_emit.log import Checkpoint

if TYPE_CHECKING:
    from audit_emit.cli._signed_rows import RowsSigner

POLL_SECONDS = 1.0
RETRY_SECONDS = 10.0


@a_command(
    "checkpoint",
    {
        Exit.OK: "signed, or nothing is new",
        Exit.FINDINGS: "the log does not follow what was signed",
        Exit.USAGE: "usage, or no key",
        Exit.NOTHING: "there is no log, or no record in it",
        Exit.INCOMPLETE: "another process signs the log, or the checkpoint could not be written "
        "into the log",
        Exit.NO_ANSWER: "the key service or the token did not sign",
    },
    [
        "audit-emit checkpoint /var/log/audit-emit/shop --key signing.pem",
        "audit-emit checkpoint --watch --key signing.pem --origin audit.example.com/shop",
        "audit-emit checkpoint --note --out head.note",
    ],
)
@logs_argument
@signing_keys
@origin_option
@click.option(
    "--state",
    default="",
    help="The file that keeps the last signed checkpoint.  "
    "[default: AUDIT_EMIT_CHECKPOINT_STATE, else checkpoints.state beside the log]",
)
@click.option(
    "--first",
    is_flag=True,
    help="The state file is new or lost: sign the log from its first record on.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Keep running: sign again after 5 minutes or 100 records, whichever comes first.",
)
@click.option("--note", is_flag=True, help="Print the newest checkpoint as a C2SP signed note.")
@click.option(
    "--rotate-to",
    "successor",
    metavar="KEY",
    help="Change to this key: the present one signs that it takes over.",
)
@kept
def command(
    logs: tuple[str, ...],
    keys: tuple[str, ...],
    origin: str | None,
    *,
    state: str,
    first: bool,
    watch: bool,
    note: bool,
    successor: str | None,
) -> Exit:
    """Sign a checkpoint over the records that a log has now.

    LOG is a log's directory or its active file; without it, the log that this environment
    configures. Several logs are signed one after the other, each under its own name. The address of
    a database (postgresql://…) stands for every chain that a service writes there; the checkpoints
    go to its table, and one state file for each chain to the state directory of the user.

    Run it as the user of the service. A log is signed only if it continues what was signed before;
    anything else is an error. Each checkpoint goes to checkpoints.jsonl and into the log.

    The last signed checkpoint is kept in a state file (--state), best where the service cannot
    write. Without that file a log that was signed before is not signed again, unless you give
    --first.

    With --rotate-to the old key signs once more, and then a statement that the new key takes its
    place; from there on only the new one can sign. Whoever has the old verifier key can verify the
    change. In a database the key of every chain of the address is changed; where that failed for
    one, run the same command again.
    """
    if watch and (note or successor):
        raise click.UsageError("--note and --rotate-to make one checkpoint; --watch goes on")
    if len(logs) > 1 and (watch or state or origin or successor):
        raise click.UsageError("--watch, --state, --origin and --rotate-to are for one LOG")
    found = []
    for one in named(logs):
        if is_address(one):
            signer = _rows(one, keys, origin, state, first=first, note=note, successor=successor)
            found.append(signer.watch() if watch else signer.once())
            continue
        log = opened(one, keys, origin, stdout=watch, state=state, first=first, waits=watch)
        try:
            if watch:
                return _watch(log)
            made = _rotate(log, successor, note=note) if successor else _once(log, note=note)
        finally:
            log.emitter.close()
        found.append(made)
    return worst(found)


def _rows(
    where: str,
    keys: tuple[str, ...],
    origin: str | None,
    state: str,
    *,
    first: bool,
    note: bool,
    successor: str | None,
) -> RowsSigner:
    from audit_emit.cli._signed_rows import RowsSigner  # noqa: PLC0415 - an extra

    return RowsSigner(
        where, keys, origin, state=state, first=first, successor=successor or "", note=note
    )


def _once(log: Log, *, note: bool, quiet: bool = False, vkey: bool = True) -> Exit:
    try:
        made = _sign(log, "manual")
    except CheckpointError as error:
        complain(f"no checkpoint was made: {error}")
        return EXITS.get(error.reason, Exit.FINDINGS)
    except SinkError as error:
        complain(
            "it is signed and in checkpoints.jsonl, but the log cannot be written to "
            f"({error.reason}), so the chain does not say so"
        )
        return Exit.INCOMPLETE
    newest = made or log.signer.newest()
    if newest is None:
        complain("there is no record to sign")
        return Exit.NOTHING
    if note:
        print_note(newest, both_signed(log.signer, newest))
        return Exit.OK
    outside = Exit.OK if quiet else brought(Outside(log.signer))
    if not quiet:
        click.echo(shown(newest) if made else f"nothing new since {shown(newest)}")
        if vkey and log.vkey:
            click.echo(f"verifier key {log.vkey}")
    return outside


def _rotate(log: Log, successor: str, *, note: bool) -> Exit:
    new = log.handed_over(successor)
    # The old key signs all records that are there now: after the change it may not sign any more.
    status = _once(log, note=False, quiet=True) or _once(new, note=note, vkey=False)
    if status == Exit.OK and not note:
        click.echo("the log names the new key, signed with the old one, which can sign no more")
        if new.vkey:
            click.echo(new.vkey)
    return status


def _sign(log: Log, reason: str, *, at_least: int = 1, not_within: float = 0) -> Checkpoint | None:
    made = log.signer.run(reason, at_least=at_least, not_within=not_within)
    log.emitter.flush()
    return made


def _watch(log: Log) -> Exit:
    with until_told() as told:
        watcher = Watcher(log)
        while not told:
            pause(told, POLL_SECONDS if watcher.look() else RETRY_SECONDS)
        watcher.attempt("shutdown")
    return Exit.OK


class Watcher:
    """Signs a log as it grows."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._outside = Outside(log.signer)
        self._seen: tuple[int, int] | None = None
        self._next = 0.0

    def look(self) -> bool:
        """Make a checkpoint if one is due, and bring it outside; whether all is well."""
        well = self._signed()
        self._outside.look()
        return well

    def _signed(self) -> bool:
        now = time.monotonic()
        try:
            found = os.stat(self._log.layout.active)
        except OSError:
            return True  # between a rename and a create; or the service has not begun
        before, self._seen = self._seen, (found.st_ino, found.st_size)
        if before is None:
            return self.attempt("startup")
        if before[0] != found.st_ino:
            return self.attempt("rotation")
        if now >= self._next:
            return self.attempt("interval", not_within=INTERVAL_SECONDS / 2)
        return before == self._seen or self.attempt("threshold", at_least=THRESHOLD)

    def attempt(self, reason: str, *, at_least: int = 1, not_within: float = 0) -> bool:
        """Make a checkpoint; what goes wrong is printed."""
        if reason != "threshold":
            self._next = time.monotonic() + INTERVAL_SECONDS
        try:
            made = _sign(self._log, reason, at_least=at_least, not_within=not_within)
        except ConfigError:
            raise
        except (AuditEmitError, SinkError, OSError) as error:
            self._log.emitter.tell(f"checkpoint {error}", f"no checkpoint was made: {error}")
            return False
        if made is not None:
            self._next = time.monotonic() + INTERVAL_SECONDS
            click.echo(shown(made), err=True)
            if reason == "startup" and self._log.vkey:
                click.echo(f"verifier key {self._log.vkey}", err=True)
        return True
