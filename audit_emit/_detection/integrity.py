"""The findings of ``verify`` as alerts: only it judges tampering and gaps. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from audit_emit._detection.alert import TAMPERED, Alert
from audit_emit._format.printable import visible
from audit_emit._verify.findings import TAMPERED as KINDS
from audit_emit._verify.findings import Finding, Report

_TAGS = ("attack.impact", "attack.t1565.001")


def integrity_alerts(report: Report) -> Iterator[Alert]:
    """One alert for each kind of finding that no writer leaves behind, with all its records.

    Args:
        report: the verdict on the log.
    """
    kinds: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.kind in KINDS:
            kinds.setdefault(finding.kind, []).append(finding)
    for kind, found in kinds.items():
        seqs = tuple(sorted({one.seq for one in found if one.seq}))
        # What was tampered with may say anything, half a surrogate pair, too, which is in no file.
        times = sorted(
            visible(one.record["ts"]) for one in found if one.record and "ts" in one.record
        )
        first = found[0]
        note = f": {first.note}" if first.note else ""
        place = f"{first.file} line {first.line or 0}"
        count = report.counts.get(kind, len(found))
        yield Alert(
            rule=TAMPERED,
            title="Log Does Not Verify",
            level="critical",
            chain=report.chain,
            seqs=seqs,
            group={"kind": str(kind)},
            first_ts=times[0] if times else "",
            last_ts=times[-1] if times else "",
            reason=visible(f"{count} {kind}, the first in {place}{note}"),
            tags=_TAGS,
            unnamed=count - len(found),
        )
