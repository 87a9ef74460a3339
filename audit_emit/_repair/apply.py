"""Carries out a repair plan.

The steps have this order, so that a crash at any point loses nothing and leaves a usable log:

1. Copy the bytes into ``quarantine/``, and make a hard link to the unchanged file there.
2. Declare them in the chain with ``audit.recovered``. From here on the log verifies.
3. Write a new file without these bytes, and rename it over the old one.

After a crash the repair can be run again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from itertools import groupby
from typing import Any, NamedTuple

from audit_emit._core.emitter import Emitter
from audit_emit._format.line_splitter import Lines, TooLong, split_lines
from audit_emit._format.record import head_of
from audit_emit._readers.files.logfiles import BLOCK
from audit_emit._readers.files.plain_lines import forward
from audit_emit._readers.files.quarantine import QUARANTINE
from audit_emit._repair.plan import Quarantine
from audit_emit._runtime.atomic import named_when_whole
from audit_emit._runtime.files import naming, sync_directory, write_all
from audit_emit._runtime.retry import retry_write
from audit_emit._stores.jsonl.directory import FILE_MODE, Layout, make_directory, open_file
from audit_emit._stores.jsonl.lockfile import LockFile
from audit_emit._stores.jsonl.rotation import FRESH_NS
from audit_emit._verify.legacy import RECORD as LEGACY
from audit_emit.errors import RepairError, SinkError

LOCK_SECONDS = 10.0
DIRECTORY = QUARANTINE


class Moved(NamedTuple):
    """Bytes that were moved to ``quarantine/``.

    Attributes:
        action: the action of the plan.
        name: the name of the file in ``quarantine/`` that holds them.
        sha256: their SHA-256, in hex.
    """

    action: Quarantine
    name: str
    sha256: str


def apply(layout: Layout, actions: Sequence[Quarantine]) -> list[Moved]:
    """Move bytes to ``quarantine/`` and declare them.

    Args:
        layout: where the log is.
        actions: the actions of a plan that was just made.

    Raises:
        RepairError: the log was changed since the plan was made, or its lock cannot be taken.
            Nothing is lost. Or no record is in it (see ``service_of``): nothing was touched.
        OSError: a file cannot be read or written. Nothing is lost.
    """
    if not actions:
        return []
    service_of(layout)
    make_directory(os.path.join(layout.directory, DIRECTORY))
    moved = [_copy_out(layout, action) for action in actions]
    for name in dict.fromkeys(action.file for action in actions):
        _keep_original(layout, name)
    sync_directory(os.path.join(layout.directory, DIRECTORY), must=True)
    sync_directory(layout.directory, must=True)
    _declare(layout, moved)
    for name, group in groupby(moved, key=lambda one: one.action.file):
        with _locked(layout), naming(os.path.join(layout.directory, name)):
            _rewrite(layout, name, list(group))
    return moved


def _copy_out(layout: Layout, action: Quarantine) -> Moved:
    """Copy bytes that may be more than fit into memory."""
    source = os.open(os.path.join(layout.directory, action.file), os.O_RDONLY | os.O_CLOEXEC)
    try:
        digest = _digest(source, action)
        name = f"{action.file}.{action.offset}.{digest[:16]}.bytes"
        path = os.path.join(layout.directory, DIRECTORY, name)
        with suppress(FileNotFoundError):
            os.unlink(f"{path}.new")  # left from an earlier attempt
        with naming(path), named_when_whole(f"{path}.new", path, FILE_MODE) as target:
            _copy(source, target, action.offset, action.offset + action.size)
    finally:
        os.close(source)
    return Moved(action, name, digest)


def _digest(source: int, action: Quarantine) -> str:
    """The SHA-256 of bytes that are to be moved, none of which is a record, in hex.

    Raises:
        RepairError: there are fewer, or a record is among them: the file is another than it was.
    """
    lines, digest, found = Lines(), sha256(), False
    for data in _pieces(source, action.offset, action.offset + action.size):
        digest.update(data)
        found = found or any(map(_holds_record, lines.feed(data)))
    if found or head_of(lines.rest()[0]):
        raise RepairError(f"{action.file} was changed since it was verified")
    return digest.hexdigest()


def _holds_record(part: bytes | TooLong) -> bool:
    return isinstance(part, bytes) and any(map(head_of, split_lines(part)))


def _keep_original(layout: Layout, name: str) -> None:
    """Make a hard link to the unchanged file. It takes no space, and outlives the replacement."""
    path = os.path.join(layout.directory, name)
    number = 0
    while True:
        backup = os.path.join(
            layout.directory, DIRECTORY, f"{name}.{number}.bak" if number else f"{name}.bak"
        )
        if not os.path.lexists(backup):
            os.link(path, backup)
            return
        if os.path.samefile(path, backup):
            return
        number += 1


def declare_legacy(layout: Layout, size: int, digest: str) -> None:
    """Declare in the chain which records are older than the chain.

    Args:
        layout: where the log is.
        size, digest: see ``Report.unclaimed``.

    Raises:
        RepairError: the log cannot be written to.
    """
    _append(layout, [(LEGACY, {"bytes": size, "sha256": digest})])


def _declare(layout: Layout, moved: Sequence[Moved]) -> None:
    """Write the declarations into the chain, durably."""
    fields = [
        {
            "offset": one.action.offset,
            "bytes": one.action.size,
            "sha256": one.sha256,
            "file": one.action.file,
            "quarantine": one.name,
        }
        for one in moved
    ]
    _append(layout, [("audit.recovered", each) for each in fields])


def _append(layout: Layout, records: Sequence[tuple[str, dict[str, Any]]]) -> None:
    emitter = Emitter(
        service=service_of(layout),
        jsonl=layout.active,
        stdout=False,
        durability="always",
        checkpoint=False,
        max_bytes=1 << 50,
    )
    try:
        if emitter.store is None:
            raise RepairError("the log's path cannot be written to")
        for event_type, fields in records:
            retry_write(partial(emitter.record_own, event_type, fields))
    except SinkError as error:
        raise RepairError(
            f"the log cannot be written to ({error.reason}); nothing of it was changed"
        ) from error
    finally:
        emitter.close()


def service_of(layout: Layout) -> str:
    """The name of the service, as the records of the log have it.

    Raises:
        RepairError: there is none, so nobody can say whether this is a log at all, and there is no
            chain in which what is moved could be declared.
    """
    for path in [layout.active, *reversed(layout.closed_segments())]:
        try:
            with open(path, "rb") as file:
                for line in forward(file.fileno(), 0, sys.maxsize):
                    if head_of(line) is not None:
                        return str(json.loads(line)["service"])
        except FileNotFoundError:
            continue
    raise RepairError(
        f"{layout.active} is no log, as no record is in it; nothing was moved. A service that "
        "begins to write there declares a torn line itself; any other file move away by hand"
    )


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    lock = LockFile(layout.lock, layout.lock_twin)
    lock.open()
    try:
        if not lock.acquire(time.monotonic() + LOCK_SECONDS):
            raise RepairError("another process holds the log's lock")
        yield
        # Wait until every writer has noticed that the file was replaced: they compare the path
        # with their open file at least this often (segment.py, invariant 4).
        time.sleep(2 * FRESH_NS / 1e9)
    finally:
        lock.close()


def _rewrite(layout: Layout, name: str, moved: Sequence[Moved]) -> None:
    """Replace a file by one without the bytes that were moved."""
    path = os.path.join(layout.directory, name)
    fresh = os.path.join(layout.directory, DIRECTORY, f"{name}.new")
    if os.path.lexists(fresh):
        os.unlink(fresh)
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    target = -1
    try:
        target = open_file(fresh, append=False, exclusive=True)
        position = 0
        for one in moved:
            _copy(source, target, position, one.action.offset)
            position = _after(source, one)
        _copy(source, target, position, os.fstat(source).st_size)
        os.fchmod(target, os.fstat(source).st_mode & 0o7777)
        os.fsync(target)
    finally:
        os.close(source)
        if target >= 0:
            os.close(target)
    os.rename(fresh, path)
    sync_directory(layout.directory)


def _after(source: int, one: Moved) -> int:
    """The offset after bytes that were moved.

    Raises:
        RepairError: the bytes there are not the ones that were moved.
    """
    action = one.action
    end = action.offset + action.size
    behind = os.pread(source, 1, end)
    if _digest(source, action) != one.sha256 or behind not in {b"\n", b""}:
        raise RepairError(f"{action.file} was changed since it was verified")
    return end + len(behind)


def _copy(source: int, target: int, start: int, end: int) -> None:
    for data in _pieces(source, start, end):
        write_all(target, data)


def _pieces(source: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        data = os.pread(source, min(BLOCK, end - start), start)
        if not data:
            raise RepairError("the file became shorter while it was read")
        yield data
        start += len(data)
