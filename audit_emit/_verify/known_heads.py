"""What is known of a log from outside its records: its checkpoints, and heads that were noted down.

Pure, but for the temporary file in which ``Table`` keeps what it knows of many checkpoints.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import sha256

from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.key_change import Change, Name, Succession, describe_key
from audit_emit._format.line_splitter import first_lines
from audit_emit._format.record import MAX_SEQ
from audit_emit._readers.base import CheckpointLine
from audit_emit._signing.trusted_keys import ED25519, HMAC_SHA256, Verdict
from audit_emit._verify.checkpoint_table import FORGED, NO_KEY, OK, Place, Signer, Table, Witness
from audit_emit._verify.findings import KEPT, Findings, Kind
from audit_emit._verify.spool import Numbers, distinct
from audit_emit.errors import UnknownVersionError

__all__ = ["FORGED", "LONGEST", "NO_KEY", "OK", "Checkpoints", "Place", "Witness", "parse_heads"]

LONGEST = 64 * 1024
"""Bytes of a line; a checkpoint has a few hundred."""

_STATES: dict[Verdict, int] = {"ok": OK, "key-unavailable": NO_KEY, "mismatch": FORGED}


class Checkpoints:
    """The checkpoints of one log, in the order of their file.

    Args:
        keys: the keys that the verifier's user pinned, and those that take their place.
        findings: where bad lines are reported.
        origin: of the log, with its chain or without; empty when it may be any.
    """

    def __init__(self, keys: Succession, findings: Findings, origin: str = "") -> None:
        self.file = ""
        """The file that they came from; empty when there was none."""
        self.keys: Succession = keys
        """Those that are trusted by now."""
        self._findings = findings
        self._origin = origin
        self._table = Table()
        self._newest = 0
        self._last: Checkpoint | None = None

    def __len__(self) -> int:
        return len(self._table)

    def add(self, line: bytes, place: Place, *, late: bool = False) -> None:
        """Take one line.

        Args:
            line: without its newline.
            late: it may be younger than the end of the log that is verified.
        """
        try:
            found = Checkpoint.from_line(line)
        except UnknownVersionError as error:
            note = f"{error}, which was not checked"
            self._findings.add(place.finding(Kind.KEY_UNAVAILABLE, note=note))
            return
        except ValueError as error:
            # A signer that died in the middle of a line leaves its beginning; the next one ends it.
            kind = Kind.MALFORMED_LINE if line.endswith(b"}") else Kind.TORN_TAIL
            self._findings.add(place.finding(kind, note=str(error)))
            return
        self._follow(found, place)
        signer = Signer((found.sig_alg, found.key_id), found.origin, found.chain, found.reason)
        state = self._state_of(found, place)
        if state == FORGED and self._is_ours(found):
            self._forged(place, found.head_seq, signer, found.signature)
        if state == OK and not late:
            self._newest = max(self._newest, found.head_seq)
        self._table.add(found, (place.offset, place.line), signer, state, late=late)

    def take(self, one: CheckpointLine) -> None:
        """Take what a reader gives as one line."""
        place = Place(*one.place)
        self.file = place.file
        if one.lines > 1:
            self.foreign(one.line, place)
        elif one.torn:
            self.torn(one.size, place)
        elif one.size > LONGEST:
            self.too_long(one.size, place)
        else:
            self.add(one.line, place, late=one.late)

    def _is_ours(self, found: Checkpoint) -> bool:
        return self._origin in {"", found.origin, found.origin.removesuffix(f"/{found.chain}")}

    def _state_of(self, found: Checkpoint, place: Place) -> int:
        """Whether its signature holds; one of another log is as good as forged."""
        if not self._is_ours(found):
            kind, seq = Kind.ORIGIN_MISMATCH, found.head_seq
            self._findings.add(place.finding(kind, seq, expected=self._origin, actual=found.origin))
            return FORGED
        if found.sig_alg not in {ED25519, HMAC_SHA256}:
            return FORGED  # version 1 has no other: nobody can hold a key for it
        return _STATES[check(found, self.keys.ring)]

    def newest(self) -> int:
        """The highest record that a checkpoint with a good signature covers, late ones aside.

        As it is before the log is read: which keys are retired is not known yet.
        """
        return self._newest

    def covering(self, seq: int) -> int:
        """How many cover a record, those that are forged aside. A copy of one is the same one."""
        table = self._table
        return distinct(
            table.size_at(index).to_bytes(8, "big") + _digest(table.signer_at(index).name)
            for index in table.from_size(seq)
            if table.states[index] != FORGED
        )

    def torn(self, size: int, place: Place) -> None:
        """Take a last line of so many bytes, which has no end."""
        note = f"{size} bytes without their end"
        self._findings.add(place.finding(Kind.TORN_TAIL, note=note))

    def too_long(self, size: int, place: Place) -> None:
        """Take a line that is longer than ``LONGEST``."""
        self._findings.add(place.finding(Kind.MALFORMED_LINE, note=f"a line of {size} bytes"))

    def _follow(self, found: Checkpoint, place: Place) -> None:
        """A checkpoint that is older than the one before it was moved or put there again."""
        last, self._last = self._last, found
        if last is None or last.chain != found.chain:
            return
        if found.head_seq < last.head_seq or found == last:
            self._findings.add(
                place.finding(
                    Kind.SEQUENCE_DUPLICATE,
                    found.head_seq,
                    expected=f"more than {last.head_seq}",
                    actual=found.head_seq,
                    note="checkpoints are out of order",
                )
            )
            self._last = last

    def _forged(self, place: Place, seq: int, signer: Signer, actual: str, note: str = "") -> None:
        expected = f"a signature by {describe_key(signer.name)}"
        kind = Kind.CHECKPOINT_SIGNATURE_MISMATCH
        self._findings.add(place.finding(kind, seq, expected=expected, actual=actual, note=note))

    def foreign(self, lines: bytes, place: Place) -> None:
        """Take lines that are no checkpoints of any version; without the last newline."""
        kind = Kind.MALFORMED_LINE if lines.endswith(b"}") else Kind.TORN_TAIL
        count = lines.count(b"\n") + 1
        offset = place.offset
        told_each = min(count, self._findings.room(kind))
        kept = first_lines(lines + b"\n", told_each)
        for number, line in enumerate(kept):
            where = Place(place.file, offset, place.line + number)
            self._findings.add(where.finding(kind, note="not a checkpoint"))
            offset += len(line) + 1
        self._findings.count(kind, count - len(kept))

    def _decide(self, index: int) -> None:
        """Judge a checkpoint by the changes of key before the records that it covers end.

        Once, when the chain is there: all of these changes are known by then, and no others count.
        """
        table = self._table
        if not table.decide(index):
            return
        if table.states[index] == FORGED or not self.keys.changed:
            return
        signer = table.signer_at(index)
        if table.states[index] == NO_KEY:
            named = self.keys.named(signer.name)
            if named is not None and named.seq <= table.size_at(index):
                self._check_again(index)
        if table.states[index] == OK:
            retired = self.keys.retired(signer.name, signer.origin)
            if retired is not None and retired.seq <= table.size_at(index):
                self._retire(index, retired)

    def _retire(self, index: int, change: Change) -> None:
        one = self[index]
        self._table.judge(index, FORGED)
        signer = self._table.signer_at(index)
        note = f"record {change.seq} retired the key that it is by"
        after = signer._replace(name=change.new)
        self._forged(one.place, one.seq, after, f"one by {describe_key(signer.name)}", note)

    def _check_again(self, index: int) -> None:
        checkpoint = self._table.unchecked(index)
        if checkpoint is None:
            return  # the id of a shared key is all that a log has
        state = _STATES[check(checkpoint, self.keys.ring)]
        self._table.judge(index, state)
        if state == FORGED:
            one, signer = self[index], self._table.signer_at(index)
            self._forged(one.place, one.seq, signer, checkpoint.signature)

    def settle(self) -> None:
        """Report the keys that nobody has."""
        self.decide()
        missing: dict[Name, int] = {}
        more = distinct(self._missing(missing))
        for name, index in missing.items():
            one, note = self[index], self.keys.why_missing(name)
            self._findings.add(
                one.place.finding(
                    Kind.KEY_UNAVAILABLE, one.seq, expected=describe_key(name), note=note
                )
            )
        self._findings.count(Kind.KEY_UNAVAILABLE, more)

    def _missing(self, first: dict[Name, int]) -> Iterator[bytes]:
        """The first checkpoint of each missing key goes into ``first``, and what is too many here.

        Only ``KEPT`` of them are told; the others are counted.
        """
        for index, state in enumerate(self._table.states):
            if state != NO_KEY:
                continue
            name = self._table.signer_at(index).name
            if name in first:
                continue
            if len(first) < KEPT:
                first[name] = index
            else:
                yield _digest(name)

    def sizes(self) -> Numbers:
        """``head_seq`` of all of them, ascending, none twice."""
        return self._table.sizes()

    def at(self, seq: int) -> Iterator[Witness]:
        """Those whose head is record ``seq``."""
        return map(self.__getitem__, self._table.of_size(seq))

    def like(self, size: int, chain: str, members: Mapping[str, object]) -> Iterator[Witness]:
        """Those of this size and chain that have these members, in the order of their file.

        Args:
            members: ``root_hash``, ``at``, ``key_id``, ``reason``, or some of these.
        """
        return map(self.__getitem__, self._table.like(size, chain, members))

    def newest_before(self, seq: int, name: Name) -> bool:
        """Whether a key signed the newest checkpoint before a record; forged ones do not count.

        True where there is none.
        """
        sizes = self.sizes()
        for number in range(bisect_left(sizes, seq) - 1, -1, -1):
            found = [one for one in self.at(sizes[number]) if one.state != FORGED]
            if found:
                return any(one.key == name for one in found)
        return True

    def decided(self, seq: int) -> Iterator[Witness]:
        """The same, once the chain is at that record: its changes of key count by then."""
        for index in self._table.of_size(seq):
            self._decide(index)
            yield self[index]

    def decide(self) -> None:
        """The chain is at its end: so are its changes of key."""
        for index in range(len(self)):
            self._decide(index)

    def __getitem__(self, index: int) -> Witness:
        return self._table.witness(index, self.file)

    def __iter__(self) -> Iterator[Witness]:
        return map(self.__getitem__, range(len(self)))


def _digest(name: Name) -> bytes:
    return sha256("+".join(name).encode()).digest()[:16]


def parse_heads(heads: Mapping[int, str]) -> Mapping[int, str]:
    """Heads that were noted down: ``seq`` to ``hash``.

    Raises:
        ValueError: one is no head.
    """
    for seq, digest in heads.items():
        if (
            not 1 <= seq <= MAX_SEQ
            or len(digest) != 64
            or not set(digest) <= set("0123456789abcdef")
        ):
            raise ValueError("a head is the seq of a record and its hash, 64 hex digits")
    return heads
