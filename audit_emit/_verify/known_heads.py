"""What is known of a log from outside its records: its checkpoints, and heads that were noted down.

Pure. A log of ten gigabytes may have two hundred thousand checkpoints, so they are kept as columns.
"""

from __future__ import annotations

import base64
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from typing import NamedTuple

from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.key_change import Change, Name, Succession, told
from audit_emit._format.record import MAX_SEQ
from audit_emit._readers.base import CheckpointLine
from audit_emit._signing.trusted_keys import ED25519, HMAC_SHA256, Verdict
from audit_emit._verify.findings import Finding, Findings, Kind
from audit_emit.errors import UnknownVersionError

LONGEST = 64 * 1024
"""Bytes of a line; a checkpoint has a few hundred."""

OK, NO_KEY, FORGED = range(3)
_STATES: dict[Verdict, int] = {"ok": OK, "key-unavailable": NO_KEY, "mismatch": FORGED}
_SIGNATURE = 64
_COSIGNATURE = 4 + 8 + 64
"""Bytes of an Ed25519 signature, and of one over the time, with key id and time."""


_HASH = re.compile(r"[0-9a-f]{64}")


class Place(NamedTuple):
    """Where a line is."""

    file: str
    offset: int
    line: int

    def finding(self, kind: Kind, seq: int | None = None, **more: str | int | None) -> Finding:
        """A finding there."""
        return Finding(kind, self.file, self.offset, self.line, seq, **more)  # type: ignore[arg-type]


class Witness(NamedTuple):
    """One checkpoint, as far as it is needed to judge a log."""

    place: Place
    chain: str
    seq: int
    head: str
    root: str
    at: str
    key: Name
    origin: str
    reason: str
    state: int
    late: bool
    time: int
    """Seconds since 1970, as a signature over the time says; 0 where there is none."""


