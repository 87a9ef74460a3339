"""Plans the repair of a damaged log: bytes that are not a record may be moved aside, nothing else.

Pure: a plan follows from a report, and ``apply`` carries it out. A record is never changed, removed
or given a new hash. The same holds for a line that may have been a record, because a record is
missing at its place. Hash mismatches, holes and contradicting checkpoints stay as they are, too.
"""

from __future__ import annotations

import msgspec

from audit_emit._verify.findings import TAMPERED, Finding, Kind, Report

_HOLES = frozenset({Kind.SEQUENCE_GAP, Kind.MISSING_SEGMENT})


class Quarantine(msgspec.Struct, frozen=True):
    """Bytes that are to be moved to ``quarantine/``.

    Attributes:
        file: the name of the segment.
        offset: the offset of the first byte.
        size: the number of bytes, with the newlines between the lines but without the last one.
        line: the number of the first line, from 1.
        lines: the number of lines.
    """

    file: str
    offset: int
    size: int
    line: int
    lines: int = 1


class Plan(msgspec.Struct, frozen=True):
    """What can be repaired, and what cannot.

    Attributes:
        actions: what to do, in the order of the files.
        left: the findings that no repair may remove.
    """

    actions: tuple[Quarantine, ...]
    left: tuple[Finding, ...]


def plan_repair(report: Report, *, keep: frozenset[str] = frozenset()) -> Plan:
    """Plan the repair of a log.

    Args:
        report: the report on the whole log, with all its segments.
        keep: files that must not be changed: packed ones, and those without records.
    """
    destroyed = {finding.expected for finding in report.findings if finding.kind in _HOLES}
    actions: list[Quarantine] = []
    left: list[Finding] = []
    for finding in report.findings:
        made = None if finding.file in keep or finding.seq in destroyed else _action(finding)
        if made is not None:
            _join(actions, made)
        elif finding.kind in TAMPERED or finding.kind is Kind.TORN_TAIL:
            left.append(finding)
    return Plan(tuple(actions), tuple(left))


def _action(finding: Finding) -> Quarantine | None:
    if finding.kind not in {Kind.MALFORMED_LINE, Kind.TORN_TAIL} or finding.size is None:
        return None
    if finding.offset is None or finding.line is None:
        return None
    return Quarantine(finding.file, finding.offset, finding.size, finding.line)


def _join(actions: list[Quarantine], made: Quarantine) -> None:
    """Add an action, or extend the previous one if they are adjacent."""
    last = actions[-1] if actions else None
    if last is None or last.file != made.file or last.offset + last.size + 1 != made.offset:
        actions.append(made)
        return
    size = last.size + 1 + made.size
    actions[-1] = Quarantine(last.file, last.offset, size, last.line, last.lines + 1)
