"""Marks on records from verifying their log: ``query --verified`` and ``tail --verified``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import click

from audit_emit._facade.records import link_of
from audit_emit._facade.verdicts import Options, verify_paths
from audit_emit.cli import _marks
from audit_emit.cli._bar import on_terminal
from audit_emit.cli._keys import key_option
from audit_emit.cli._logs import grouped
from audit_emit.cli._marks import DOES_NOT_VERIFY, NOT_ANCHORED
from audit_emit.errors import UnsupportedError
from audit_emit.log import KeyRing, Kind, Report

_OF_RECORDS = frozenset(
    {
        Kind.EVENT_HASH_MISMATCH,
        Kind.EVENT_PREV_HASH_MISMATCH,
        Kind.SEQUENCE_GAP,
        Kind.SEQUENCE_DUPLICATE,
        Kind.CHAIN_ID_MISMATCH,
        Kind.MISSING_SEGMENT,
    }
)
"""Kinds of findings that are about the one record that they name."""

Mark = Callable[[bytes], str]


def verified_option(function: Callable[..., object]) -> Callable[..., object]:
    """``--verified`` and the keys for it."""
    function = key_option("With --verified: a pinned key")(function)
    return click.option(
        "--verified", is_flag=True, help="Verify the log first, and mark records that fail."
    )(function)


def judged(
    logs: Sequence[str], keys: Sequence[str], *, verified: bool
) -> tuple[Mark, bool, KeyRing | None]:
    """Verify logs, if that is asked for.

    Returns:
        What marks a record of one of them, whether one was tampered with, and the keys for it.

    Raises:
        OSError: a file cannot be read.
        ConfigError: a key is none.
    """
    if not verified:
        return _marks.mark, False, None
    ring = KeyRing.from_sources(list(keys), os.environ)
    try:
        with on_terminal("verifying") as bar:
            options = Options(ring=ring, progress=bar)
            found = [one for log in grouped(logs) for one in verify_paths(log, options)]
    except UnsupportedError as error:
        raise click.UsageError(str(error)) from None
    each = [marks(one.report) for one in found]

    def mark(line: bytes) -> str:
        # A record holds if it does in one of the logs: it is a record of that one.
        return min((one(line) for one in each), key=len)

    return mark, any(one.report.tampered for one in found), ring


def marks(report: Report) -> Mark:
    """What marks a record of a log on which this is the verdict; empty for one that holds."""
    told = [finding for finding in report.findings if finding.kind in _OF_RECORDS]
    places = {finding.seq for finding in told}
    all_told = len(told) == sum(report.counts.get(kind, 0) for kind in _OF_RECORDS)

    def mark(line: bytes) -> str:
        first = _marks.mark(line)
        link = link_of(line)
        if first or link is None:
            return first
        seq = int(link[2])
        if link[1].decode() != report.chain or seq in places or not all_told:
            return DOES_NOT_VERIFY
        return "" if seq <= report.anchored_seq else NOT_ANCHORED

    return mark
