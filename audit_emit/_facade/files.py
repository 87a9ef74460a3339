"""Where the files of a log are, and writing to others, for the commands that are about files."""

from __future__ import annotations

from audit_emit._readers.files.logfiles import LogFile, is_segment_alone
from audit_emit._readers.files.opening import is_directory, layout_of
from audit_emit._runtime.files import naming, write_all
from audit_emit._stores.jsonl.directory import Layout

__all__ = [
    "Layout",
    "LogFile",
    "is_directory",
    "is_segment_alone",
    "layout_of",
    "naming",
    "write_all",
]
