"""The verifier: a state machine that is fed with the bytes of a log, file by file.

Pure: no I/O, no clock; ``logfiles`` reads. What is checked, and what each finding means, is
docs/wire-format.md, sections 2 to 7. The rules of this file:

1. A record is judged by its own bytes first. One whose hash is wrong was changed: nothing else that
   it says is believed, and its successor may link to the hash it states or to the one it has.
2. A record whose hash is right is judged by its link. A hole is reported where it ends; a record
   of another chain, or one that was there before, is reported and passed over.
3. A line that is no record is only reported when no ``audit.recovered`` declares its bytes. A
   record that is not in the chain is one of these, unless it is older than the chain and whoever
   verifies, or a signed record, says so.
4. ``ts`` is not judged: wall clocks step back, and records that had to wait keep their own.
5. A checkpoint is compared with the root over the bytes that were read, never over stated hashes.
6. A key is trusted because it was pinned, or because a trusted key that was not retired by then
   signed its name. A change of key is looked at before the checkpoints that cover it.
7. Whoever has a key is told when no signature is near enough to the end of the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from audit_emit._checkpoints.beginning import Start
from audit_emit._format.block import Proof, prove
from audit_emit._format.key_change import Succession
from audit_emit._format.line_splitter import Lines, TooLong
from audit_emit._format.link import HASH_MEMBER, TS, link_of
from audit_emit._format.record import VERSION, parsed
from audit_emit._format.unanchored import Demand, Tail, Watch
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._verify.anchors import Anchors, Leaves
from audit_emit._verify.chain_position import Branch, Chain, Step
from audit_emit._verify.declarations import Declarations, Kept, short
from audit_emit._verify.findings import Finding, Findings, Kind, Report
from audit_emit._verify.fragments import Fragments
from audit_emit._verify.known_heads import Checkpoints, Place
from audit_emit._verify.legacy import Boundary, Legacy
from audit_emit._verify.removals import Removals
from audit_emit._verify.starting_point import Beginning
from audit_emit._verify.verdict import Verdict
from audit_emit.errors import VerificationError

__all__ = ["Boundary", "Demand", "Finding", "Kind", "Report", "VerificationError", "Verifier"]

Record = dict[str, Any]
_PLAIN = re.compile(rb'(?:[^\n]{0,22}\n|[^\n{]*(?<!"\})\n){1,4096}')
"""Lines that are no records at first sight: shorter than any, or neither the beginning of an
object nor the end of a chain's link."""


