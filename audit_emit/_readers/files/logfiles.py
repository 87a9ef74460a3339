"""Which files make up a log, in which order, and their bytes, compressed or not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._format.line_splitter import split_lines
from audit_emit._format.link import link_of
from audit_emit._format.record import Head
from audit_emit._readers.files.packing import broken, unpacked
from audit_emit._readers.files.regular import open_regular
from audit_emit._stores.jsonl.directory import Layout
from audit_emit.errors import NotRegularError

BLOCK = 256 * 1024
ACTIVE = "audit.jsonl"
CHECKPOINTS = "checkpoints.jsonl"

_PACKED = r"(\.gz|\.zst)?"
_NUMBERED = re.compile(r"-([0-9]{20})\.[A-Za-z]+" + _PACKED + r"$")
_MAGIC = re.compile(rb"(?P<gzip>\x1f\x8b)|(?P<zstd>\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)")
"""The magic numbers of gzip (RFC 1952) and zstd (RFC 8878), also of its skippable frames."""


class LogFile(NamedTuple):
    """One file of a log.

    Attributes:
        path: ``-`` for standard input.
        identity: device and inode: which file it is, whatever its name is by now.
        size: bytes when it was looked at; -1 for standard input.
        packed: ``gzip``, ``zstd`` or nothing.
        first_seq: of the first record that has the hash it states; 0 for a file of records from
            before there was a chain, -1 when it cannot be told.
        first_ts: of the first line, as far as it has one.
        first_prev: ``prev_hash`` of that record; empty when it cannot be told.
        descriptor: open for reading, where the path may soon be another file's; else -1.
        end: unpacked bytes that are wanted of it; -1 for all.
        fetch: brings a file that is kept elsewhere here, and gives a descriptor of it, which is
            then the caller's; ``None`` for a file at ``path``.
        ahead: returns a function with which another process may fetch it in advance, or raises
            ``ArchiveError`` where it must not; ``None`` where only ``fetch`` can.
        last: its last record, where that is known without reading it.
        span: the earliest and the latest ``ts`` in it, likewise.
    """

    path: str
    identity: tuple[int, int]
    size: int
    packed: str = ""
    first_seq: int = -1
    first_ts: str = ""
    first_prev: str = ""
    descriptor: int = -1
    end: int = -1
    fetch: Callable[[], int] | None = None
    ahead: Callable[[], Callable[[], int]] | None = None
    last: Head | None = None
    span: tuple[str, str] = ("", "")

    @property
    def name(self) -> str:
        """What findings call it."""
        return os.path.basename(self.path)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the file.

        Raises:
            OSError: it cannot be read, or another file is at its path by now.
            ArchiveError: it is kept elsewhere, and is not what it should be.
        """
        if self.fetch is not None:
            descriptor = self.fetch()
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            return
        if self.path == "-":
            yield 0
            return
        if self.descriptor >= 0:
            yield self.descriptor
            return
        descriptor = open_regular(self.path)
        try:
            if _identity(os.fstat(descriptor)) != self.identity:
                raise FileNotFoundError(2, "is another file by now", self.path)
            yield descriptor
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Give the descriptor back."""
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Log(NamedTuple):
    """The files of one log, oldest first.

    Attributes:
        name: what was asked for.
        files: all that hold records.
        checkpoints: the path of the checkpoints; empty when there are none.
        checkpoints_size: their bytes before the files were looked at. What comes after that may
            be younger than the files.
        missing: the name of the active segment, if that is missing.
        strange: names of segments that are no regular files, and why they are not read.
        whole: all files of the log were looked for, not only those that were named.
    """

    name: str
    files: list[LogFile]
    checkpoints: str
    checkpoints_size: int = 0
    missing: str = ""
    whole: bool = False
    strange: tuple[tuple[str, str], ...] = ()


def is_segment_alone(name: str) -> bool:
    """Whether a file name says: one segment of a log, not the active one."""
    return bool(
        _NUMBERED.search(name)
        or re.search(r"\.[A-Za-z]+[.-][0-9][0-9T_:.-]*" + _PACKED + r"$", name)
        or name.endswith((".gz", ".zst"))
    )


def segment_paths(layout: Layout) -> list[str]:
    """The closed segments beside an active one, whoever closed, renamed or packed them."""
    stem, ending = re.escape(layout.stem), re.escape(layout.ending)
    named = re.compile(
        rf"(?:{stem}-[0-9]{{20}}{ending}|{stem}{ending}[.-](?:[0-9][0-9T_:.-]*|old))?{_PACKED}"
    )
    try:
        names = sorted(os.listdir(layout.directory or "."))
    except NotADirectoryError:
        return []
    found = [name for name in names if named.fullmatch(name)]
    # While a file is being packed, both are there.
    return [
        os.path.join(layout.directory, name)
        for name in found
        if not (name.endswith((".gz", ".zst")) and name.rpartition(".")[0] in found)
    ]


def _listed(layout: Layout) -> list[str]:
    """The closed segments, and no later one without those before it.

    A directory is not listed at one moment: of two files that are closed meanwhile the listing may
    have the later one alone, and a log that is whole would seem to have a hole. A second listing
    has all that was there before it began; what is newer than the first one is for the next look.
    """
    newest = max(map(_number, segment_paths(layout)), default="")
    return [path for path in segment_paths(layout) if _number(path) <= newest]


def _number(path: str) -> str:
    """The digits that this library names a closed segment by; of another name none."""
    found = _NUMBERED.search(path)
    return found[1] if found else ""


def open_log(layout: Layout, name: str) -> Log:
    """Open a whole log.

    Raises:
        OSError: a file cannot be read.
        UnsupportedError: see there.
    """
    # The checkpoints' size before all: they are about records that are there already. Then the
    # active segment: should it be closed meanwhile, it is in the listing as well, never missing.
    checkpoints = os.path.join(layout.directory, CHECKPOINTS)
    size = os.stat(checkpoints).st_size if _is_there(checkpoints) else 0
    files: list[LogFile] = []
    strange: list[tuple[str, str]] = []
    missing = ""
    try:
        files.append(look_at(layout.active, keep=True))
    except FileNotFoundError:
        missing = os.path.basename(layout.active)
    seen = {file.identity for file in files}
    for path in _listed(layout):
        try:
            file = look_at(path)
        except FileNotFoundError:
            continue  # renamed or packed since; the hole shows if nothing came in its place
        except (NotRegularError, IsADirectoryError) as error:
            strange.append((os.path.basename(path), str(error.strerror)))
            continue
        if file.identity not in seen:
            seen.add(file.identity)
            files.append(file)
    if missing and (_is_there(layout.active + ".new") or _is_there(layout.active)):
        missing = ""  # a rotation was, or ended, between its two renames
    there = checkpoints if _is_there(checkpoints) else ""
    missing = missing if files else ""
    files = [_grown(file, files) for file in files]
    return Log(name, in_order(files), there, size, missing, whole=True, strange=tuple(strange))


def _grown(file: LogFile, files: Sequence[LogFile]) -> LogFile:
    """The file that was the active one, to its end, if it was closed while the others were found.

    The ones after it may begin with what came later than its size was taken; and it may have been
    empty then, so that nothing said where it belongs.
    """
    if file.descriptor < 0 or all(other.first_seq <= file.first_seq for other in files):
        return file
    return _seen(file.path, file.descriptor)._replace(descriptor=file.descriptor)


def _is_there(path: str) -> bool:
    """Whether something has this name; unlike ``os.path.exists``, an error is not taken for no.

    Raises:
        OSError: it cannot be found out.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def look_at(path: str, *, keep: bool = False) -> LogFile:
    """What a file is, and where its records begin.

    Args:
        keep: keep it open; the caller closes it.

    Raises:
        NotRegularError: see there.
        OSError: it cannot be read, or is a directory.
        UnsupportedError: see there.
    """
    if path == "-":
        return LogFile(path, (0, 0), -1)
    descriptor = open_regular(path)
    try:
        file = _seen(path, descriptor)
        return file._replace(descriptor=os.dup(descriptor)) if keep else file
    finally:
        os.close(descriptor)


