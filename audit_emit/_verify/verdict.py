"""The verdict on one log: whether it is anchored as demanded, and the report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import structs

from audit_emit._format.key_change import describe_key
from audit_emit._format.unanchored import SECOND, Demand, Policy, Tail, Times, moment
from audit_emit._verify.anchors import CHECKPOINTS, Anchors
from audit_emit._verify.chain_position import Branch
from audit_emit._verify.findings import TAMPERED, Finding, Findings, Kind, Report


class Verdict(NamedTuple):
    """The state of the log at its end, and what is required of it.

    Attributes:
        anchors: the newest signature.
        policy: how often the log is signed, as far as a signature covers that.
        tail: the records after the newest signature.
        demand: the requirements for that signature; ``None``: none.
    """

    anchors: Anchors
    policy: Policy
    tail: Tail
    demand: Demand | None

    def judge(self, findings: Findings) -> None:
        """Report a requirement that is not met, unless another finding explains it."""
        if self.demand is None or not TAMPERED.isdisjoint(findings.counts):
            return
        newest = self.anchors.newest
        if newest is None:
            note = "a key is given, and no checkpoint that it signed holds for this log"
            findings.add(Finding(Kind.NOT_ANCHORED, CHECKPOINTS, note=note))
            return
        notes = "; ".join(self.demand.unmet(self.policy, self._counted(), self._signed()))
        if notes:
            findings.add(Finding(Kind.NOT_ANCHORED, CHECKPOINTS, seq=newest.seq, note=notes))

    def _counted(self) -> Times:
        return self.tail.counted(self.anchors.checkpoints_from_newest())

    def _signed(self) -> str:
        """The earliest time at which the newest checkpoint can have been signed.

        If its own time is not signed, that of the last record that it covers is.
        """
        newest = self.anchors.newest
        if newest is not None and newest.time:
            return moment(newest.time * SECOND)
        return self.anchors.newest_ts

    def report(
        self,
        findings: Findings,
        ranks: Mapping[str, int],
        head: Branch,
        *,
        records: int,
        legacy: int,
        first: int,
        checkpoints: int,
        unclaimed: tuple[int, str] | None,
        partial: bool,
    ) -> Report:
        """The report.

        Args:
            findings: see ``Report``, as are the others.
            ranks: the order of the files.
            head: the end of the chain.
        """
        newest = self.anchors.newest
        kept = sorted(
            map(self._between, findings.kept),
            key=lambda f: (ranks.get(f.file, len(ranks)), f.offset if f.offset is not None else -1),
        )
        return Report(
            tuple(kept),
            dict(findings.counts),
            head.chain,
            records,
            legacy,
            first,
            head.seq if records else 0,
            head.hashes[0] if records else "",
            checkpoints,
            newest.seq if newest else 0,
            newest.at if newest else "",
            describe_key(newest.key) if newest else "",
            newest.time if newest else 0,
            self._counted().events,
            newest.origin if newest else "",
            newest.root if newest else "",
            self._demanded(),
            unclaimed,
            partial,
        )

    def _between(self, finding: Finding) -> Finding:
        """The finding, with the checkpoints between which its record lies."""
        if finding.record is None or finding.seq is None:
            return finding
        return structs.replace(finding, between=self.anchors.around(finding.seq))

    def _demanded(self) -> str:
        if self.demand is None:
            return ""
        many = self.demand.max_unanchored
        age = self.demand.max_age
        return (
            f"at most {self.policy.every if many is None else many} records that are not signed, "
            f"none for more than {self.policy.interval if age is None else age:g} s"
        )
