"""The rules by which the lines of a log are judged, one by one or proved in blocks.

Pure: no I/O, no clock. What is checked, and what each finding means, is docs/wire-format.md,
sections 2 to 7. The rules:

1. A record is judged by its own bytes first. One whose hash is wrong was changed: none of its other
   members counts, and its successor may link to the hash it states or to the one it has.
2. A record whose hash is right is judged by its link. A hole is reported where it ends; a record
   of another chain, or one that was there before, is reported and skipped.
3. A line that is no record is only reported when no ``audit.recovered`` declares its bytes. A
   record that is not in the chain is one of these, unless it is older than the chain and whoever
   verifies, or a signed record, says so.
4. ``ts`` is not judged: wall clocks step back, and records that had to wait keep their own.
5. A checkpoint is compared with the root over the bytes that were read, never over stated hashes.
6. A key is trusted because it was pinned, or because a trusted key that was not retired by then
   signed its name. A change of key is looked at before the checkpoints that cover it.
7. With a key, it is a finding when no signature is near enough to the end of the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from audit_emit._checkpoints.beginning import Start
from audit_emit._format.block import Proof
from audit_emit._format.key_change import Succession
from audit_emit._format.line_splitter import TooLong
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


class Expected(NamedTuple):
    """What a log must agree with.

    Attributes:
        ring: pinned keys. Without the key of a checkpoint its signature is not checked.
        heads: ``hash`` by ``seq``, kept elsewhere.
        chain: the id that the log's chain must have; empty when any will do.
        origin: that its checkpoints must have, with the chain or without it; the same.
        legacy: up to where records need not be chained.
        from_seq: the chain is verified from this record on, and lines before it are skipped.
        since: the same by ``ts``, as records have it.
        ends_early: the verifier gets less than the whole log: its end is left out.
        strict: a record must also be JSON with the members of a record. Without it, a line whose
            hash and link are right is accepted as it is.
        whole: the verifier gets all files of the log, so that checkpoints that the chain declares
            must be among them.
        demand: the requirements for the newest signature, if there are keys; ``None``: none.
        kept: see ``Kept``; ``None``: declared bytes may be in files that are not read.
        start, leaves: why it does not begin with its first record; see ``Removals``.
    """

    ring: KeyRing = KeyRing()
    heads: Mapping[int, str] = {}
    chain: str = ""
    origin: str = ""
    legacy: Boundary = Boundary()
    from_seq: int = 0
    since: str = ""
    ends_early: bool = False
    strict: bool = False
    whole: bool = False
    demand: Demand | None = None
    kept: Kept | None = None
    start: Start | None = None
    leaves: Leaves | None = None


class Cursor:
    """The position of the verifier in the files of a log.

    Attributes:
        file: the name of the file.
        offset: in it.
        line: how many lines are before that.
        before: bytes of the files before this one.
    """

    def __init__(self) -> None:
        self.file = ""
        self.offset = self.line = self.before = 0

    def begin(self, file: str) -> None:
        """Another file follows."""
        self.before += self.offset
        self.file, self.offset, self.line = file, 0, 0

    def move(self, size: int, lines: int = 1) -> None:
        """Move on by a number of bytes and lines."""
        self.offset += size
        self.line += lines

    @property
    def place(self) -> Place:
        """Of the line that begins here."""
        return Place(self.file, self.offset, self.line + 1)


class Judge:
    """Compares the lines of a log with what is expected, and collects findings.

    Args:
        expected: what the log must agree with.

    Attributes:
        cursor: where the next line begins.
        partial: only a part of the log is looked at.

    Raises:
        ValueError: ``expected.heads`` holds something else.
    """

    def __init__(self, expected: Expected) -> None:
        self.cursor: Cursor = Cursor()
        self.findings: Findings = Findings()
        keys = Succession(expected.ring)
        self.checkpoints: Checkpoints = Checkpoints(keys, self.findings, expected.origin)
        self.begin: Beginning = Beginning(expected.from_seq, expected.since)
        self.partial: bool = self.begin.waiting or expected.ends_early
        self._strict = expected.strict
        self._to_the_end = not expected.ends_early
        self._has_keys = bool(keys.ring.keys)
        self._demand = expected.demand if self._has_keys and not self.partial else None
        self.anchors: Anchors = Anchors(
            self.checkpoints,
            self.findings,
            expected.heads,
            self._anchored,
            whole=not self.begin.waiting,
            to_the_end=self._to_the_end,
        )
        self.fragments: Fragments = Fragments(self.findings)
        self._legacy = Legacy(self.findings, expected.legacy)
        self.removals: Removals = Removals(
            expected.start, expected.leaves, keys, self.checkpoints, self.findings
        )
        self._declared = Declarations(
            keys,
            self.checkpoints,
            self.fragments,
            self._legacy,
            self.findings,
            removals=self.removals,
            whole=expected.whole,
            kept=None if self.begin.waiting else expected.kept,
        )
        self.chain: Chain = Chain(self.anchors, self.findings, self._accept, expected.chain)
        self._watch: Watch | None = None
        self._tail = Tail()
        self._records = 0
        self._in_file = 0

    @property
    def watch(self) -> Watch | None:
        """Which records are counted; no checkpoint may be added after this is read."""
        if self._demand is not None and self._watch is None:
            self._watch = Watch.at(self._demand.as_of, self.checkpoints.newest())
        return self._watch

    def new_file(self, file: str) -> None:
        """The lines of another file follow."""
        self.cursor.begin(file)
        self._in_file = 0

    # What is shown.

    def block(self, proof: Proof, size: int) -> None:
        """A block of ``size`` bytes that was proved and links to the head."""
        at = self.cursor
        self.chain.settle(at.file)
        for own in proof.own:
            # Before the marks: a change of key counts for the checkpoints that cover it.
            place = Place(at.file, at.offset + own.offset, at.line + own.row + 1)
            record = parsed(own.line)
            if record is not None:
                self._declared.take(record, proof.chain, proof.seq + own.row, place)
        for mark in proof.marks:
            self.anchors.extend(mark.nodes)
            self._tail = self._tail.join(mark.tail)
            self.anchors.reached(at.file, proof.chain, mark.seq, mark.hash, ts=mark.ts)
        self.chain.move(proof)
        self._records += proof.records
        self._in_file += proof.records
        at.move(size, proof.records)

    def first_block(self, block: bytes) -> None:
        """Find out from the first lines whether the records before them were removed."""
        if self.removals.waiting:
            self.removals.begin(block, self.chain, self.anchors, self._declared.take)

    def plain(self, lines: bytes) -> None:
        """Lines that are no records at first sight."""
        at = self.cursor
        self.fragments.add_many(at.file, at.offset, at.line + 1, self.chain.expected, lines)
        at.move(len(lines), lines.count(b"\n"))

    def too_long(self, line: TooLong) -> None:
        """A line of which only its size and its hash are kept."""
        note = f"a line of {line.size} bytes"
        finding = self.cursor.place.finding(
            Kind.MALFORMED_LINE, self.chain.expected, note=note, size=line.size
        )
        self.fragments.add_hashed(finding, line.size, line.hashed)
        self.cursor.move(line.size + 1)

    def line(self, line: bytes) -> None:
        """One line, without its newline."""
        place, link = self.cursor.place, link_of(line)
        if link is None:
            self._unlinked(line, place)
            return
        chain, seq = link[1].decode(), int(link[2])
        prev_hash, stated = link[3].decode(), link[4].decode()
        leaf = leaf_of(line)
        row, self._in_file = self._in_file, self._in_file + 1
        self._records += 1
        step = Step(place, Branch(chain, seq, stated), leaf, line)
        if leaf.hex() != stated:
            self.chain.changed(step, prev_hash)
        else:
            self.chain.goes_on(step, prev_hash, first=not row)

    def finish(self, ranks: Mapping[str, int]) -> Report:
        """Compare the end with checkpoints and heads, and give the verdict.

        Args:
            ranks: the files in their order.
        """
        at = self.cursor
        head = self.chain.end(at.file)
        newest = self.anchors.newest
        anchored = newest.seq if newest else 0
        self.fragments.flush(anchored)
        last = self.begin.passed if self.begin.waiting else head
        self.anchors.end(at.file, last.chain, last.seq)
        self.removals.end(to_the_end=self._to_the_end)
        self._legacy.end(anchored, keys=self._has_keys, chained=bool(self._records))
        if self._records:
            self._declared.end(demanded=self._demand is not None)
        else:
            self.checkpoints.settle()
            self.findings.add(Finding(Kind.NOTHING_FOUND, at.file, note=self._nothing()))
        verdict = Verdict(self.anchors, self._declared.policy, self._tail, self._demand)
        if self._records:
            verdict.judge(self.findings)
        return verdict.report(
            self.findings,
            ranks,
            head,
            records=self._records,
            legacy=self._legacy.records,
            unclaimed=self._legacy.unclaimed,
            first=self.chain.first,
            checkpoints=len(self.checkpoints),
            partial=self.partial,
        )

    # What follows from a line.

    def _accept(self, step: Step) -> None:
        """A record of the chain, whose hash and link hold."""
        seq = step.record.seq
        self.anchors.append(step.leaf)
        self._look_inside(step)
        if self.watch is not None and seq > self.watch.after:
            self._tail = self._tail.join(self.watch.tail([step.line]))
        self.anchors.reached(
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
        """Check the content of a record whose hash is right: is it JSON, and a declaration?"""
        place, seq = step.place, step.record.seq
        record = parsed(step.line)
        if record is None or not isinstance(record.get("event_type"), str):
            if self._strict:
                note = "its hash is right, but it is no record"
                self.findings.add(place.finding(Kind.MALFORMED_LINE, seq, note=note))
            return
        version = record.get("v")
        if type(version) is not int or version != VERSION:
            self.findings.add(
                place.finding(Kind.UNKNOWN_VERSION, seq, expected=VERSION, actual=short(version))
            )
        elif record["event_type"].startswith("audit."):
            self._declared.take(record, step.record.chain, seq, place)

    def _unlinked(self, line: bytes, place: Place) -> None:
        """A line without the members of a chain."""
        end = self.cursor.before + self.cursor.offset + len(line) + 1
        finding = self._legacy.look(line, place, self.chain.expected, end)
        if finding is not None:
            self.fragments.add(finding, line)

    def _nothing(self) -> str:
        if self._legacy.records:
            return "none of the records is chained"
        return "no record in the range asked for" if self.partial else "no records"


def leaf_of(line: bytes) -> bytes:
    """The hash of a record, which is that of its leaf in the tree."""
    return sha256(b"\0" + line[:-HASH_MEMBER] + b"}").digest()
