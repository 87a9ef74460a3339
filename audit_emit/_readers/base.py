"""``LogReader``: the interface for reading a log from files, a table, or objects.

The code that verifies, searches, proves, signs or compares takes a ``LogReader``, and knows no
path, no table and no bucket. A reader gives the bytes that a writer wrote, and judges nothing. It
may leave out only what certainly was not asked for, and reports what it could not read (``Flaw``).

``_readers/memory.py`` is the smallest implementation; ``tests/readers/test_contract.py`` holds
every implementation against this page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

from audit_emit._format.block import Proof
from audit_emit._format.record import Head
from audit_emit._format.unanchored import Watch


class Place(NamedTuple):
    """Where a line begins.

    Attributes:
        part: the name of the file, table or object that holds it, as findings show it.
        offset: of its first byte in that part, as it is when not packed.
        line: its number there, from 1.
    """

    part: str
    offset: int
    line: int


class Block(NamedTuple):
    """Bytes of one part of a log, as they were written.

    Attributes:
        part: the name of the file, table or object, as findings show it.
        offset: of the first byte in that part, as it is when not packed. The blocks of one part
            follow each other without a hole, unless only a part of the log was asked for. Each
            part begins with a block at 0, which may be empty.
        data: about 1 MiB at most; whole lines with their newlines. Only a line that is longer than
            that may be cut anywhere, and only the last line of a part may lack its newline.
        read: bytes of the log that were read by then, packed ones as they are stored; they end at
            ``LogReader.size``. For progress, nothing else.
    """

    part: str
    offset: int
    data: bytes
    read: int = 0


class Flaw(NamedTuple):
    """A problem with a part, in place of bytes that a reader could not give.

    Attributes:
        part: its name.
        kind: ``missing``: it should be there and is not, or it is no regular file;
            ``damaged``: it cannot be unpacked from here on; ``cut``: it is packed, and ends in the
            middle; ``unread``: no key that is given says that it is of the log.
        note: why, for people.
    """

    part: str
    kind: str
    note: str


LONGEST_CHECKPOINT = 64 * 1024
"""Bytes of a line that may be a checkpoint, which has a few hundred."""

MISSING, DAMAGED, CUT, UNREAD = "missing", "damaged", "cut", "unread"


class CheckpointLine(NamedTuple):
    """One line of the file or table of checkpoints.

    Attributes:
        place: where it begins.
        line: without its newline; empty where ``size`` says that it is too long to be one.
        late: it may be younger than the end of the records that this reader gives.
        torn: it has no newline.
        size: bytes of the line.
        lines: how many adjacent lines this is, with newlines between them; more than one only for
            lines without a member ``v``, which are no checkpoints of any version. All of them end
            in a closing brace, or none does.
    """

    place: Place
    line: bytes
    late: bool = False
    torn: bool = False
    size: int = 0
    lines: int = 1


class Bounds(NamedTuple):
    """The first and the last record of a log; they are not verified.

    Attributes:
        first, last: the first record that can be found, and the last; ``None`` where there is none,
            and for standard input, which can be read only once.
    """

    first: Head | None
    last: Head | None


class LogReader(Protocol):
    """One log, as it is when the reader is made.

    Records that are written later may be given or not, but never one without all those before it.
    A reader is used by one thread, and must be closed.

    Attributes:
        name: of the log, as it was asked for.
        whole: all parts of the log were looked for, not only those that were named, so that what
            the log declares (checkpoints, bytes in ``quarantine/``) must be found.
        directory: where derived data (hash tiles) may be kept beside the log; empty where there is
            no such place.
        size: bytes that ``blocks`` reads, packed ones as they are stored; -1 if that is not known.

    Every method may raise ``OSError`` (it cannot be read) and ``UnsupportedError`` (it is packed in
    a way that cannot be read here).
    """

    @property
    def name(self) -> str: ...

    @property
    def whole(self) -> bool: ...

    @property
    def directory(self) -> str: ...

    @property
    def size(self) -> int: ...

    def blocks(self, *, from_seq: int = 0, until: str = "") -> Iterator[Block | Flaw]:
        """The log, in the order of its chain: parts oldest first, each from its beginning.

        Args:
            from_seq: records before this one may be left out, if the parts that are left out
                certainly lead to those that are not. The first block may begin before it.
            until: the log ends with the last record whose ``ts`` is at most this; empty for all.
                In a log without such a record there is nothing.
        """
        ...

    def search(self, *, seq: int = 0, since: str = "", until: str = "") -> Iterator[Block]:
        """Blocks of whole lines that hold every record asked for, and perhaps others.

        The newest part comes first; within it the order is that of the log. Lines without an end,
        and those that are too long to be records, are left out. A damaged part is an ``OSError``.

        Args:
            seq: only the record with this number; 0 for any.
            since, until: only records with a ``ts`` that is at least ``since`` and below ``until``;
                empty for any.
        """
        ...

    def since(self, head: Head | None) -> Iterator[Block | Flaw]:
        """The log after a record that was seen before: as ``blocks``, from there on.

        Args:
            head: of that record; ``None`` for the whole log.

        Raises:
            LookupError: no record here has this ``seq`` and this ``hash``: the log was cut, or
                written anew, or its beginning is kept elsewhere by now.
        """
        ...

    def checkpoints(self) -> Iterator[CheckpointLine] | None:
        """The checkpoints in the order in which they were signed; ``None``: nothing keeps any.

        They are read from the beginning each time. Those that are added meanwhile come, too, and
        are marked as ``late``.
        """
        ...

    def kept(self, size: int, digest: str) -> bool:
        """Whether bytes that the log declares to have been moved aside are still there.

        Args:
            size, digest: their number and their SHA-256 (hex); the newline that ends them belongs
                to them or not.
        """
        ...

    def bounds(self) -> Bounds:
        """The first and the last record, in a few reads unless the last part is packed."""
        ...

    def close(self) -> None:
        """Close descriptors and connections; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Prover(NamedTuple):
    """What is to be proved of a block; see ``audit_emit._format.block.prove``."""

    named: Sequence[int] = ()
    tree: bool = False
    strict: bool = False
    watch: Watch | None = None


