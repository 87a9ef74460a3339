"""Opens the reader for a log: the only place that interprets the name of a log."""

from __future__ import annotations

from collections.abc import Sequence

from audit_emit._readers.base import LogReader
from audit_emit._readers.files.logfiles import Log, LogFile
from audit_emit._readers.files.opening import readers_of
from audit_emit._readers.files.reader import FilesReader
from audit_emit._settings.address import is_address
from audit_emit._settings.archive import is_archive
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import ConfigError


def open_readers(where: Sequence[str], ring: KeyRing | None = None) -> list[LogReader]:
    """The logs that are named, each to be closed.

    Args:
        where: a path (a directory or an active segment stands for its whole log; single segments,
            packed or not, with their checkpoints or without, make up one log more), or ``-`` for
            standard input; or ``postgresql://…``, which stands for all chains there, with
            ``#service=``, ``#tenant=`` or ``#chain=`` for some; or ``s3://bucket/prefix``, which
            adds what is archived to the logs that are named beside it, or stands for all chains
            that are archived there.
        ring: the trusted keys; ``None`` for those of this environment. If there are any, objects
            of an archive whose manifest none of them has signed are fetched up to a bound.

    Raises:
        DatabaseError: a database cannot be asked.
        ObjectStoreError: an object store gives no answer.
        ConfigError: an address cannot be used, or psycopg is missing.
        FileNotFoundError: there is nothing.
        OSError: it cannot be read.
        UnsupportedError: it is packed in a way that cannot be read here.
    """
    addresses = [one for one in where if is_address(one)]
    archives = [one for one in where if is_archive(one)]
    paths = [one for one in where if not is_address(one) and not is_archive(one)]
    readers: list[LogReader] = []
    if paths or not (addresses or archives):
        readers += readers_of(paths)
    if addresses:
        # Only for those who need it.
        from audit_emit._readers.postgres import reader as postgres  # noqa: PLC0415

        try:
            for address in addresses:
                readers += postgres.readers_of(address)
        except BaseException:
            _close(readers)
            raise
    if archives:
        from audit_emit._readers.archived.opening import joined  # noqa: PLC0415 - as above

        try:
            # A caller that names no keys gets those of the environment, as every command does.
            ring = KeyRing.from_sources([]) if ring is None else ring
            readers = joined(readers, archives, ring)
        except BaseException:
            _close(readers)
            raise
    return readers


def away_files(where: Sequence[str], ring: KeyRing | None = None) -> list[LogFile]:
    """The files of logs that are only in an archive, oldest first; see ``open_readers``."""
    files: list[LogFile] = []
    for reader in open_readers(where, ring):
        files += getattr(reader, "away", [])
        reader.close()
    return files


def away_reader(where: Sequence[str], ring: KeyRing | None = None) -> LogReader:
    """The same as a log of its own."""
    return FilesReader(Log(" ".join(where), away_files(where, ring), ""))


def _close(readers: Sequence[LogReader]) -> None:
    for reader in readers:
        reader.close()


def open_reader(*where: str, ring: KeyRing | None = None) -> LogReader:
    """The one log that is named, with its archive if that is named, too; see ``open_readers``.

    Raises:
        ConfigError: there are several chains at an address.
    """
    readers = open_readers(where, ring)
    if len(readers) == 1:
        return readers[0]
    names = ", ".join(reader.name.rpartition("#")[2] for reader in readers[:5])
    _close(readers)
    raise ConfigError(
        "where",
        f"{len(readers)} chains are there; add #service=, #tenant= or #chain= for one ({names})",
    )
