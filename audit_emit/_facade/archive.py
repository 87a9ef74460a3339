"""Archiving logs in an object store, for commands. Needs boto3 (extra ``s3``) once it is used."""

from __future__ import annotations

from audit_emit._archive.daily import (
    JITTER_SECONDS,
    LONGEST_SLEEP,
    due,
    hour_of,
    pause_after,
    seconds_until,
    utc,
)
from audit_emit._archive.guard import guard_of, note, noted
from audit_emit._archive.inspection import WARNINGS, Inspection, Issue, Wanted
from audit_emit._archive.journal import NAME, Journal, entries_of, manifests_of
from audit_emit._archive.keeping import keep
from audit_emit._archive.parquet import write_parquet
from audit_emit._archive.pruning import ArchivePruner, prune_rows
from audit_emit._archive.restoring import restore
from audit_emit._archive.run import Archiver, Done
from audit_emit._archive.sources import Rows, Segments, Source
from audit_emit._archive.state import DECLARED, trusted_in_store
from audit_emit._checkpoints.checkpointer import Record
from audit_emit._format.manifest import Manifest, newest_record_at, with_records
from audit_emit._format.record import parsed
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import Cold, cold_logs
from audit_emit._readers.archived.vouching import vouched
from audit_emit._readers.files.opening import readers_of
from audit_emit._settings.archive import ArchiveSettings, archive_settings

__all__ = [
    "DECLARED",
    "JITTER_SECONDS",
    "LONGEST_SLEEP",
    "NAME",
    "WARNINGS",
    "ArchivePruner",
    "ArchiveSettings",
    "Archiver",
    "Bucket",
    "Cold",
    "Done",
    "Inspection",
    "Issue",
    "Journal",
    "Manifest",
    "Record",
    "Rows",
    "Segments",
    "Source",
    "Wanted",
    "archive_settings",
    "cold_logs",
    "due",
    "entries_of",
    "guard_of",
    "hour_of",
    "keep",
    "manifests_of",
    "newest_record_at",
    "note",
    "noted",
    "parsed",
    "pause_after",
    "prune_rows",
    "readers_of",
    "restore",
    "seconds_until",
    "trusted_in_store",
    "utc",
    "vouched",
    "with_records",
    "write_parquet",
]
