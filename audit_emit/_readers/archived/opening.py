"""The logs that the address of an archive names, joined with what is on the disk of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from audit_emit._readers.archived.fetching import bucket_of
from audit_emit._readers.archived.manifests import Cold, chosen, cold_logs
from audit_emit._readers.archived.reader import ArchivedReader
from audit_emit._readers.base import LogReader
from audit_emit._readers.files.reader import FilesReader
from audit_emit._settings.archive import archive_settings
from audit_emit._signing.trusted_keys import KeyRing


def joined(
    readers: Sequence[LogReader], addresses: Sequence[str], ring: KeyRing
) -> list[LogReader]:
    """Logs, each joined with its part in an archive.

    Without a log on the disk, every chain at an address is a log. With logs on the disk, only their
    chains are read from the archive.

    Args:
        readers: of the logs on the disk.
        addresses: ``s3://bucket/prefix``, with ``#service=`` or ``#chain=`` for some.
        ring: the keys that are given; see ``Vouching``.

    Raises:
        ConfigError: an address or a setting of the archive cannot be used.
        FileNotFoundError: there is nothing at an address.
        ObjectStoreError: the store gives no answer.
    """
    colds: dict[str, Cold] = {}
    for address in addresses:
        place, wanted = chosen(address)
        found = cold_logs(bucket_of(archive_settings(os.environ, place)), wanted)
        if not found:
            raise FileNotFoundError(2, "nothing is archived there", place)
        colds |= {cold.chain: cold for cold in found}
    if not readers:
        return [ArchivedReader(cold, ring=ring) for cold in colds.values()]
    return [_with(reader, colds, ring) for reader in readers]


def _with(reader: LogReader, colds: dict[str, Cold], ring: KeyRing) -> LogReader:
    if isinstance(reader, FilesReader):
        first = reader.bounds().first
        cold = colds.get(first.chain) if first is not None else None
        return reader if cold is None else ArchivedReader(cold, reader, ring=ring)
    # psycopg is there, as a chain of a database is; for files it need not be.
    from audit_emit._readers.archived.rows import ArchivedRows  # noqa: PLC0415
    from audit_emit._readers.postgres.reader import PostgresReader  # noqa: PLC0415

    if not isinstance(reader, PostgresReader) or reader.chain not in colds:
        return reader
    return ArchivedRows(colds[reader.chain], reader, ring)