class Signer(NamedTuple):
    """By whom, of what, and why, a checkpoint says that it is."""

    name: Name
    origin: str
    chain: str
    reason: str


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
        self._keys = keys
        self._findings = findings
        self._origin = origin
        self._seqs = array("Q")
        self._places = array("Q")
        self._states = array("B")
        self._decided = bytearray()
        self._hashes = bytearray()
        self._times = bytearray()
        self._signed_times = array("Q")
        self._signed_by = array("I")
        self._signers: list[Signer] = []
        self._number_of: dict[Signer, int] = {}
        self._unchecked = array("I")
        self._signatures = bytearray()
        self._last: Checkpoint | None = None
        self._order = array("I")
        self._sizes = array("Q")

    def __len__(self) -> int:
        return len(self._seqs)

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
        elif state == NO_KEY and found.sig_alg == ED25519:
            self._unchecked.append(len(self))
            made = [base64.b64decode(text) for text in (found.signature, found.cosignature)]
            for data, size in zip(made, (_SIGNATURE, _COSIGNATURE), strict=True):
                self._signatures += data if len(data) == size else bytes(size)
        self._seqs.append(found.head_seq)
        self._places.extend((place.offset, place.line))
        self._states.append(state * 2 + late)
        self._decided.append(0)
        self._hashes += bytes.fromhex(found.head_hash + found.root_hash)
        self._times += found.at.encode()
        self._signed_times.append(_time_of(found) if state == OK else 0)
        self._signed_by.append(self._number(signer))

    def take(self, one: CheckpointLine) -> None:
        """Take what a reader gives as one line."""
        place = Place(*one.place)
        self.file = place.file
        if one.torn:
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
        return _STATES[check(found, self._keys.ring)]

    def newest(self) -> int:
        """The highest record that a checkpoint with a good signature covers, late ones aside."""
        states = zip(self._seqs, self._states, strict=True)
        return max((seq for seq, state in states if divmod(state, 2) == (OK, 0)), default=0)

    def covering(self, seq: int) -> int:
        """How many cover a record, those that are forged aside. A copy of one is the same one."""
        known = zip(self._seqs, self._signed_by, self._states, strict=True)
        return len(
            {
                (size, self._signers[by].name)
                for size, by, state in known
                if size >= seq and state // 2 != FORGED
            }
        )

    def _number(self, signer: Signer) -> int:
        if signer not in self._number_of:
            self._number_of[signer] = len(self._signers)
            self._signers.append(signer)
        return self._number_of[signer]

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
        expected = f"a signature by {told(signer.name)}"
        kind = Kind.CHECKPOINT_SIGNATURE_MISMATCH
        self._findings.add(place.finding(kind, seq, expected=expected, actual=actual, note=note))

    def _decide(self, index: int) -> None:
        """Judge a checkpoint by the changes of key before the records that it covers end.

        Once, when the chain is there: all of these changes are known by then, and no others count.
        """
        if self._decided[index]:
            return
        self._decided[index] = 1
        _, seq, signer = self._at(index)
        if self._states[index] // 2 == NO_KEY:
            named = self._keys.named(signer.name)
            if named is not None and named.seq <= seq:
                self._check_again(index)
        if self._states[index] // 2 == OK:
            retired = self._keys.retired(signer.name, signer.origin)
            if retired is not None and retired.seq <= seq:
                self._retire(index, retired)

    def _retire(self, index: int, change: Change) -> None:
        place, seq, signer = self._at(index)
        self._judge(index, FORGED)
        after = signer._replace(name=change.new)
        note = f"record {change.seq} retired the key that it is by"
        self._forged(place, seq, after, f"one by {told(signer.name)}", note)

    def _check_again(self, index: int) -> None:
        place, seq, signer = self._at(index)
        if signer.name[0] != ED25519:
            return  # the id of a shared key is all that a log has
        checkpoint = self._unchecked_at(index)
        state = _STATES[check(checkpoint, self._keys.ring)]
        self._judge(index, state)
        if state == FORGED:
            self._forged(place, seq, signer, checkpoint.signature)
        elif state == OK:
            self._signed_times[index] = _time_of(checkpoint)

    def _unchecked_at(self, index: int) -> Checkpoint:
        """A checkpoint whose key was not there when it was read."""
        one = self[index]
        at = bisect_left(self._unchecked, index) * (_SIGNATURE + _COSIGNATURE)
        made = bytes(self._signatures[at : at + _SIGNATURE + _COSIGNATURE])
        time = made[_SIGNATURE:]
        return Checkpoint(
            2 if any(time) else 1,
            one.at,
            one.origin,
            one.chain,
            one.seq,
            one.head,
            one.root,
            one.reason,
            *one.key,
            base64.b64encode(made[:_SIGNATURE]).decode(),
            base64.b64encode(time).decode() if any(time) else "",
        )

    def _judge(self, index: int, state: int) -> None:
        self._states[index] = state * 2 + self._states[index] % 2

    def settle(self) -> None:
        """Report the keys that nobody has."""
        self.decide()
        missing: dict[Name, int] = {}
        for index, state in enumerate(self._states):
            if state // 2 == NO_KEY:
                missing.setdefault(self._signers[self._signed_by[index]].name, index)
        for name, index in missing.items():
            place, seq, _ = self._at(index)
            note = self._keys.why_missing(name)
            self._findings.add(
                place.finding(Kind.KEY_UNAVAILABLE, seq, expected=told(name), note=note)
            )

    def sizes(self) -> array[int]:
        """``head_seq`` of all of them, ascending, none twice."""
        if len(self._order) != len(self._seqs):
            order: Iterable[int] = range(len(self._seqs))
            if any(after < before for before, after in pairwise(self._seqs)):
                order = sorted(order, key=self._seqs.__getitem__)
            self._order = array("I", order)
            self._sizes = array(
                "Q", (seq for seq, _ in groupby(map(self._seqs.__getitem__, order)))
            )
        return self._sizes

    def at(self, seq: int) -> Iterator[Witness]:
        """Those whose head is record ``seq``."""
        return map(self.__getitem__, self._indexes(seq))

    def decided(self, seq: int) -> Iterator[Witness]:
        """The same, once the chain is at that record: its changes of key count by then."""
        for index in self._indexes(seq):
            self._decide(index)
            yield self[index]

    def decide(self) -> None:
        """The chain is at its end: so are its changes of key."""
        for index in range(len(self)):
            self._decide(index)

    def _indexes(self, seq: int) -> Iterator[int]:
        self.sizes()
        at = bisect_left(self._order, seq, key=self._seqs.__getitem__)
        while at < len(self._order) and self._seqs[self._order[at]] == seq:
            yield self._order[at]
            at += 1

    def _at(self, index: int) -> tuple[Place, int, Signer]:
        offset, line = self._places[2 * index : 2 * index + 2]
        signer = self._signers[self._signed_by[index]]
        return Place(self.file, offset, line), self._seqs[index], signer

    def __getitem__(self, index: int) -> Witness:
        place, seq, signer = self._at(index)
        state, late = divmod(self._states[index], 2)
        hashes = self._hashes[64 * index : 64 * index + 64].hex()
        return Witness(
            place,
            signer.chain,
            seq,
            hashes[:64],
            hashes[64:],
            self._times[30 * index : 30 * index + 30].decode(),
            signer.name,
            signer.origin,
            signer.reason,
            state,
            bool(late),
            self._signed_times[index],
        )

    def __iter__(self) -> Iterator[Witness]:
        return map(self.__getitem__, range(len(self)))


def _time_of(checkpoint: Checkpoint) -> int:
    """The seconds since 1970 that a checkpoint whose signatures hold has signed; else 0."""
    data = base64.b64decode(checkpoint.cosignature)
    return int.from_bytes(data[4:12], "big")


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
