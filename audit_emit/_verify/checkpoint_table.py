"""The checkpoints of a log as rows of a table: in a temporary file where there are many."""

from __future__ import annotations

import base64
import json
import struct
from array import array
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.key_change import Name
from audit_emit._signing.trusted_keys import ED25519
from audit_emit._verify.findings import Finding, Kind
from audit_emit._verify.spool import Numbers, Rows, Sorted, Spool, in_order

OK, NO_KEY, FORGED = range(3)
_LATE, _DECIDED = 4, 8
_STATE = 3

_SIGNATURE = 64
_COSIGNATURE = 4 + 8 + 64
"""Bytes of an Ed25519 signature, and of one over the time, with key id and time."""

_ROW = struct.Struct(">QQQ32s32s30sQHQQ")
"""head_seq; offset and line; head_hash and root_hash; at; where the signer is, and how long; the
signed time; 1 and where the signatures are, if nobody had the key, or 0."""

_ORDER = struct.Struct(">QQ")
"""head_seq, and the number of the row."""

_FEW = 16
"""How many checkpoints of one size are compared one by one; for more an index is made."""

_SIGNERS = 1024
"""How many signers are remembered in memory."""


class Place(NamedTuple):
    """Where a line is."""

    file: str
    offset: int
    line: int

    def finding(self, kind: Kind, seq: int | None = None, **more: str | int | None) -> Finding:
        """A finding there."""
        return Finding(kind, self.file, self.offset, self.line, seq, **more)  # type: ignore[arg-type]


class KnownCheckpoint(NamedTuple):
    """One checkpoint, with the members that are needed to judge a log."""

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

    def members(self) -> dict[str, str]:
        """The members that the record of a checkpoint in the chain has, too, by its names."""
        return {"root_hash": self.root, "at": self.at, "key_id": self.key[1], "reason": self.reason}


class Signer(NamedTuple):
    """The key, the origin, the chain and the reason that a checkpoint states."""

    name: Name
    origin: str
    chain: str
    reason: str