class ProvedBlock(NamedTuple):
    """Whole lines that another process has proved, so that they need not be read here.

    Attributes:
        part, offset, read: as of a ``Block``.
        size: bytes of the lines.
        proof: what they prove.
        load: reads them, given ``offset`` and ``size``, should the proof not suffice. To be called
            before the next block is asked for.
    """

    part: str
    offset: int
    size: int
    proof: Proof
    load: Callable[[int, int], bytes]
    read: int


@runtime_checkable
class ProvingReader(Protocol):
    """A reader that can have its blocks proved by several processes."""

    def proved(
        self, prover: Prover, jobs: int, *, from_seq: int = 0, until: str = ""
    ) -> Iterator[Block | Flaw | ProvedBlock]:
        """As ``blocks``; what was proved on the way comes without its bytes.

        Args:
            jobs: how many processes.
        """
        ...


@runtime_checkable
class TypedReader(Protocol):
    """A reader that finds the records of one type faster than by reading all of them."""

    def of_type(self, event_type: str) -> Iterator[tuple[str, bytes]]:
        """The lines of these records, each with the name of its part.

        The newest part comes first; within it the order is that of the log.
        """
        ...


@runtime_checkable
class PagingReader(Protocol):
    """A reader that finds a page of a chain without reading what is before and after it."""

    def newest(self, before: int = 0, having: Mapping[str, str] | None = None) -> Iterator[Block]:
        """As ``search``; every block is a part of its own, so that all that follow are older.

        Args:
            before: only records with a smaller number; 0 for any.
            having: only records whose ``event_type``, ``workspace_id``, ``user_id`` or
                ``correlation_id`` is this: at most 200 printable characters of ASCII, no spaces.
                Records that have something else may come, too.
        """
        ...

    def count(self, having: Mapping[str, str]) -> int | None:
        """The exact number of such records; ``None`` if each would have to be read for that."""
        ...
