"""Records in the formats of other systems, for commands."""

from __future__ import annotations

from audit_emit._export.exporter import Piece, exported
from audit_emit._export.formats import MODULES, Format, chosen
from audit_emit._export.formats.csv import COLUMNS, Column, Mark, members
from audit_emit._export.formats.csv import Format as Table
from audit_emit._export.formats.ecs import INDEX_TEMPLATE
from audit_emit._export.formats.ocsf import VERSIONS
from audit_emit._export.record import Record
from audit_emit._export.resumable import ResumableFile
from audit_emit._export.sealed import Reading

__all__ = [
    "COLUMNS",
    "INDEX_TEMPLATE",
    "MODULES",
    "VERSIONS",
    "Column",
    "Format",
    "Mark",
    "Piece",
    "Reading",
    "Record",
    "ResumableFile",
    "Table",
    "chosen",
    "exported",
    "members",
]
