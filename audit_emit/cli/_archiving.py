"""What the commands of the archive have in common: where it is, and an archiver for a log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import click

from audit_emit._facade.archive import (
    NAME,
    Archiver,
    ArchiveSettings,
    Bucket,
    Cold,
    Journal,
    Manifest,
    Record,
    Rows,
    Segments,
    Source,
    archive_settings,
    guard_of,
    readers_of,
    vouched,
)
from audit_emit._facade.queries import LogReader, open_readers
from audit_emit._facade.retention import Holds
from audit_emit._facade.settings import Address, is_address
from audit_emit.cli._command import complain
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import name_of
from audit_emit.cli._recording import recorder_of_rows
from audit_emit.cli._signer import active, emitter_of
from audit_emit.errors import (
    ArchiveError,
    AuditEmitError,
    BusyError,
    ConfigError,
    ObjectStoreError,
    SinkError,
)
from audit_emit.log import KeyRing

to_option = click.option(
    "--archive",
    "archive",
    metavar="ADDRESS",
    default="",
    help="Where the archive is: s3://bucket/prefix.  [default: AUDIT_EMIT_ARCHIVE_URL]",
)
journal_option = click.option(
    "--journal",
    "journal",
    metavar="FILE",
    default="",
    help="The journal of the archiver.  [default: archive.jsonl beside the log]",
)


FAILURES = (ArchiveError, BusyError, ObjectStoreError, SinkError)
"""What ``failed`` tells."""


class Opened(NamedTuple):
    """One log, and what is needed to archive it.

    Attributes:
        name: of the log, as it may be shown.
        archiver: for it.
        journal: of it.
    """

    name: str
    archiver: Archiver
    journal: Journal


def settings_of(archive: str) -> ArchiveSettings:
    """The settings of the archive of this environment, or at an address.

    Raises:
        UsageError: they cannot be used.
    """
    try:
        return archive_settings(os.environ, archive)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def ring_of(keys: Sequence[str]) -> KeyRing:
    """The keys that are given, or those of this environment; the newest one signs.

    Raises:
        ConfigError: there is none.
    """
    ring = KeyRing.from_sources(list(keys), os.environ)
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    return ring


def journal_of(log: str, chain: str = "") -> str:
    """Where a journal is by default: beside the log; for rows in the user's state directory."""
    if not is_address(log):
        return os.path.join(os.path.dirname(str(active(log))), NAME)
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(os.path.abspath(home), "audit_emit", "archive", chain, NAME)


def worker_of(logs: Sequence[str], journal: str, where: str) -> str:
    """The file that has the day that a worker of logs has done; see ``guard_of``."""
    place = os.path.dirname(os.path.abspath(journal) if journal else journal_of(logs[0]))
    return guard_of(place, where, *(name_of(one) for one in logs if is_address(one)))


@contextmanager
def opened(
    log: str,
    keys: Sequence[str],
    settings: ArchiveSettings,
    *,
    journal: str = "",
    stop: Callable[[], bool] = bool,
) -> Iterator[list[Opened]]:
    """The archivers of a log: one, or one for each chain of a database.

    Raises:
        ConfigError: there is no key.
        BusyError: another archiver is at work.
        ObjectStoreError, OSError: something cannot be opened.
    """
    ring = ring_of(keys)
    with ExitStack() as stack:
        bucket = stack.enter_context(Bucket(settings))
        if is_address(log):
            sources: list[tuple[str, str, Source, Record]] = [
                (name, chain, Rows(reader, settings.batch_bytes, ended=record is _nothing), record)
                for name, chain, reader, record in rows_of(log, stack, ended=True)
            ]
            if journal and len(sources) > 1:
                raise click.UsageError("--journal is for one chain; add #service= or #chain=")
        else:
            sources = [_segments(log, stack)]
        found = []
        for name, chain, source, record in sources:
            path = os.path.abspath(journal) if journal else journal_of(log, chain)
            place = os.path.dirname(path)
            os.makedirs(place, mode=0o700, exist_ok=True)
            kept = stack.enter_context(Journal(path, settings.shown))
            holds = partial(holds_of, log, chain, ring)
            archiver = Archiver(bucket, source, ring, kept, record, holds=holds, stop=stop)
            found.append(Opened(name, archiver, kept))
        yield found


