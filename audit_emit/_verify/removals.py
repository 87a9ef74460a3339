"""Records that were removed on purpose: where the log begins now, and whether that is signed.

A log may begin after its first record if a record ``audit.pruned`` says so, which a trusted key
signed, about a tree that a checkpoint covers. That record comes later in the log. So the chain is
followed from where it says, and the record is judged when it is reached. Pure, except ``leaves``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from audit_emit._checkpoints.beginning import Start
from audit_emit._format.key_change import Succession, describe_key
from audit_emit._format.line_splitter import split_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import parsed
from audit_emit._format.removal import RECORD, VERSION, Removal
from audit_emit._verify.anchors import TILES, Anchors, Leaves, Resumes
from audit_emit._verify.chain_position import Chain
from audit_emit._verify.findings import Finding, Findings, Kind
from audit_emit._verify.known_heads import FORGED, Checkpoints, Place

Take = Callable[[dict[str, Any], str, int, Place], None]

CARRIED = RECORD
"""The name in findings of lines that a record of a removal carries."""


class Removals:
    """Judges the removals that a log declares, and knows the one that it begins with.

    Args:
        start: the record that says why the log does not begin with its first one.
        leaves: the hashes of the removed records; ``None`` where they are not kept.
        keys, checkpoints, findings: of the verifier.
    """

    def __init__(
        self,
        start: Start | None,
        leaves: Leaves | None,
        keys: Succession,
        checkpoints: Checkpoints,
        findings: Findings,
    ) -> None:
        self.start = start
        self.waiting = start is not None
        """Whether the first record did not come yet."""
        self.last = start.removal.last_seq if start is not None else 0
        """``seq`` of the last record that may be gone."""
        self._leaves = leaves
        self._keys = keys
        self._checkpoints = checkpoints
        self._findings = findings
        self._judged = ""

    def begin(self, block: bytes, chain: Chain, anchors: Anchors, take: Take) -> None:
        """Look for the first record in a block of whole lines, and begin there.

        If a removal was interrupted, the files may begin earlier than it says; these records are
        followed up to the last removed one.

        Args:
            take: called with each removed record that the removal carries, and that still counts.
        """
        link = next(filter(None, map(link_of, split_lines(block))), None)
        if link is None or self.start is None:
            return
        self.waiting = False
        removal = self.start.removal
        for number, line in enumerate(removal.lines(), 1):
            record, place = parsed(line), link_of(line)
            if record is not None and place is not None:
                take(record, removal.chain, int(place[2]), Place(CARRIED, 0, number))
        tree = Resumes(removal.last_seq, removal.last_hash, removal.tree)
        try:
            anchors.begin_after(tree, removal.chain, self._leaves)
        except LookupError as error:
            note = "the hashes of removed records, which stay when the records go, are missing"
            self._findings.add(Finding(Kind.MISSING_SEGMENT, str(error.args[0]), note=note))
        if self._is_left(link, removal):
            chain.begin(link)
            return
        chain.go_on(removal.chain, removal.last_seq, removal.last_hash)
        anchors.resume(TILES, removal.chain, removal.last_hash)

    def _is_left(self, link: re.Match[bytes], removal: Removal) -> bool:
        return link[1].decode() == removal.chain and 1 < int(link[2]) <= removal.last_seq

    def take(self, fields: Mapping[str, Any], chain: str, seq: int, place: Place) -> None:
        """A record ``audit.pruned``, whose hash and link hold."""
        version = fields.get("v")
        if type(version) is int and version > VERSION:
            note = f"a removal of version {version}, which was not checked"
            self._findings.add(place.finding(Kind.KEY_UNAVAILABLE, seq, note=note))
            return
        is_start = self.start is not None and seq == self.start.record.seq
        why = self._refused(fields, chain, seq)
        if why:
            note = f"a removal of records: {why}"
            kind = Kind.CHECKPOINT_SIGNATURE_MISMATCH
            self._findings.add(place.finding(kind, seq, note=note))
            return
        verdict = Removal.of(fields).check(self._keys.ring)
        if is_start and self.start is not None:
            self._judged = verdict
            if verdict == "ok" or not self._keys.ring.keys:
                self._tell(self.start, place)
            if verdict != "ok" and not self._keys.ring.keys:
                note = f"record {seq} says that records were removed; its signature was not checked"
                self._findings.add(place.finding(Kind.KEY_UNAVAILABLE, seq, note=note))

    def _tell(self, start: Start, place: Place) -> None:
        removal, record = start.removal, start.record
        note = (
            f"records 1 to {removal.last_seq} were removed, as record {record.seq} of {record.ts} "
            f"says ({removal.reason}); checkpoint {removal.size} covers them"
        )
        self._findings.add(place.finding(Kind.PRUNED, removal.last_seq + 1, note=note))

    def _refused(self, fields: Mapping[str, Any], chain: str, seq: int) -> str:
        """Why a removal is not one, whoever signed it; empty where it may be."""
        try:
            removal = Removal.of(fields)
        except ValueError as error:
            return str(error)
        name = (removal.sig_alg, removal.key_id)
        if removal.chain != chain or removal.size >= seq:
            return "it is about another chain, or about records that come after it"
        if removal.check(self._keys.ring) == "mismatch":
            return f"{describe_key(name)} did not sign it"
        retired = self._keys.retired(name, removal.origin)
        if retired is not None and retired.seq <= seq:
            return f"record {retired.seq} retired {describe_key(name)}"
        return self._not_covered(removal, seq) if self._checkpoints.file else ""

    def _not_covered(self, removal: Removal, seq: int) -> str:
        """Why the checkpoints do not confirm the removal; empty where they do."""
        wanted = {"root_hash": removal.root_hash}
        like = self._checkpoints.like(removal.size, removal.chain, wanted)
        if not any(one.state != FORGED and one.head == removal.head_hash for one in like):
            return f"checkpoint {removal.size}, under which it was made, is not there"
        name = (removal.sig_alg, removal.key_id)
        if not self._checkpoints.newest_before(seq, name):
            return f"the newest checkpoint before it is not by {describe_key(name)}"
        return ""

    def end(self, *, to_the_end: bool) -> None:
        """The log is at its end: report a beginning that no record declared.

        Args:
            to_the_end: all of the log was read.
        """
        if self.start is None or self._judged == "ok" or not to_the_end:
            return
        if self._judged and not self._keys.ring.keys:
            return
        seq, last = self.start.record.seq, self.start.removal.last_seq
        why = f"{'no trusted key signed' if self._judged else 'nothing declares'} their removal"
        note = f"records 1 to {last} are gone, and {why} (record {seq})"
        self._findings.add(Finding(Kind.MISSING_SEGMENT, TILES, seq=1, note=note))
