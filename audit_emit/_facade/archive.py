"""Archiving logs in an object store, for commands. Needs boto3 (extra ``s3``) once it is used."""

from __future__ import annotations

from audit_emit._archive.inspection import WARNINGS, Inspection, Issue, Wanted
from audit_emit._archive.journal import NAME, Journal, entries_of, manifests_of
from audit_emit._archive.restoring import restore
from audit_emit._archive.run import RECORD, Archiver, Done
from audit_emit._archive.sources import Rows, Segments, Source
from audit_emit._checkpoints.checkpointer import Record
from audit_emit._format.manifest import Manifest
from audit_emit._format.record import parsed
from audit_emit._objects.bucket import Bucket
from audit_emit._readers.archived.manifests import Cold, cold_logs
from audit_emit._readers.files.opening import readers_of
from audit_emit._settings.archive import ArchiveSettings, archive_settings

__all__ = [
    "NAME",
    "RECORD",
    "WARNINGS",
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
    "entries_of",
    "manifests_of",
    "parsed",
    "readers_of",
    "restore",
]
