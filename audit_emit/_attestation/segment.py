"""Reads the records that an attestation is about, and proves that they are in a signed tree.

One pass from the first record that is there up to the checkpoint. Every record of it must link to
the one before, and the tree must have the root that was signed. Only the blocks that hold something
that is asked for are taken apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from audit_emit._attestation.tally import Tally
from audit_emit._checkpoints.beginning import after, first_position
from audit_emit._checkpoints.new_leaves import GrowingTree
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._format.encode import to_json
from audit_emit._format.key_change import Succession
from audit_emit._format.line_splitter import may_be_chained, split_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import head_of, parsed
from audit_emit._readers.base import LogReader
from audit_emit._readers.whole_lines import whole_lines_of
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import CheckpointError, ForgedChangeError

_STARTED = b'"event_type":"audit.started"'
_OWN = (b'"event_type":"audit.gap"', b'"event_type":"audit.recovered"', _STARTED)
"""Records that say something of others, and are looked at wherever they are."""

_CONFIGURATIONS = 4
"""Configurations that are named, the newest ones: one for each kind of process, as a rule."""

Progress = Callable[[int, int], None]


class Wanted(NamedTuple):
    """Which records: a range, or those of one request or run.

    Attributes:
        first, last: numbers; all from the one to the other, whatever they are.
        correlation: where it is not empty, only the records with this ``correlation_id``; the range
            is then where they are looked for.
    """

    first: int
    last: int
    correlation: str = ""


class Segment(NamedTuple):
    """What was found.

    Attributes:
        tally: of the records.
        findings: what the log declares of itself between the first of them and the last, by the
            kinds of docs/wire-format.md, section 7.
        configurations: ``config_hash`` of the processes that wrote them, sorted.
        keys: the keys that are trusted at the checkpoint.
    """

    tally: Tally
    findings: dict[str, int]
    configurations: tuple[str, ...]
    keys: Succession


def read_segment(
    reader: LogReader,
    wanted: Wanted,
    checkpoint: Checkpoint,
    ring: KeyRing,
    progress: Progress | None = None,
) -> Segment:
    """Read records up to a checkpoint that covers them.

    Args:
        reader: of the log.
        wanted: which ones.
        checkpoint: its root is compared; its signature is the caller's business.
        ring: the trusted keys.

    Raises:
        CheckpointError: the log is not what was signed.
        LookupError: the records are not in it, or not any more.
        OSError: it cannot be read.
    """
    position = first_position(reader, ring)
    removed = position.frontier.size
    if wanted.first <= removed and not wanted.correlation:
        raise LookupError(f"record {wanted.first} was removed: records up to {removed} were")
    keys = Succession(ring)
    size = checkpoint.head_seq
    anchors = ((size, bytes.fromhex(checkpoint.root_hash)),)
    tree = GrowingTree(position, anchors, on_change=lambda seq, line: _follow(keys, seq, line))
    pass_ = _Pass(tree, wanted, size)
    read = 0
    for block in whole_lines_of(after(reader, position)):
        pass_.feed(block)
        read += len(block)
        if progress is not None:
            progress(read, max(reader.size, read))
        if tree.frontier.size >= size:
            break
    if tree.frontier.size < size:
        raise CheckpointError("truncated", f"the log holds fewer records than the {size} signed")
    if not pass_.tally.records:
        raise LookupError("there is no such record before the newest checkpoint")
    return pass_.result(keys)


class _Pass:
    def __init__(self, tree: GrowingTree, wanted: Wanted, size: int) -> None:
        self._tree = tree
        self._wanted = wanted
        self._size = size
        text = f'"correlation_id":{to_json(wanted.correlation)}' if wanted.correlation else ""
        self._needle = text.encode()
        self.tally = Tally()
        self._sure: Counter[str] = Counter()
        self._maybe: Counter[str] = Counter()
        self._configurations: dict[str, None] = {}
        self._named: tuple[str, ...] = ()

    def result(self, keys: Succession) -> Segment:
        return Segment(
            self.tally,
            dict(sorted(self._sure.items())),
            self._named,
            keys,
        )

    def feed(self, block: bytes) -> None:
        """Whole lines. What is counted of them counts only if the tree takes them, too.

        Raises:
            CheckpointError: a record does not follow the one before it.
        """
        if not self._is_of_interest(block):
            self._tree.feed(block, 0)
            return
        grown = last = stop = 0
        for end, line in may_be_chained(block):
            head = head_of(line)
            if head is None:
                continue
            if head.seq > self._size:
                break
            stop = end
            record = self._wanted_of(line, head.seq)
            if record is None:
                continue
            if self.tally.first is None:
                grown = self._grow(block, grown, end - len(line) - 1)
                self.tally.before, self.tally.prev_hash = (
                    self._tree.frontier.copy(),
                    self._tree.head,
                )
                self._maybe = _declared(record)
            self.tally.add(head, record, line)
            self._sure += self._maybe
            self._maybe = Counter()
            self._named = tuple(sorted(self._configurations))
            last = end
        if last:
            grown = self._grow(block, grown, last)
            self.tally.after = self._tree.frontier.copy()
        self._grow(block, grown, stop)

    def _grow(self, block: bytes, begin: int, end: int) -> int:
        """Have the tree take a part of a block; where that ends."""
        if end > begin:
            self._tree.feed(block[begin:end], 0)
        return max(begin, end)

    def _is_of_interest(self, block: bytes) -> bool:
        if any(own in block for own in _OWN):
            return True
        if self._needle:
            return self._may_be_of_run(block)
        size = self._tree.frontier.size
        return size + block.count(b"\n") >= self._wanted.first and size < self._wanted.last

    def _may_be_of_run(self, text: bytes) -> bool:
        """Whether a line may be of the run; an escape may stand for a character of its id."""
        return self._needle in text or b"\\u" in text

    def _wanted_of(self, line: bytes, seq: int) -> dict[str, Any] | None:
        """The members of a record that is asked for; what it says of others is noted.

        Each line is judged by itself, and never by what happens to be in the same block.
        """
        is_own = any(own in line for own in _OWN)
        if not (is_own or not self._needle or self._may_be_of_run(line)):
            return None
        record = parsed(line) or {}
        if is_own:
            self._look_at_own(record)
        return record if self._is_wanted(seq, record) else None

    def _is_wanted(self, seq: int, record: dict[str, Any]) -> bool:
        if not self._wanted.first <= seq <= self._wanted.last:
            return False
        wanted = self._wanted.correlation
        return not wanted or record.get("correlation_id") == wanted

    def _look_at_own(self, record: dict[str, Any]) -> None:
        """Note what a record says of others; it counts if one that is wanted follows, or is it."""
        self._maybe += _declared(record)
        if record.get("event_type") == "audit.started":
            fields = record.get("fields")
            digest = fields.get("config_hash") if isinstance(fields, dict) else None
            if isinstance(digest, str) and len(digest) <= 64:
                self._configurations.pop(digest, None)
                self._configurations[digest] = None
                while len(self._configurations) > _CONFIGURATIONS:
                    del self._configurations[next(iter(self._configurations))]


def _declared(record: dict[str, Any]) -> Counter[str]:
    kind, fields = record.get("event_type"), record.get("fields")
    if kind == "audit.recovered":
        return Counter({"recovered-tear": 1})
    lost = fields.get("lost") if isinstance(fields, dict) and kind == "audit.gap" else 0
    return Counter({"declared-gap": 1}) if lost else Counter()


def _follow(keys: Succession, seq: int, line: bytes) -> None:
    """Apply a change of key if it is valid; ``verify`` reports a forged one."""
    record, link = parsed(line), link_of(line)
    if record is not None and link is not None:
        with suppress(ForgedChangeError, AttributeError, KeyError, TypeError):
            keys.follow(record["fields"], seq, link[1].decode())


def range_of(reader: LogReader, since: str, until: str) -> tuple[int, int]:
    """The numbers of the first and of the last record of a time.

    Args:
        since, until: as ``ts``; not before the one, before the other; empty for any.

    Raises:
        LookupError: there is none.
        OSError: the log cannot be read.
    """
    first = last = 0
    for block in reader.search(since=since, until=until):
        for line in split_lines(block.data):
            head = head_of(line)
            if head is None or head.ts < since or (until and head.ts >= until):
                continue
            first = min(first or head.seq, head.seq)
            last = max(last, head.seq)
    if not last:
        raise LookupError("there is no record of that time")
    return first, last


def root_of(tree: Frontier) -> str:
    """The root of a tree as 64 hex digits; of the empty one it is the hash of nothing."""
    return tree.root().hex()
