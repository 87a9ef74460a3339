"""What the environment configures, and the address of a database, for commands and adapters."""

from __future__ import annotations

from audit_emit._runtime.compiled import STALE, SWITCH, state
from audit_emit._settings.address import Address, is_address, scheme_of
from audit_emit._settings.archive import check_address, is_archive
from audit_emit._settings.checks import SETTINGS, STDERR
from audit_emit._settings.settings import PREFIX, passed_over, settings, system_directory

__all__ = [
    "PREFIX",
    "SETTINGS",
    "STALE",
    "STDERR",
    "SWITCH",
    "Address",
    "check_address",
    "is_address",
    "is_archive",
    "passed_over",
    "scheme_of",
    "settings",
    "state",
    "system_directory",
]