class Verifier:
    """Follows one chain through its files.

    Call ``checkpoints.add`` for every checkpoint first; then for every file, oldest first,
    ``begin``, ``feed`` and ``end``; then ``finish``.

    Args:
        ring: pinned keys. Without the key of a checkpoint its signature is not checked.
        heads: ``hash`` by ``seq``, noted down elsewhere.
        chain: the id that the log's chain must have; empty when any will do.
        origin: that its checkpoints must have, with the chain or without it; the same.
        legacy: up to where records need not be chained.
        from_seq: the chain is followed from this record on, and what is before it not looked at.
        since: the same by ``ts``, as records have it.
        ends_early: what is fed ends before the log does.
        strict: a record must also be JSON that has the members of one. Without it, a line whose
            hash and link hold is taken for what it was when it was written.
        whole: what is fed is all that is there of the log: checkpoints that the chain declares
            should be among it.
        demand: what is demanded of the newest signature, if there are keys; ``None``: nothing.
        kept: see ``Kept``; ``None``: what the log declares may be elsewhere.
        start, leaves: why it does not begin with its first record; see ``Removals``.

    Raises:
        ValueError: ``heads`` holds something else.
    """

    def __init__(
        self,
        ring: KeyRing | None = None,
        *,
        heads: Mapping[int, str] | None = None,
        chain: str = "",
        origin: str = "",
        legacy: Boundary = Boundary(),  # noqa: B008 - immutable
        from_seq: int = 0,
        since: str = "",
        ends_early: bool = False,
        strict: bool = False,
        whole: bool = False,
        demand: Demand | None = None,
        kept: Kept | None = None,
        start: Start | None = None,
        leaves: Leaves | None = None,
    ) -> None:
        self.strict = strict
        self.findings: Findings = Findings()
        keys = Succession(ring or KeyRing())
        self.checkpoints: Checkpoints = Checkpoints(keys, self.findings, origin)
        self._begin = Beginning(from_seq, since)
        self._to_the_end = not ends_early
        self._partial = self._begin.waiting or ends_early
        self._has_keys = bool(keys.ring.keys)
        self._demand = demand if self._has_keys and not self._partial else None
        self._anchors = Anchors(
            self.checkpoints,
            self.findings,
            heads or {},
            self._anchored,
            whole=not self._begin.waiting,
            to_the_end=self._to_the_end,
        )
        self._fragments = Fragments(self.findings)
        self._legacy = Legacy(self.findings, legacy)
        self._removals = Removals(start, leaves, keys, self.checkpoints, self.findings)
        self._declared = Declarations(
            keys,
            self.checkpoints,
            self._fragments,
            self._legacy,
            self.findings,
            removals=self._removals,
            whole=whole,
            kept=None if self._begin.waiting else kept,
        )
        self._chain = Chain(self._anchors, self.findings, self._accept, chain)
        self._watch: Watch | None = None
        self._tail = Tail()
        self._records = 0
        self._ranks: dict[str, int] = {}
        self._file = ""
        self._offset = self._line = self._in_file = self._before = 0
        # All lines before are judged by then: a line that is too long goes on with their hash.
        self._lines = Lines(lambda: self._fragments.hash_at(self._file, self._offset))

    @property
    def watch(self) -> Watch | None:
        """Which records are counted; no checkpoint is added once this is asked for."""
        if self._demand is not None and self._watch is None:
            self._watch = Watch.at(self._demand.as_of, self.checkpoints.newest())
        return self._watch

    @property
    def named(self) -> Sequence[int]:
        """See ``Anchors``."""
        return self._anchors.named

    @property
    def wants_tree(self) -> bool:
        """See ``Anchors``."""
        return self._anchors.wants_tree

    @property
    def inside_line(self) -> bool:
        """Whether what was fed so far ends inside a line."""
        return self._lines.inside

    # What is fed.

    def begin(self, file: str) -> None:
        """The lines of another file follow."""
        self._ranks.setdefault(file, len(self._ranks))
        self._before += self._offset
        self._file = file
        self._offset = self._line = self._in_file = 0

    def feed(self, data: bytes) -> None:
        """Take bytes of the file, cut anywhere."""
        for part in self._lines.feed(data):
            if isinstance(part, TooLong):
                self._too_long(part)
            else:
                self._block(part)

    def absorb(self, proof: Proof, size: int) -> bool:
        """Take a block of the file that was proved elsewhere, instead of its bytes.

        Args:
            proof: made with ``named`` and ``wants_tree``.
            size: bytes of the block.

        Returns:
            Whether that was possible; if not, ``feed`` takes the block.
        """
        if self._lines.inside or self._partial or not self._chain.continues(proof):
            return False
        self._take(proof, size)
        return True

    def end(self) -> None:
        """The file is at its end; what has no newline is torn."""
        place = Place(self._file, self._offset, self._line + 1)
        line, length = self._lines.rest()
        if not length:
            return
        size: int | None = length
        link = link_of(line)
        note = f"{size} bytes without their end"
        expected = self._chain.expected
        if link is not None and _leaf(line).hex() == link[4].decode():
            self._any(line)
            note, size = "a whole record that lacks only its newline", None
        elif self._begin.waiting:
            return
        self.findings.add(place.finding(Kind.TORN_TAIL, expected, note=note, size=size))

    def damaged(self, note: str, *, cut: bool) -> None:
        """The file cannot be read on from here: it is packed, and damaged or cut off."""
        place = Place(self._file, self._offset, self._line + 1)
        kind = Kind.TORN_TAIL if cut else Kind.MALFORMED_LINE
        self._add(place, kind, self._chain.expected, note=note)
        self._lines.rest()

    def missing(self, file: str, note: str) -> None:
        """A file that should be there is not."""
        self._ranks.setdefault(file, len(self._ranks))
        self.findings.add(Finding(Kind.MISSING_SEGMENT, file, note=note))

    def finish(self) -> Report:
        """Compare with what the witnesses say of the end, and give the verdict."""
        head = self._chain.end(self._file)
        newest = self._anchors.newest
        anchored = newest.seq if newest else 0
        self._fragments.flush(anchored)
        last = self._begin.passed if self._begin.waiting else head
        self._anchors.end(self._file, last.chain, last.seq)
        self._removals.end(to_the_end=self._to_the_end)
        self._legacy.end(anchored, keys=self._has_keys, chained=bool(self._records))
        if self._records:
            self._declared.end(demanded=self._demand is not None)
        else:
            self.checkpoints.settle()
            self.findings.add(Finding(Kind.NOTHING_FOUND, self._file, note=self._nothing()))
        verdict = Verdict(self._anchors, self._declared.policy, self._tail, self._demand)
        if self._records:
            verdict.judge(self.findings)
        return verdict.report(
            self.findings,
            self._ranks,
            head,
            records=self._records,
            legacy=self._legacy.records,
            unclaimed=self._legacy.unclaimed,
            first=self._chain.first,
            checkpoints=len(self.checkpoints),
            partial=self._partial,
        )

    # Blocks of lines.

    def _too_long(self, line: TooLong) -> None:
        place = Place(self._file, self._offset, self._line + 1)
        note = f"a line of {line.size} bytes"
        finding = place.finding(
            Kind.MALFORMED_LINE, self._chain.expected, note=note, size=line.size
        )
        self._fragments.add_hashed(finding, line.size, line.hashed)
        self._offset += line.size + 1
        self._line += 1

    def _block(self, block: bytes) -> None:
        if self._begin.waiting:
            block = self._pass_over(block)
        if not block:
            return
        if self._removals.waiting:
            self._removals.begin(block, self._chain, self._anchors, self._declared.take)
        proof = self._prove(block)
        if proof is not None and self._chain.continues(proof):
            self._take(proof, len(block))
            return
        start = 0
        while start < len(block):
            plain = _PLAIN.match(block, start)
            if plain is not None:
                self._plain(plain[0])
                start = plain.end()
                continue
            stop = block.index(b"\n", start)
            self._any(block[start:stop])
            self._offset += stop + 1 - start
            self._line += 1
            start = stop + 1

    def _pass_over(self, block: bytes) -> bytes:
        """What is left of a block from the first record on that was asked for."""
        size, link = self._begin.look(block)
        self._offset += size
        self._line += block.count(b"\n", 0, size)
        if link is not None:
            self._chain.begin(link)
        return block[size:]

    def _prove(self, block: bytes) -> Proof | None:
        return prove(block, self.named, tree=self.wants_tree, strict=self.strict, watch=self.watch)

    def _plain(self, lines: bytes) -> None:
        expected = self._chain.expected
        self._fragments.add_many(self._file, self._offset, self._line + 1, expected, lines)
        self._offset += len(lines)
        self._line += lines.count(b"\n")

    def _take(self, proof: Proof, size: int) -> None:
        """Move on by a block that links to the head."""
        self._chain.settle(self._file)
        for own in proof.own:
            # Before the marks: a change of key counts for the checkpoints that cover it.
            place = Place(self._file, self._offset + own.offset, self._line + own.row + 1)
            record = parsed(own.line)
            if record is not None:
                self._declared.take(record, proof.chain, proof.seq + own.row, place)
        for mark in proof.marks:
            self._anchors.extend(mark.nodes)
            self._tail = self._tail.join(mark.tail)
            self._anchors.reached(self._file, proof.chain, mark.seq, mark.hash, ts=mark.ts)
        self._chain.move(proof)
        self._records += proof.records
        self._in_file += proof.records
        self._offset += size
        self._line += proof.records

    # One line at a time.

    def _any(self, line: bytes) -> None:
        """Judge one line by itself."""
        place = Place(self._file, self._offset, self._line + 1)
        link = link_of(line)
        if link is None:
            self._unlinked(line, place)
            return
        chain, seq = link[1].decode(), int(link[2])
        prev_hash, stated = link[3].decode(), link[4].decode()
        leaf = _leaf(line)
        row, self._in_file = self._in_file, self._in_file + 1
        self._records += 1
        step = Step(place, Branch(chain, seq, stated), leaf, line)
        if leaf.hex() != stated:
            self._chain.changed(step, prev_hash)
        else:
            self._chain.goes_on(step, prev_hash, first=not row)

    def _accept(self, step: Step) -> None:
        """A record of the chain, whose hash and link hold."""
        seq = step.record.seq
        self._anchors.append(step.leaf)
        self._look_inside(step)
        if self.watch is not None and seq > self.watch.after:
            self._tail = self._tail.join(self.watch.tail([step.line]))
        self._anchors.reached(
            step.place.file,
            step.record.chain,
            seq,
            *step.record.hashes,
            ts=step.line[TS].decode("latin-1"),
        )

    def _anchored(self, seq: int) -> None:
        """A signature covers the chain up to here."""
        self._tail = Tail()
        self._declared.anchored(seq)

    def _look_inside(self, step: Step) -> None:
        """A record whose hash is right: written by a writer, but by which one?"""
        place, seq = step.place, step.record.seq
        record = parsed(step.line)
        if record is None or not isinstance(record.get("event_type"), str):
            if self.strict:
                note = "its hash is right, but it is no record"
                self._add(place, Kind.MALFORMED_LINE, seq, note=note)
            return
        version = record.get("v")
        if type(version) is not int or version != VERSION:
            self._add(place, Kind.UNKNOWN_VERSION, seq, expected=VERSION, actual=short(version))
        elif record["event_type"].startswith("audit."):
            self._declared.take(record, step.record.chain, seq, place)

    def _unlinked(self, line: bytes, place: Place) -> None:
        """A line without the members of a chain."""
        end = self._before + self._offset + len(line) + 1
        finding = self._legacy.look(line, place, self._chain.expected, end)
        if finding is not None:
            self._fragments.add(finding, line)

    def _nothing(self) -> str:
        if self._legacy.records:
            return "none of the records is chained"
        return "no record in the range asked for" if self._partial else "no records"

    def _add(
        self, place: Place, kind: Kind, seq: int | None = None, **more: str | int | None
    ) -> None:
        self.findings.add(place.finding(kind, seq, **more))


def _leaf(line: bytes) -> bytes:
    return sha256(b"\0" + line[:-HASH_MEMBER] + b"}").digest()