def holds_of(log: str, chain: str, ring: KeyRing) -> Holds:
    """The legal holds of a log, or of one chain in a database, as it is now.

    Raises:
        DatabaseError, OSError: it cannot be read.
    """
    place = f"{log.partition('#')[0]}#chain={chain}" if is_address(log) else str(active(log))
    (reader,) = open_readers([place])
    with reader:
        return Holds.of(reader, ring)


def _segments(log: str, stack: ExitStack) -> tuple[str, str, Source, Record]:
    file = active(log)
    (reader,) = readers_of([str(file.parent)])
    stack.enter_context(reader)
    emitter = emitter_of(file, None, stdout=False)
    stack.callback(emitter.close)
    return log, "", Segments(reader, str(file)), emitter.record_own


def rows_of(
    log: str, stack: ExitStack, *, ended: bool = False
) -> Iterator[tuple[str, str, LogReader, Record]]:
    """The live chains at an address: name, id, reader, and a way to append to each.

    Args:
        stack: closes them.
        ended: those that have ended, too; nothing is appended to them.
    """
    from audit_emit._facade.database import (  # noqa: PLC0415 - an extra
        Connection,
        ended_chains,
        live_chains,
    )

    address, chosen = Address.chosen(log)
    connection = Connection(address).begin()
    stack.callback(connection.end)

    def opened_reader(chain: str) -> LogReader:
        (reader,) = open_readers([f"{log.partition('#')[0]}#chain={chain}"])
        return stack.enter_context(reader)

    for one in live_chains(connection, chosen):
        reader = opened_reader(one.name)
        record = recorder_of_rows(address, one.service, one.tenant, stack)
        yield name_of(reader.name), one.name, reader, record
    for one in ended_chains(connection, chosen) if ended else ():
        reader = opened_reader(one.name)
        yield name_of(reader.name), one.name, reader, _nothing


def _nothing(event_type: str, fields: Mapping[str, Any]) -> None:
    """Record nothing: nothing is appended to a chain that has ended."""


def failed(error: AuditEmitError) -> Exit:
    """Print what went wrong; the exit status.

    Raises:
        AuditEmitError: it is none of those that an archive raises.
    """
    if isinstance(error, ObjectStoreError):
        complain(f"{error} ({error.reason})")
        return Exit.NO_ANSWER
    if isinstance(error, ArchiveError):
        complain(f"{error} ({error.reason})")
        return Exit.INCOMPLETE if error.reason == "unconfirmed" else Exit.FINDINGS
    if isinstance(error, BusyError):
        complain(str(error))
        return Exit.INCOMPLETE
    if isinstance(error, SinkError):
        complain(
            f"it is archived, but the log cannot be written to ({error.reason}), so the chain does "
            "not say so; the next run records it"
        )
        return Exit.INCOMPLETE
    raise error


def refuse_unvouched(cold: Cold, ring: KeyRing) -> None:
    """Refuse manifests that are damaged or that no trusted key signed; warn where no key is given.

    Raises:
        ArchiveError: one is. Without its signature nobody knows whose bytes would be fetched, nor
            how many.
    """
    for key, why in cold.wrong:
        raise ArchiveError("manifest", f"{key}: {why}")
    if not ring.keys:
        complain("the manifests were not checked, as no key is given (--key FILE)")
        return
    good = {one.key for one in vouched(cold.manifests, ring)}
    for one in cold.manifests:
        if one.key not in good:
            raise ArchiveError("manifest", f"{one.key}: no key that is given vouches for it")


def batch_of(one: Manifest) -> dict[str, Any]:
    """A batch for programs."""
    return {
        "first_seq": one.first_seq,
        "last_seq": one.last_seq,
        "at": one.at,
        "object": one.key_of(one.object),
        "version": one.object.version,
        "bytes": one.object.size,
        "packed_bytes": one.object.packed_size,
        "manifest": one.key,
        "manifest_sha256": one.digest(),
    }
