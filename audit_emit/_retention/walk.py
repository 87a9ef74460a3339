"""Reads the oldest records of a log once more before they go, and keeps what stays of them.

Every record is checked against the tree that was signed. The hashes go to the tiles; changes of
key, the newest policy and the holds that are in force are kept as they are. Where a part of the log
ends, the tree is noted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from audit_emit._checkpoints.beginning import Start, after, position_of
from audit_emit._checkpoints.new_leaves import GrowingTree
from audit_emit._checkpoints.tiles import TiledFrontier
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.encode import to_json
from audit_emit._format.key_change import RECORD as KEY_ROTATED
from audit_emit._format.line_splitter import line_end, may_be_chained, split_lines
from audit_emit._format.link import TS, link_of
from audit_emit._format.record import ns_of, parsed
from audit_emit._format.removal import CARRIED, CARRIED_BYTES
from audit_emit._format.unanchored import Policy
from audit_emit._readers.base import Block, Flaw, LogReader
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._retention.holds import RECORD as HOLD
from audit_emit._retention.holds import Holds
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import CheckpointError, RetentionError

STARTED = "audit.started"
_TYPES = tuple(f'Z","event_type":"{kind}",'.encode() for kind in (KEY_ROTATED, STARTED, HOLD))
_AT = len('{"ts":"2026-05-19T20:00:00.123456789')
_LONGEST = 4096
"""Bytes of a line that may be a checkpoint with a signature that can be checked."""

Progress = Callable[[int, int], None]
"""Called with the records done and the records that there are."""


class Boundary(NamedTuple):
    """Where a part of a log ends.

    Attributes:
        last: ``seq`` of its last record.
        checkpoint: the smallest one with a good signature that covers it.
    """

    last: int
    checkpoint: Checkpoint

    @property
    def signed_ns(self) -> int | None:
        """When it was signed, in nanoseconds since 1970; ``None`` where nobody signed the time."""
        return ns_of(self.checkpoint.at) if self.checkpoint.cosignature else None


def boundaries(reader: LogReader, ring: KeyRing, ends: Sequence[int]) -> list[Boundary]:
    """The ends of parts that a checkpoint with a good signature covers, as far as they go.

    Args:
        reader: of the log.
        ring: the trusted keys.
        ends: ``seq`` of the last record of each part, ascending.
    """
    found: list[Checkpoint | None] = [None] * len(ends)
    for one in reader.checkpoints() or ():
        if one.lines > 1 or one.size > _LONGEST:
            continue
        try:
            checkpoint = Checkpoint.from_line(one.line)
        except ValueError:
            continue
        at = bisect_left(ends, checkpoint.head_seq + 1) - 1
        known = found[at] if at >= 0 else checkpoint
        if known is not None and known.head_seq <= checkpoint.head_seq:
            continue
        if check(checkpoint, ring) == "ok":
            found[at] = checkpoint
    made: list[Boundary] = []
    covering: Checkpoint | None = None
    for last, smallest in zip(reversed(ends), reversed(found), strict=True):
        covering = smallest or covering
        if covering is not None:
            made.append(Boundary(last, covering))
    return made[::-1]


class Passed(NamedTuple):
    """A part that was read.

    Attributes:
        boundary: its end.
        tree, last_hash: over all records up to there, and ``hash`` of the last of them.
        latest: the highest ``ts`` of its records.
        carried: the lines of records up to there that still count.
    """

    boundary: Boundary
    tree: Frontier
    last_hash: str
    latest: str
    carried: tuple[str, ...]


class Walk:
    """Reads parts of a log, one after the other.

    Args:
        reader: of the log.
        start: why it does not begin with its first record.
        ends: of the parts.
        tiled: keeps the hashes; ``None``: nothing is written.
        progress: see there.
    """

    def __init__(
        self,
        reader: LogReader,
        start: Start | None,
        ends: Sequence[Boundary],
        tiled: TiledFrontier | None,
        progress: Progress | None = None,
    ) -> None:
        self._ends = ends
        self._tiled = tiled
        self._progress = progress
        position = position_of(start)
        if tiled is not None:
            position = position._replace(frontier=tiled)
        anchors = {one.checkpoint.head_seq: one.checkpoint.root_hash for one in ends}
        signed = [(size, bytes.fromhex(root)) for size, root in anchors.items()]
        self._tree = GrowingTree(position, signed, tiled=tiled)
        self._blocks = whole_lines_of(_sound(after(reader, position)))
        self._latest = self._rest = b""
        self._changes: list[bytes] = []
        self._policy = b""
        self._holds = Holds()
        for line in start.removal.lines() if start is not None else ():
            self._keep(line)

    def parts(self) -> Iterator[Passed]:
        """Each part as it was read.

        Raises:
            RetentionError: the records are not what was signed.
            OSError: they cannot be read.
        """
        for end in self._ends:
            self._latest = b""
            self._read(end.last, look=True)
            tree = self._tree.frontier
            if tree.size != end.last:
                raise RetentionError("changed", f"no part of the log ends with record {end.last}")
            latest = self._latest.decode("latin-1")
            yield Passed(end, tree.copy(), self._tree.head, latest, self._carried())

    def go_on(self, size: int) -> None:
        """Read up to the record where the tree was signed.

        Raises:
            RetentionError: see ``parts``.
        """
        self._read(size, look=False)
        if self._tree.frontier.size < size:
            raise RetentionError("changed", f"record {size}, which was signed, is not there")

    def _read(self, last: int, *, look: bool) -> None:
        tree = self._tree
        try:
            while tree.frontier.size < last:
                block = self._rest or next(self._blocks, None)
                if block is None:
                    return
                block, self._rest = _cut(block, tree.frontier.size, last)
                tree.feed(block, 0)
                if look:
                    self._look_at(block)
                if self._progress is not None:
                    self._progress(min(tree.frontier.size, last), self._ends[-1].last)
        except CheckpointError as error:
            raise RetentionError("changed", f"the log is not what was signed: {error}") from None

    def _look_at(self, block: bytes) -> None:
        lines = split_lines(block)
        self._latest = max(self._latest, max((line[TS] for line in lines), default=b""))
        if any(kind in block for kind in _TYPES):
            for _, line in may_be_chained(block):
                if line.startswith(_TYPES, _AT):
                    self._keep(line)

    def _keep(self, line: bytes) -> None:
        record = parsed(line)
        if record is None or not isinstance(record.get("fields"), dict):
            return
        if record["event_type"] == HOLD:
            self._holds.take(line)
        elif record["event_type"] == KEY_ROTATED:
            self._changes.append(line)
        elif Policy.of(record["fields"]) is not None:
            self._policy = line

    def _carried(self) -> tuple[str, ...]:
        """The lines that still count when the records so far are gone.

        Raises:
            RetentionError: there are too many.
        """
        lines = [*self._changes, *([self._policy] if self._policy else []), *self._holds.lines]
        texts = tuple(line.decode("utf-8", "surrogatepass") for line in sorted(lines, key=_seq))
        if len(texts) > CARRIED or len(to_json(list(texts)).encode()) > CARRIED_BYTES:
            why = "more changes of key and holds in force would go than one record can carry"
            raise RetentionError("too-many", why)
        return texts


def _seq(line: bytes) -> int:
    link = link_of(line)
    return int(link[2]) if link is not None else 0


def _cut(block: bytes, size: int, last: int) -> tuple[bytes, bytes]:
    """A block up to the end of record ``last``, where it holds that, and the rest.

    Args:
        size: records before the block.
    """
    if block.count(b"\n") <= last - size:
        return block, b""
    at = block.find(b',"seq":%d,"prev_hash":"' % last)
    end = line_end(block, at) if at >= 0 else len(block)
    return block[:end], block[end:]


def _sound(items: Iterator[Block | Flaw]) -> Iterator[Block | Flaw]:
    for item in items:
        if isinstance(item, Flaw):
            raise RetentionError("damaged", f"{item.part}: {item.note}")
        yield item