def _seen(path: str, descriptor: int) -> LogFile:
    found = os.fstat(descriptor)
    magic = _MAGIC.match(os.pread(descriptor, 4, 0))
    packed = (magic.lastgroup or "") if magic else ""
    file = LogFile(path, _identity(found), found.st_size, packed)
    first_seq, first_ts, prev = _first(beginning(file, descriptor))
    return file._replace(first_seq=first_seq, first_ts=first_ts, first_prev=prev)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def in_order(files: Sequence[LogFile]) -> list[LogFile]:
    """Oldest first: by the first record, whatever the names are."""
    return sorted(files, key=_rank)


def _rank(file: LogFile) -> tuple[int, str, str]:
    first = file.first_seq
    if first < 0:
        first = int(_number(file.name) or 1 << 63)
    return first, file.first_ts, file.name


def _first(data: bytes) -> tuple[int, str, str]:
    """``first_seq``, ``first_ts`` and ``first_prev`` of a file that begins with ``data``.

    One line that was put before the others must not decide where the file belongs: the first
    record is the one that the next one links to, if there are such.
    """
    lines = split_lines(data)
    ts = next((line[7:37].decode("latin-1") for line in lines if line[:7] == b'{"ts":"'), "")
    first: re.Match[bytes] | None = None
    before: re.Match[bytes] | None = None
    for line in lines:
        link = link_of(line)
        if link is None or leaf_hash(body_of(line)) != link[4].decode():
            continue
        if before is not None and before[4] == link[3]:
            first = before
            break
        first, before = first or link, link
    if first is not None:
        return int(first[2]), ts, first[3].decode()
    return (0 if ts and b'"prev_hash":"' not in data else -1), ts, ""


def beginning(file: LogFile, descriptor: int) -> bytes:
    """The first bytes of a regular file."""
    if not file.packed:
        return os.pread(descriptor, BLOCK, 0)
    try:
        with unpacked(file, descriptor) as stream:
            return stream.read(BLOCK)
    except broken():
        return b""