class States:
    """``OK``, ``NO_KEY`` or ``FORGED`` by the number of a row."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __getitem__(self, index: int) -> int:
        return self._bits[index] & _STATE

    def __iter__(self) -> Iterator[int]:
        return (bits & _STATE for bits in self._bits)

    def append(self, state: int, *, late: bool) -> None:
        """Add the state of one more row."""
        self._bits.append(state | (_LATE if late else 0))

    def is_late(self, index: int) -> bool:
        """Whether the row may be younger than the records."""
        return bool(self._bits[index] & _LATE)

    def judge(self, index: int, state: int) -> None:
        """Change the state of a row."""
        self._bits[index] = self._bits[index] & ~_STATE | state

    def decide(self, index: int) -> bool:
        """Whether this is the first call for a row."""
        first = not self._bits[index] & _DECIDED
        self._bits[index] |= _DECIDED
        return first


class Table:
    """Checkpoints by their number in the file, and by their size. All are added before one is read.

    Attributes:
        states: of the rows.
    """

    def __init__(self) -> None:
        self.states = States()
        self._rows = Rows(_ROW.size)
        self._unordered = Rows(_ORDER.size)
        self._ascending = True
        self._highest = 0
        self._texts = Spool()
        self._signatures = Spool()
        self._place_of: dict[bytes, int] = {}
        self._signer_at: dict[tuple[int, int], Signer] = {}
        self._order: Sorted | None = None
        self._sizes: Numbers | None = None
        self._indexes: dict[tuple[str, ...], Sorted] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self, found: Checkpoint, place: tuple[int, int], signer: Signer, state: int, *, late: bool
    ) -> None:
        """Add a row.

        Args:
            place: offset and number of its line.
        """
        size, extra, time = found.head_seq, 0, 0
        if state == NO_KEY and found.sig_alg == ED25519:
            made = [base64.b64decode(text) for text in (found.signature, found.cosignature)]
            data = b"".join(
                each if len(each) == wanted else bytes(wanted)
                for each, wanted in zip(made, (_SIGNATURE, _COSIGNATURE), strict=True)
            )
            extra = self._signatures.append(data) + 1
        elif state == OK:
            time = int.from_bytes(base64.b64decode(found.cosignature)[4:12], "big")
        text = json.dumps(signer).encode()
        row = _ROW.pack(
            size,
            *place,
            bytes.fromhex(found.head_hash),
            bytes.fromhex(found.root_hash),
            found.at.encode(),
            self._place(text),
            len(text),
            time,
            extra,
        )
        self._unordered.append(_ORDER.pack(size, len(self)))
        self._rows.append(row)
        self.states.append(state, late=late)
        self._ascending = self._ascending and size >= self._highest
        self._highest = max(self._highest, size)

    def _place(self, text: bytes) -> int:
        """The place of a signer's text; it is written again if that signer was not seen lately."""
        found = self._place_of.get(text)
        if found is None:
            if len(self._place_of) >= _SIGNERS:
                self._place_of.clear()
            found = self._place_of[text] = self._texts.append(text)
        return found

    # By its number.

    def _row(self, index: int) -> tuple[int, int, int, bytes, bytes, bytes, int, int, int, int]:
        return _ROW.unpack(self._rows[index])

    def size_at(self, index: int) -> int:
        """``head_seq`` of a row."""
        return self._row(index)[0]

    def signer_at(self, index: int) -> Signer:
        """The signer of a row, as the checkpoint states it."""
        return self._signer(*self._row(index)[6:8])

    def _signer(self, at: int, size: int) -> Signer:
        found = self._signer_at.get((at, size))
        if found is None:
            if len(self._signer_at) >= _SIGNERS:
                self._signer_at.clear()
            name, *rest = json.loads(self._texts.read(at, size))
            found = self._signer_at[at, size] = Signer((name[0], name[1]), *rest)
        return found

    def checkpoint(self, index: int, file: str) -> KnownCheckpoint:
        """A row as a checkpoint."""
        seq, offset, line, head, root, at, text, length, time, extra = self._row(index)
        signer, state = self._signer(text, length), self.states[index]
        if extra and state == OK:
            time = int.from_bytes(self._signatures.read(extra - 1 + _SIGNATURE + 4, 8), "big")
        return KnownCheckpoint(
            Place(file, offset, line),
            signer.chain,
            seq,
            head.hex(),
            root.hex(),
            at.decode(),
            signer.name,
            signer.origin,
            signer.reason,
            state,
            self.states.is_late(index),
            time,
        )

    def unchecked(self, index: int) -> Checkpoint | None:
        """A checkpoint whose key was unknown when it was read; ``None`` if it stays unknown."""
        extra = self._row(index)[9]
        if not extra:
            return None
        one = self.checkpoint(index, "")
        made = self._signatures.read(extra - 1, _SIGNATURE + _COSIGNATURE)
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

    def judge(self, index: int, state: int) -> None:
        """Change the state of a row."""
        self.states.judge(index, state)

    def decide(self, index: int) -> bool:
        """Whether this is the first call for a row."""
        return self.states.decide(index)

    # By its size.

    def _ordered(self) -> Sorted:
        if self._order is None:
            rows = iter(self._unordered) if self._ascending else in_order(self._unordered)
            self._order = Sorted(_ORDER.size, rows)
            self._unordered = Rows(_ORDER.size)
        return self._order

    def sizes(self) -> Numbers:
        """``head_seq`` of all rows, ascending, without duplicates."""
        if self._sizes is None:
            order = self._ordered()
            self._sizes = Numbers(_ORDER.unpack(order[number])[0] for number in range(len(order)))
        return self._sizes

    def of_size(self, size: int) -> Iterator[int]:
        """Their numbers, in the order of the file."""
        return (
            _ORDER.unpack(entry)[1]
            for entry in self._ordered().starting_with(size.to_bytes(8, "big"))
        )

    def from_size(self, size: int) -> Iterator[int]:
        """The numbers of those that have this size or more."""
        order = self._ordered()
        begin = order.find(size.to_bytes(8, "big"))
        return (_ORDER.unpack(order[number])[1] for number in range(begin, len(order)))

    def like(self, size: int, chain: str, members: Mapping[str, object]) -> Iterator[int]:
        """Those of this size and chain that have these members, in the order of the file."""
        some = array("Q", islice(self.of_size(size), _FEW + 1))
        if len(some) <= _FEW:
            for index in some:
                one = self.checkpoint(index, "")
                if one.chain == chain and members.items() <= one.members().items():
                    yield index
            return
        names = tuple(name for name in _MEMBERS if name in members)
        wanted = _key(size, chain, [members[name] for name in names])
        for entry in self._index(names).starting_with(wanted):
            yield int.from_bytes(entry[len(wanted) :], "big")

    def _index(self, names: tuple[str, ...]) -> Sorted:
        """All of them by these members."""
        if names not in self._indexes:
            entries = in_order(map(self._entry, range(len(self)), [names] * len(self)))
            self._indexes[names] = Sorted(_KEY + 8, entries)
        return self._indexes[names]

    def _entry(self, index: int, names: tuple[str, ...]) -> bytes:
        one = self.checkpoint(index, "")
        members = one.members()
        key = _key(one.seq, one.chain, [members[name] for name in names])
        return key + index.to_bytes(8, "big")


_MEMBERS = ("root_hash", "at", "key_id", "reason")
_KEY = 16


def _key(size: int, chain: str, values: list[object]) -> bytes:
    """A key for looking up rows with the same members; a value that is no text matches none."""
    texts = [value if isinstance(value, str) else None for value in values]
    return sha256(json.dumps([size, chain, *texts]).encode()).digest()[:_KEY]
