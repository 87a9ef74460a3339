"""The checkpoints of a log, and heads that were kept elsewhere.

Pure, except for the temporary file in which ``Table`` keeps many checkpoints.
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
from audit_emit._verify.checkpoint_table import (
    FORGED,
    NO_KEY,
    OK,
    KnownCheckpoint,
    Place,
    Signer,
    Table,
)
from audit_emit._verify.findings import KEPT, Findings, Kind
from audit_emit._verify.spool import Numbers, distinct
from audit_emit.errors import UnknownVersionError

__all__ = [
    "FORGED",
    "LONGEST",
    "NO_KEY",
    "OK",
    "Checkpoints",
    "KnownCheckpoint",
    "Place",
    "parse_heads",
]

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
        """The keys that are trusted now, with those that changes of key added."""
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
            # A signer that was killed while writing leaves a part of a line; the next one ends it.
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
        """Add a line as a reader gives it: whole, torn, or too long."""
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
        """The highest record that a checkpoint with a good signature covers, without late ones.

        It is asked before the log is read, when it is not known yet which keys are retired.
        """
        return self._newest

    def covering(self, seq: int) -> int:
        """How many checkpoints cover a record, without forged ones; copies count once."""
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
        """Judge the key of a checkpoint by the changes of key up to the last record it covers.

        This is done once, when the chain is at that record: all these changes are known then.
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
            return  # the log has no more than the id of a shared key
        state = _STATES[check(checkpoint, self.keys.ring)]
        self._table.judge(index, state)
        if state == FORGED:
            one, signer = self[index], self._table.signer_at(index)
            self._forged(one.place, one.seq, signer, checkpoint.signature)

    def settle(self) -> None:
        """Report the keys of checkpoints that were not given."""
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
        """Put the first checkpoint of each missing key into ``first``, at most ``KEPT`` of them.

        The others are returned, to be counted.
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
        """``head_seq`` of all checkpoints, ascending, without duplicates."""
        return self._table.sizes()

    def at(self, seq: int) -> Iterator[KnownCheckpoint]:
        """Those whose head is record ``seq``."""
        return map(self.__getitem__, self._table.of_size(seq))

    def like(
        self, size: int, chain: str, members: Mapping[str, object]
    ) -> Iterator[KnownCheckpoint]:
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

    def decided(self, seq: int) -> Iterator[KnownCheckpoint]:
        """As ``at``, but only when the chain is at that record, so that changes of key count."""
        for index in self._table.of_size(seq):
            self._decide(index)
            yield self[index]

    def decide(self) -> None:
        """Judge the remaining checkpoints: at the end of the chain all changes of key are known."""
        for index in range(len(self)):
            self._decide(index)

    def __getitem__(self, index: int) -> KnownCheckpoint:
        return self._table.checkpoint(index, self.file)

    def __iter__(self) -> Iterator[KnownCheckpoint]:
        return map(self.__getitem__, range(len(self)))


def _digest(name: Name) -> bytes:
    return sha256("+".join(name).encode()).digest()[:16]


def parse_heads(heads: Mapping[int, str]) -> Mapping[int, str]:
    """Check heads that were kept elsewhere: ``seq`` to ``hash``.

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
