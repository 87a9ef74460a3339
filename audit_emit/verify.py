"""The verifier: a state machine that is fed with the bytes of a log, file by file.

Pure: no I/O, no clock; ``logfiles`` reads. What is checked, and what each finding means, is
docs/wire-format.md, sections 2 to 7. The rules of this file:

1. A record is judged by its own bytes first. One whose hash is wrong was changed: nothing else that
   it says is believed, and its successor may link to the hash it states or to the one it has.
2. A record whose hash is right is judged by its link. A hole is reported where it ends; a record
   of another chain, or one that was there before, is reported and passed over.
3. A line that is no record is only reported when no ``audit.recovered`` declares its bytes.
4. ``ts`` is not judged: wall clocks step back, and records that had to wait keep their own.
5. A checkpoint is compared with the root over the bytes that were read, never over stated hashes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from audit_emit._findings import Finding, Findings, Kind, Report, VerificationError
from audit_emit._fragments import Fragments, fields_of
from audit_emit._proof import ERRORS, HASH_MEMBER, Proof, link_of, prove
from audit_emit._witness import FORGED, OK, Checkpoints, Place, Witness, parse_heads
from audit_emit.chain import ZERO, Frontier
from audit_emit.record import VERSION
from audit_emit.signing import KeyRing

__all__ = ["Finding", "Kind", "Report", "VerificationError", "Verifier"]

MAX_LINE = 1024 * 1024
"""Bytes; a record has at most 64 KiB."""

_TS = slice(7, 37)
_ANY = msgspec.json.Decoder(dict[str, Any])


class Branch:
    """The end of a piece of chain: what its next record must say."""

    __slots__ = ("chain", "hashes", "seq")

    def __init__(self, chain: str, seq: int, *hashes: str) -> None:
        self.chain = chain
        self.seq = seq
        self.hashes = hashes

    def precedes(self, chain: str, seq: int, prev_hash: str) -> bool:
        """Whether a record with these members is the next one."""
        return (
            seq == self.seq + 1
            and prev_hash in self.hashes
            and (not self.chain or chain == self.chain)
        )


class Verifier:
    """Follows one chain through its files.

    Call ``checkpoints.add`` for every checkpoint first; then for every file, oldest first,
    ``begin``, ``feed`` and ``end``; then ``finish``.

    Args:
        ring: pinned keys. Without the key of a checkpoint its signature is not checked.
        heads: ``hash`` by ``seq``, noted down elsewhere.
        from_seq: the chain is followed from this record on, and what is before it not looked at.
        since, until: the same by ``ts``, as records have it; both ends belong to the range.
        strict: a record must also be JSON that has the members of one. Without it, a line whose
            hash and link hold is taken for what it was when it was written.

    Raises:
        ValueError: ``heads`` holds something else.
    """

    def __init__(
        self,
        ring: KeyRing | None = None,
        *,
        heads: Mapping[int, str] | None = None,
        from_seq: int = 0,
        since: str = "",
        until: str = "",
        strict: bool = False,
    ) -> None:
        self.strict = strict
        self.findings = Findings()
        self.checkpoints = Checkpoints(ring or KeyRing(), self.findings)
        self.done = False
        """``until`` is reached: nothing that is fed from now on is looked at."""
        self._heads = dict(parse_heads(heads or {}))
        self._from_seq = from_seq
        self._since = since
        self._until = until
        self._waiting = from_seq > 1 or bool(since)
        self._partial = self._waiting or bool(until)
        self._named: Sequence[int] | None = None
        self._head = Branch("", 0, ZERO)
        self._before: Branch | None = None
        self._unsure: bytes | None = None
        self._tree: Frontier | None = None
        self._records = self._legacy = self._first = 0
        self._anchor: Witness | None = None
        self._fragments = Fragments(self.findings)
        self._ranks: dict[str, int] = {}
        self._file = ""
        self._offset = self._line = self._in_file = 0
        self._rest: list[bytes] = []
        self._long: Any = None
        self._long_size = 0

    @property
    def named(self) -> Sequence[int]:
        """``seq`` of every record that a checkpoint or a head names, ascending.

        No checkpoint is added once this is asked for.
        """
        if self._named is None:
            sizes = self.checkpoints.sizes()
            self._named = sorted({*sizes, *self._heads}) if self._heads else sizes
            self._tree = Frontier() if len(sizes) and not self._waiting else None
        return self._named

    @property
    def wants_tree(self) -> bool:
        """Whether roots are compared, so that proofs must hash the tree."""
        return bool(len(self.named)) and self._tree is not None

    @property
    def inside_line(self) -> bool:
        """Whether what was fed so far ends inside a line."""
        return bool(self._long_size) and not self.done

    # What is fed.

    def begin(self, file: str) -> None:
        """The lines of another file follow."""
        self._ranks.setdefault(file, len(self._ranks))
        self._file = file
        self._offset = self._line = self._in_file = 0

    def feed(self, data: bytes) -> None:
        """Take bytes of the file, cut anywhere."""
        if self.done:
            return
        cut = data.rfind(b"\n") + 1
        if cut and (self._rest or self._long is not None):
            first = data.find(b"\n") + 1
            self._close_line(data[:first])
            data, cut = data[first:], cut - first
        if cut:
            self._block(data[:cut])
        if cut < len(data):
            self._keep(data[cut:])

    def absorb(self, proof: Proof, size: int) -> bool:
        """Take a block of the file that was proved elsewhere, instead of its bytes.

        Args:
            proof: made with ``named`` and ``wants_tree``.
            size: bytes of the block.

        Returns:
            Whether that was possible; if not, ``feed`` takes the block.
        """
        if self._rest or self._long is not None or self._partial or not self._follows(proof):
            return False
        self._take(proof, size)
        return True

    def end(self) -> None:
        """The file is at its end; what has no newline is torn."""
        place = Place(self._file, self._offset, self._line + 1)
        line = b"".join(self._rest)
        size: int | None = self._long_size or len(line)
        self._rest, self._long, self._long_size = [], None, 0
        if not size or self.done:
            return
        link = link_of(line)
        note = f"{size} bytes without their end"
        expected = self._head.seq + 1
        if link is not None and _leaf(line).hex() == link[4].decode():
            self._any(line)
            note, size = "a whole record that lacks only its newline", None
        elif self._waiting:
            return
        self.findings.add(place.finding(Kind.TORN_TAIL, expected, note=note, size=size))

    def damaged(self, note: str, *, cut: bool) -> None:
        """The file cannot be read on from here: it is packed, and damaged or cut off."""
        place = Place(self._file, self._offset, self._line + 1)
        kind = Kind.TORN_TAIL if cut else Kind.MALFORMED_LINE
        self._add(place, kind, self._head.seq + 1, note=note)
        self._rest, self._long, self._long_size = [], None, 0

    def missing(self, file: str, note: str) -> None:
        """A file that should be there is not."""
        self._ranks.setdefault(file, len(self._ranks))
        self.findings.add(Finding(Kind.MISSING_SEGMENT, file, note=note))

    def finish(self) -> Report:
        """Compare with what the witnesses say of the end, and give the verdict."""
        self._settle()
        self._fragments.flush()
        self._compare_end()
        if not self._records:
            self.findings.add(Finding(Kind.NOTHING_FOUND, self._file, note=self._nothing()))
        ranks = self._ranks
        kept = sorted(
            self.findings.kept,
            key=lambda f: (ranks.get(f.file, len(ranks)), f.offset if f.offset is not None else -1),
        )
        anchor = self._anchor
        return Report(
            tuple(kept),
            dict(self.findings.counts),
            self._head.chain,
            self._records,
            self._legacy,
            self._first,
            self._head.seq if self._records else 0,
            self._head.hashes[0] if self._records else "",
            len(self.checkpoints),
            anchor.seq if anchor else 0,
            anchor.at if anchor else "",
            self._partial,
        )

    # Blocks of lines.

    def _keep(self, data: bytes) -> None:
        """Keep the beginning of a line; of one that is too long only what is needed to tell."""
        self._rest.append(data)
        self._long_size += len(data)
        if self._long_size > MAX_LINE:
            if self._long is None:
                self._long = sha256()
            self._long.update(b"".join(self._rest))
            self._rest = []

    def _close_line(self, data: bytes) -> None:
        rest, long, size = self._rest, self._long, self._long_size
        self._rest, self._long, self._long_size = [], None, 0
        if long is None:
            self._block(b"".join([*rest, data]))
            return
        long.update(data[:-1])
        size += len(data) - 1
        place = Place(self._file, self._offset, self._line + 1)
        finding = place.finding(
            Kind.MALFORMED_LINE, self._head.seq + 1, note=f"a line of {size} bytes", size=size
        )
        self._fragments.add_long(finding, size, long.hexdigest())
        self._offset += size + 1
        self._line += 1

    def _block(self, block: bytes) -> None:
        if self._waiting or self._until:
            block = self._in_range(block)
        if not block:
            return
        proof = prove(block, self.named, tree=self.wants_tree, strict=self.strict)
        if proof is not None and self._follows(proof):
            self._take(proof, len(block))
            return
        start = 0
        while start < len(block):
            stop = block.index(b"\n", start)
            self._any(block[start:stop])
            self._offset += stop + 1 - start
            self._line += 1
            start = stop + 1

    def _in_range(self, block: bytes) -> bytes:
        """What is left of a block between the first and the last record that were asked for."""
        start = 0
        while start < len(block) and not self.done:
            stop = block.index(b"\n", start)
            line = block[start:stop]
            link = link_of(line)
            if link is not None and self._waiting and self._begins(line, int(link[2])):
                self._waiting = False
                self._start_at(link)
                block = block[start:]
                start, stop = 0, stop - start
            if self._waiting:
                self._offset += stop + 1 - start
                self._line += 1
            elif link is not None and self._until and line[_TS].decode("latin-1") > self._until:
                self.done = True
                return block[:start]
            elif not self._until:
                return block
            start = stop + 1
        return b"" if self._waiting else block

    def _begins(self, line: bytes, seq: int) -> bool:
        return seq >= self._from_seq and line[_TS].decode("latin-1") >= self._since

    def _start_at(self, link: Any) -> None:
        """Begin in the middle of a chain: the first record's own link is believed."""
        self._head = Branch(link[1].decode(), int(link[2]) - 1, link[3].decode())

    def _follows(self, proof: Proof) -> bool:
        return self._head.precedes(proof.chain, proof.seq, proof.prev_hash)

    def _take(self, proof: Proof, size: int) -> None:
        """Move on by a block that links to the head."""
        self._confirm()
        self._head = Branch(proof.chain, proof.seq - 1, proof.prev_hash)
        for mark in proof.marks:
            if self._tree is not None:
                self._tree.extend(mark.nodes)
            self._reached(mark.seq, mark.hash)
        last = proof.marks[-1]
        self._head = Branch(proof.chain, last.seq, last.hash)
        self._first = self._first or proof.seq
        self._records += proof.records
        self._in_file += proof.records
        for own in proof.own:
            place = Place(self._file, self._offset + own.offset, self._line + own.row + 1)
            self._told(own.line, proof.seq + own.row, place)
        self._offset += size
        self._line += proof.records

    # One line at a time.

    def _any(self, line: bytes) -> None:
        """Judge one line by itself."""
        place = Place(self._file, self._offset, self._line + 1)
        link = link_of(line)
        try:
            record: dict[str, Any] | None = _ANY.decode(line)
        except ERRORS:
            record = None
        if link is None:
            self._unlinked(line, record, place)
            return
        chain, seq = link[1].decode(), int(link[2])
        prev_hash, stated = link[3].decode(), link[4].decode()
        leaf = _leaf(line)
        self._records += 1
        if leaf.hex() != stated:
            self._changed(place, seq, prev_hash, stated, leaf)
        elif self._linked(place, Branch(chain, seq, stated), prev_hash, leaf):
            self._look_inside(line, record, seq, place)
        self._in_file += 1

    def _look_inside(
        self, line: bytes, record: dict[str, Any] | None, seq: int, place: Place
    ) -> None:
        """A record whose hash is right: written by a writer, but by which one?"""
        if record is None or not isinstance(record.get("event_type"), str):
            if self.strict:
                note = "its hash is right, but it is no record"
                self._add(place, Kind.MALFORMED_LINE, seq, note=note)
            return
        version = record.get("v")
        if type(version) is not int or version != VERSION:
            self._add(place, Kind.UNKNOWN_VERSION, seq, expected=VERSION, actual=_short(version))
        elif record["event_type"].startswith("audit."):
            self._told(line, seq, place)

    def _unlinked(self, line: bytes, record: dict[str, Any] | None, place: Place) -> None:
        """A line without the members of a chain."""
        expected = self._head.seq + 1
        bare = record is not None and {"ts", "event_type"} <= record.keys() - {"hash"}
        if record is not None and bare and "hash" not in record:
            version = record.get("v", VERSION)
            if version != VERSION:
                self._add(place, Kind.UNKNOWN_VERSION, expected=VERSION, actual=_short(version))
                return
            if not self._head.seq:
                self._legacy += 1
                self._add(place, Kind.LEGACY_RECORD)
                return
        note = "a record without its link" if bare else f"{len(line)} bytes that are no record"
        size = None if bare else len(line)
        finding = place.finding(Kind.MALFORMED_LINE, expected, note=note, size=size)
        self._fragments.add(finding, line)

    def _changed(self, place: Place, seq: int, prev_hash: str, stated: str, leaf: bytes) -> None:
        """A record that does not have the hash that it states; its place in the chain decides."""
        expected = self._head.seq + 1
        at = expected if prev_hash in self._head.hashes else seq
        self._add(place, Kind.EVENT_HASH_MISMATCH, at, expected=stated, actual=leaf.hex())
        self._settle()
        self._before = self._head
        self._unsure = leaf
        self._head = Branch(self._head.chain, expected, stated, leaf.hex())
        self._first = self._first or expected

    def _linked(self, place: Place, record: Branch, prev_hash: str, leaf: bytes) -> bool:
        """A record that has the hash that it states.

        Returns:
            Whether the chain goes on from it.
        """
        members = (record.chain, record.seq, prev_hash)
        before = self._before
        if self._head.precedes(*members):
            self._settle()
        elif before is not None and before.precedes(*members):
            # The changed line was not one of the chain's own.
            self._before = self._unsure = None
            self._head = before
        elif not self._misplaced(place, record, prev_hash):
            return False
        self._first = self._first or record.seq
        self._head = record
        if self._tree is not None:
            self._tree.append(leaf)
        self._reached(record.seq, record.hashes[0])
        return True

    def _misplaced(self, place: Place, record: Branch, prev_hash: str) -> bool:
        """Report a record that does not follow.

        Returns:
            Whether the chain goes on from it.
        """
        self._settle()
        head = self._head
        expected = head.seq + 1
        if head.chain and record.chain != head.chain:
            self._add(
                place,
                Kind.CHAIN_ID_MISMATCH,
                record.seq,
                expected=head.chain,
                actual=record.chain,
            )
        elif record.seq < expected:
            self._add(
                place, Kind.SEQUENCE_DUPLICATE, record.seq, expected=expected, actual=record.seq
            )
        elif record.seq == expected:
            self._add(
                place,
                Kind.EVENT_PREV_HASH_MISMATCH,
                record.seq,
                expected=head.hashes[0],
                actual=prev_hash,
            )
            return True
        else:
            kind = Kind.SEQUENCE_GAP if self._in_file else Kind.MISSING_SEGMENT
            self._add(place, kind, record.seq, expected=expected, actual=record.seq)
            self._pass_hole(record)
            return True
        return False

    def _pass_hole(self, record: Branch) -> None:
        """Records before this one are not there: no root beyond can be computed."""
        for missing in self._between(self._head.seq, record.seq):
            for witness in self._of_chain(missing, record.chain):
                self._mismatch(witness, witness.root, "records before it are missing")
        self._tree = None

    def _between(self, low: int, high: int) -> Sequence[int]:
        named = self.checkpoints.sizes()
        return named[bisect_right(named, low) : bisect_left(named, high)]

    def _confirm(self) -> None:
        """The changed line was the chain's own: its successor links to it, or its place is."""
        leaf, self._unsure, self._before = self._unsure, None, None
        if leaf is not None:
            if self._tree is not None:
                self._tree.append(leaf)
            self._reached(self._head.seq, *self._head.hashes)

    _settle = _confirm

    # What others say.

    def _told(self, line: bytes, seq: int, place: Place) -> None:
        """A record that the log wrote about itself."""
        record = _ANY.decode(line)
        kind, fields = record["event_type"], record.get("fields")
        if not isinstance(fields, dict):
            return
        if kind == "audit.recovered":
            self._recovered(fields, seq, place)
        elif kind == "audit.gap":
            lost = fields.get("lost")
            if fields.get("sink") != "stdout" and type(lost) is int and lost > 0:
                self._add(
                    place, Kind.DECLARED_GAP, seq, actual=lost, note=_short(fields.get("reason"))
                )
        elif kind == "audit.checkpoint":
            self._declared_checkpoint(fields, place)

    def _recovered(self, fields: dict[str, Any], seq: int, place: Place) -> None:
        declared = fields_of(fields)
        found = self._fragments.declare(*declared) if declared is not None else None
        if found is None:
            self._add(place, Kind.RECOVERED_TEAR, seq, note="declared, and no longer in the file")
            return
        note = f"{fields['bytes']} bytes, declared by record {seq}"
        self.findings.add(
            Finding(Kind.RECOVERED_TEAR, found.file, found.offset, found.line, seq, note=note)
        )

    def _declared_checkpoint(self, fields: dict[str, Any], place: Place) -> None:
        """The chain holds every checkpoint, too: one that its file lacks was taken out."""
        size, root = fields.get("head_seq"), fields.get("root_hash")
        if not self.checkpoints.file or type(size) is not int or not 0 < size < 2**63:
            return
        there = [
            witness for witness in self.checkpoints.at(size) if witness.chain == self._head.chain
        ]
        if not there:
            self._add(
                place,
                Kind.SEQUENCE_GAP,
                size,
                expected=f"this checkpoint in {self.checkpoints.file}",
            )
        elif root not in {witness.root for witness in there}:
            self._add(
                place,
                Kind.CHECKPOINT_ROOT_MISMATCH,
                size,
                expected=there[0].root,
                actual=_short(root),
            )

    def _of_chain(self, seq: int, chain: str) -> list[Witness]:
        """The checkpoints of a record of this chain that are not forged."""
        return [
            witness
            for witness in self.checkpoints.at(seq)
            if witness.state != FORGED and witness.chain == chain
        ]

    def _reached(self, seq: int, *hashes: str) -> None:
        """The chain is at record ``seq``: do the witnesses of it agree?

        Args:
            hashes: one; of a changed record the one it states and the one it has.
        """
        if not len(self.named):
            return
        remembered = self._heads.pop(seq, None)
        if remembered is not None and remembered not in hashes:
            self.findings.add(
                Finding(
                    Kind.CHECKPOINT_ROOT_MISMATCH,
                    self._file,
                    seq=seq,
                    expected=remembered,
                    actual=hashes[0],
                    note="not the head that was noted down",
                )
            )
        for witness in self._of_chain(seq, self._head.chain):
            self._compare(witness, hashes)

    def _compare(self, witness: Witness, hashes: Sequence[str]) -> None:
        if self._tree is not None:
            root = self._tree.root().hex()
            if root != witness.root:
                self._mismatch(witness, root, "")
            elif witness.head not in hashes:
                self._mismatch(witness, hashes[0], "head_hash is not that of the record")
            elif witness.state == OK:
                self._anchor = witness
        elif not self._partial:
            self._mismatch(witness, "", "records before it are missing")
        elif witness.head not in hashes:
            self._mismatch(witness, hashes[0], "head_hash is not that of the record")

    def _mismatch(self, witness: Witness, actual: str, note: str) -> None:
        self.findings.add(
            witness.place.finding(
                Kind.CHECKPOINT_ROOT_MISMATCH,
                witness.seq,
                expected=witness.head if note.startswith("head_hash") else witness.root,
                actual=actual or None,
                note=note,
            )
        )

    def _compare_end(self) -> None:
        """Does a witness know of records that are not there, or of another chain?"""
        chain, last = self._head.chain, self._head.seq
        for witness in self.checkpoints:
            if witness.state == FORGED:
                continue
            if chain and witness.chain != chain:
                self.findings.add(
                    witness.place.finding(
                        Kind.CHAIN_ID_MISMATCH, witness.seq, expected=chain, actual=witness.chain
                    )
                )
            elif witness.seq > last and not witness.late and not self._until:
                self.findings.add(
                    witness.place.finding(
                        Kind.TRUNCATED, witness.seq, expected=witness.seq, actual=last
                    )
                )
        beyond = max(self._heads, default=0)
        if beyond > last and not self._until:
            self.findings.add(
                Finding(
                    Kind.TRUNCATED,
                    self._file,
                    seq=beyond,
                    expected=beyond,
                    actual=last,
                    note="the head that was noted down is not there",
                )
            )

    def _nothing(self) -> str:
        if self._legacy:
            return "none of the records is chained"
        return "no record in the range asked for" if self._partial else "no records"

    def _add(
        self,
        place: Place,
        kind: Kind,
        seq: int | None = None,
        *,
        expected: str | int | None = None,
        actual: str | int | None = None,
        note: str = "",
    ) -> None:
        self.findings.add(place.finding(kind, seq, expected=expected, actual=actual, note=note))


def _leaf(line: bytes) -> bytes:
    return sha256(b"\0" + line[:-HASH_MEMBER] + b"}").digest()


def _short(value: object) -> str:
    """A value from a log, for a message."""
    return value[:200] if isinstance(value, str) else repr(value)[:200]
