"""Parts of files that other processes prove, several at a time and ahead of the caller."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Self

from audit_emit._format import merkle_ranges
from audit_emit._format.block import Proof, prove, use
from audit_emit._format.line_splitter import MAX_LINE, line_end, lines_end
from audit_emit._format.unanchored import Watch
from audit_emit._readers.files.logfiles import BLOCK, LogFile
from audit_emit._readers.files.packing import broken, unpacked
from audit_emit._runtime import compiled as _compiled
from audit_emit.errors import ArchiveError

if TYPE_CHECKING:
    from concurrent.futures import Future

use(_compiled.linked)
merkle_ranges.use(_compiled.parents)

PART = 8 * 1024 * 1024
"""Bytes of a plain file that one process proves at a time; a packed one is one part."""

UNPACKED = 64 * PART
"""Bytes of a packed file that are proved ahead; the caller reads the rest itself."""

_WORTH = 256 * 1024
"""Bytes below which starting other processes takes longer than it saves."""

_TOLD = 64
"""How many records a proof of a block may name one by one. Proofs wait in memory for the caller;
one with more records would need more memory than the block, so the caller reads that block."""

_RATIO = 8
"""By what factor a packed file grows, as an estimate."""


class Block(NamedTuple):
    """Whole lines of a file: where they are, and what they prove."""

    proof: Proof | None
    start: int
    size: int


class Proved(NamedTuple):
    """What one process found; ``ended``: the file ends with the last block, and well."""

    blocks: list[Block]
    ended: bool


class Task(NamedTuple):
    """A part of a file, by its number in the list of files."""

    number: int
    file: LogFile
    start: int
    end: int


class Pool:
    """Processes that prove the blocks of files.

    Args:
        files: in the order in which they will be asked for.
        jobs: processes.
        named, tree, strict, watch: see ``prove``.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        jobs: int,
        named: Sequence[int],
        *,
        tree: bool,
        strict: bool,
        watch: Watch | None,
    ) -> None:
        import multiprocessing  # noqa: PLC0415 - a short log needs neither
        from concurrent.futures import BrokenExecutor, ProcessPoolExecutor  # noqa: PLC0415

        method = "fork" if sys.platform == "linux" else None
        jobs = min(jobs, sum(1 for number, file in enumerate(files) for _ in _tasks(number, file)))
        self._executor = ProcessPoolExecutor(
            max(jobs, 1),  # all of them begin with the first task
            mp_context=multiprocessing.get_context(method),
            initializer=_prepare,
            initargs=(named, tree, strict, watch),
        )
        self._files = files
        self._tasks = chain.from_iterable(_tasks(number, file) for number, file in enumerate(files))
        self._next: Task | None = None
        self._broken = BrokenExecutor
        self._ahead = 2 * jobs + 1
        self._waiting: deque[tuple[Task, Future[Proved]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def proved(self, file: LogFile) -> Iterator[Proved]:
        """What is known of a file, in order; files are asked for in order, too."""
        number = self._files.index(file)
        while True:
            self._fill(number)
            if not self._waiting or self._waiting[0][0].number != number:
                return
            _, future = self._waiting.popleft()
            try:
                found = future.result()
            except self._broken:
                return  # one was killed, perhaps for its memory: the caller reads the rest
            yield found

    def _fill(self, number: int) -> None:
        while self._waiting and self._waiting[0][0].number < number:
            self._waiting.popleft()[1].cancel()
        while len(self._waiting) < self._ahead:
            while self._next is None or self._next.number < number:
                self._next = next(self._tasks, None)
                if self._next is None:
                    return
            try:
                made = self._executor.submit(_prove_part, _sent(self._next))
            except (ArchiveError, self._broken):
                return  # a key may be known later; else the caller gets the same error in its turn
            self._waiting.append((self._next, made))
            self._next = None


def is_worth_it(files: Sequence[LogFile]) -> bool:
    """Whether several processes are done earlier than one."""
    return sum(file.size * (_RATIO if file.packed else 1) for file in files) > PART


def _tasks(number: int, file: LogFile) -> Iterator[Task]:
    if file.fetch is not None and file.ahead is None:
        return
    if file.packed:
        yield Task(number, file, 0, UNPACKED)
    elif file.size > _WORTH:
        for start in range(0, file.size, PART):
            yield Task(number, file, start, min(start + PART, file.size))


def _sent(task: Task) -> Task:
    """The task as another process gets it: a file that is kept elsewhere is brought there.

    Raises:
        ArchiveError: nobody who is trusted says that the file is of the log.
    """
    if task.file.ahead is None:
        return task
    return task._replace(file=task.file._replace(fetch=task.file.ahead(), ahead=None))


_named: Sequence[int] = ()
_tree = _strict = False
_watch: Watch | None = None


def _prepare(named: Sequence[int], tree: bool, strict: bool, watch: Watch | None) -> None:
    """Set what every part needs, once in each process."""
    global _named, _tree, _strict, _watch
    _named, _tree, _strict, _watch = named, tree, strict, watch
    # The parent handles Ctrl-C; here it ends the process at once, even in the middle of a download.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that began it was killed: it would wait for work forever."""
    from multiprocessing import connection, parent_process  # noqa: PLC0415 - a child has them

    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _prove_part(task: Task) -> Proved:
    """Prove the lines that begin in a part of a file; nothing if it is another file by now."""
    try:
        with task.file._replace(descriptor=-1).opened() as descriptor:
            if task.file.packed:
                return _prove_packed(task, descriptor)
            start = _line_start(descriptor, task.start)
            end = _line_start(descriptor, task.end)
            if start is None or end is None:
                return Proved([], ended=False)
            return Proved(list(_blocks(descriptor, start, end)), ended=False)
    except (OSError, ArchiveError):
        return Proved([], ended=False)


def _prove_packed(task: Task, descriptor: int) -> Proved:
    blocks: list[Block] = []
    rest, start = b"", 0
    left = task.file.end if task.file.end >= 0 else sys.maxsize
    try:
        with unpacked(task.file, descriptor) as stream:
            while data := stream.read(min(BLOCK, left)):
                left -= len(data)
                data = rest + data
                cut = lines_end(data)
                rest = data[cut:]
                if cut:
                    blocks.append(_block(data[:cut], start))
                    start += blocks[-1].size
                if start + len(rest) >= task.end or len(rest) > MAX_LINE:
                    return Proved(blocks, ended=False)
    except broken():
        return Proved(blocks, ended=False)
    return Proved(blocks, ended=not rest)


def _line_start(descriptor: int, position: int) -> int | None:
    """Where the first line begins that does not begin before ``position``.

    ``None`` when that is further away than a record is long: who reads the file in order finds it.
    """
    if position == 0:
        return 0
    at = position - 1
    while data := os.pread(descriptor, BLOCK, at):
        end = line_end(data)
        if end:
            return at + end
        at += len(data)
        if at - position > MAX_LINE:
            return None
    return at


def _blocks(descriptor: int, position: int, end: int) -> Iterator[Block]:
    while position < end:
        data = os.pread(descriptor, min(BLOCK, end - position), position)
        if not data:
            return
        cut = lines_end(data)
        block = _block(data[:cut], position) if cut else Block(None, position, len(data))
        yield block
        position += block.size


def _block(lines: bytes, start: int) -> Block:
    proof = prove(lines, _named, tree=_tree, strict=_strict, watch=_watch)
    if proof is not None and len(proof.marks) + len(proof.own) > _TOLD:
        proof = None
    return Block(proof, start, len(lines))
