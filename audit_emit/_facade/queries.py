"""Asking logs and Loki, and the lines of logs as they are, for commands.

From Python: ``open_log(…).query(…)`` and ``.records()``.
"""

from __future__ import annotations

from audit_emit._checkpoints.prove import find_record
from audit_emit._query.patterns import checked
from audit_emit._query.question import ESCAPED, Question, Term
from audit_emit._query.search import (
    Answer,
    ask_log,
    ask_loki,
    count_log,
    lines_in,
    lines_of,
    look_for_parts,
)
from audit_emit._query.times import EXAMPLES as TIME_EXAMPLES
from audit_emit._query.times import instant, span
from audit_emit._readers.base import MISSING, Flaw, LogReader, PagingReader
from audit_emit._readers.files.growing import newest_first
from audit_emit._readers.opening import away_files, away_reader, open_reader, open_readers
from audit_emit._readers.typed import records_of
from audit_emit._readers.whole_lines import whole_lines_of

__all__ = [
    "ESCAPED",
    "MISSING",
    "TIME_EXAMPLES",
    "Answer",
    "Flaw",
    "LogReader",
    "PagingReader",
    "Question",
    "Term",
    "ask_log",
    "ask_loki",
    "away_files",
    "away_reader",
    "checked",
    "count_log",
    "find_record",
    "instant",
    "lines_in",
    "lines_of",
    "look_for_parts",
    "newest_first",
    "open_reader",
    "open_readers",
    "records_of",
    "span",
    "whole_lines_of",
]
