"""``audit-emit archive hold`` and ``release``: what nothing removes, here or in the archive."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import click

from audit_emit._facade.archive import ArchiveSettings, Bucket, Record, keep, trusted_in_store
from audit_emit._facade.queries import LogReader, open_readers
from audit_emit._facade.records import ts_of
from audit_emit._facade.retention import (
    HOLD,
    PLACED,
    RELEASED,
    Hold,
    Holds,
    hold_fields,
    locked,
)
from audit_emit._facade.settings import is_address
from audit_emit._facade.text import visible
from audit_emit._facade.verdicts import Options, verify_log
from audit_emit.cli._archiving import FAILURES, failed, rows_of, settings_of, to_option
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._command import Command, complain
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._keys import pinned_keys
from audit_emit.cli._logs import SEQ, logs_argument, named
from audit_emit.cli._redacting import recorded
from audit_emit.cli._signer import active, durable
from audit_emit.errors import ArchiveError, ConfigError, RetentionError
from audit_emit.log import KeyRing

LONGEST = 500
"""Characters of a name, and of a reason."""

_STATUSES = {
    Exit.OK: "done",
    Exit.FINDINGS: "done, except for objects of the archive that no trusted manifest names",
    Exit.USAGE: "usage, there is no such hold, or no key for the archive",
    Exit.NOTHING: "there is no log",
    Exit.INCOMPLETE: "another process works on the log, nothing could be written into it, or it "
    "does not verify",
    Exit.NO_ANSWER: "the object store does not answer; the log has recorded it, run it again",
}


class _Held(NamedTuple):
    """A chain, and what is needed to put a hold on it."""

    name: str
    reader: Callable[[], LogReader]
    record: Record


@click.command(
    "hold",
    cls=Command,
    statuses=_STATUSES,
    examples=[
        "audit-emit archive hold case-2026-17 /var/log/audit-emit/shop --reason 'case 2026-17'",
        "audit-emit archive hold case-2026-17 --first-seq 9000 --last-seq 12000",
    ],
)
@click.argument("name", metavar="NAME")
@logs_argument
@click.option("--first-seq", type=SEQ, default=1, help="From this record on.")
@click.option("--last-seq", type=SEQ, help="Up to this record.  [default: all]")
@click.option("--reason", default="", help="Why, for people; it is recorded in the log.")
@to_option
@pinned_keys
def hold(
    name: str,
    logs: tuple[str, ...],
    *,
    first_seq: int,
    last_seq: int | None,
    reason: str,
    archive: str,
    keys: tuple[str, ...],
) -> Exit:
    """Put a legal hold on records: nothing removes them, here or in the archive.

    The hold is recorded in the chain (audit.hold), and set on every object of the archive that has
    such records, where the bucket supports that. Objects that are archived later get it, too. Run
    the command again to set it on objects that do not have it yet. archive release lifts it.
    """
    if not name or (last_seq is not None and last_seq < first_seq):
        raise click.UsageError("a hold needs a NAME, and a --last-seq that is not before the first")
    name, reason = recorded(name, "NAME"), recorded(reason, "--reason")
    if len(name) > LONGEST or len(reason) > LONGEST:
        # Removals carry the records of holds on, and have room for 56 KiB of them.
        raise click.UsageError(f"NAME and --reason have at most {LONGEST} characters")
    made = Hold(name, first_seq, last_seq, reason, ts_of(time.time_ns()))
    return _changed(named(logs), PLACED, made, archive, keys)


@click.command(
    "release",
    cls=Command,
    statuses=_STATUSES,
    examples=["audit-emit archive release case-2026-17 /var/log/audit-emit/shop"],
)
@click.argument("name", metavar="NAME")
@logs_argument
@to_option
@pinned_keys
def release(name: str, logs: tuple[str, ...], *, archive: str, keys: tuple[str, ...]) -> Exit:
    """Lift a legal hold, here and on the objects of the archive, unless another one is on them."""
    return _changed(named(logs), RELEASED, Hold(name), archive, keys)


def _changed(
    logs: Sequence[str], action: str, hold: Hold, archive: str, keys: Sequence[str]
) -> Exit:
    settings = None
    ring = KeyRing.from_sources(list(keys))
    if archive or os.environ.get("AUDIT_EMIT_ARCHIVE_URL"):
        settings = settings_of(archive)
        if not ring.keys:
            why = "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE; manifests of the"
            raise ConfigError("key", f"{why} archive are not believed without")
    statuses = []
    for log in logs:
        try:
            with _opened(log) as found:
                for one in found:
                    _change(one, action, hold, settings, ring)
            statuses.append(Exit.OK)
        except FAILURES as error:
            statuses.append(failed(error))
        except RetentionError as error:
            complain(str(error))
            statuses.append(Exit.INCOMPLETE)
    return worst(statuses)


@contextmanager
def _opened(log: str) -> Iterator[list[_Held]]:
    """The chains of a log, while nothing is removed of it."""
    with ExitStack() as stack:
        if is_address(log):
            yield [
                _Held(name, lambda reader=reader: reader, record)  # type: ignore[misc]
                for name, _, reader, record in rows_of(log, stack)
            ]
            return
        file = active(log)
        stack.enter_context(locked(str(file.parent)))
        emitter = durable(file)
        stack.callback(emitter.close)
        yield [_Held(log, lambda: open_readers([str(file)])[0], emitter.record_own)]


def _change(
    one: _Held, action: str, hold: Hold, settings: ArchiveSettings | None, ring: KeyRing
) -> None:
    """Record it in the chain, unless it is recorded already, then change the objects to match.

    Raises:
        UsageError: there is no such hold, or another one of this name.
        ArchiveError: see ``_on_objects``.
        RetentionError: a hold is to be released, and the log does not verify.
    """
    with one.reader() as reader:
        holds, first = Holds.of(reader, ring), reader.bounds().first
    if action == RELEASED and not holds.named(hold.name):
        hold = hold._replace(name=recorded(hold.name, "NAME"))  # as the chain has it
    there = holds.named(hold.name)
    if action == PLACED and any(map(hold.differs, there)):
        raise click.UsageError(f"there is another hold {visible(hold.name)}; release it")
    if action == RELEASED and not there and hold.name not in holds.released:
        raise click.UsageError(f"there is no hold {visible(hold.name)}")
    if action == RELEASED and settings is not None:
        _refuse_tampered(one, ring)
    wanted = [hold] if action == PLACED else there
    if (action == PLACED) != bool(there):
        where = settings.shown if settings is not None else ""
        one.record(HOLD, hold_fields(action, wanted[0], where))
    objects = 0
    if settings is not None and first is not None:
        with one.reader() as reader:
            holds = Holds.of(reader, ring)
        objects = _on_objects(first.chain, holds, settings, ring, free=action == RELEASED)
    for each in wanted or [hold]:
        last = each.last_seq if each.last_seq is not None else "the end"
        click.echo(
            visible(
                f"{action}  {each.name}: records {each.first_seq} to {last} of {one.name}, "
                f"{objects} objects of the archive changed"
            )
        )


def _refuse_tampered(one: _Held, ring: KeyRing) -> None:
    """Refuse to release objects where the log that says so does not verify.

    Raises:
        RetentionError: it does not.
    """
    with one.reader() as reader:
        report = verify_log(reader, Options(ring=ring)).report
    if report.tampered:
        why = "the log does not verify, so nothing is freed on its word; see: audit-emit verify"
        raise RetentionError("tampered", why)


def _on_objects(
    chain: str, holds: Holds, settings: ArchiveSettings, ring: KeyRing, *, free: bool
) -> int:
    """Set and lift holds on the objects of the archive, as the chain says; how many changed.

    Args:
        free: whether holds may be lifted, too.

    Raises:
        ArchiveError: no trusted key vouches for a manifest; its objects stayed as they were.
    """
    with Bucket(settings) as bucket, on_terminal("holding", "batches") as bar:
        manifests, wrong = trusted_in_store(bucket, chain, ring)
        changed = keep(bucket, manifests, holds, bar, free=free)
    if wrong:
        why = f"{wrong[0]}: no key that is given vouches for it; its objects stayed as they were"
        raise ArchiveError("manifest", why)
    return changed
