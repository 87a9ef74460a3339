"""What may be done about a damaged log: bytes that are no record may be moved aside, no more.

Pure: a plan follows from a report, and ``repairing`` carries it out. A record is never changed,
dropped or hashed anew, and neither is what may have been one: a line in whose place a record is
missing stays where it is, as do hash mismatches, holes and checkpoints that disagree.
"""

from __future__ import annotations

import msgspec

from audit_emit._verify.findings import TAMPERED, Finding, Kind, Report

_HOLES = frozenset({Kind.SEQUENCE_GAP, Kind.MISSING_SEGMENT})


class Quarantine(msgspec.Struct, frozen=True):
    """Bytes that are to be moved aside.

    Attributes:
        file: the name of the segment.
        offset: of the first byte.
        size: in bytes, with the newlines between the lines, without the last one.
        line: number of the first line.
        lines: how many there are.
    """

    file: str
    offset: int
    size: int
    line: int
    lines: int = 1


class Plan(msgspec.Struct, frozen=True):
    """What to do, and what nobody may mend.

    Attributes:
        actions: in the order of the files.
        left: findings that stay as they are.
    """

    actions: tuple[Quarantine, ...]
    left: tuple[Finding, ...]


def plan_repair(report: Report, *, keep: frozenset[str] = frozenset()) -> Plan:
    """The plan for a log.

    Args:
        report: of the whole log, with all its segments.
        keep: files that are left alone: packed ones, and those that hold no records.
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
    """Add an action, as part of the one before if they touch."""
    last = actions[-1] if actions else None
    if last is None or last.file != made.file or last.offset + last.size + 1 != made.offset:
        actions.append(made)
        return
    size = last.size + 1 + made.size
    actions[-1] = Quarantine(last.file, last.offset, size, last.line, last.lines + 1)
