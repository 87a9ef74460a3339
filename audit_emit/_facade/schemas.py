"""Declared events, and what does not fit them, for commands."""

from __future__ import annotations

from audit_emit._declared.files import differing, write
from audit_emit._declared.found import declared
from audit_emit._declared.in_log import LogCheck
from audit_emit._declared.in_source import Mistake, SourceCheck, check_source
from audit_emit._declared.page import as_data, ocsf_places, page
from audit_emit._schemas.schema import Schemas

__all__ = [
    "LogCheck",
    "Mistake",
    "Schemas",
    "SourceCheck",
    "as_data",
    "check_source",
    "declared",
    "differing",
    "ocsf_places",
    "page",
    "write",
]
