"""Which files make up a log, in which order, and their bytes, compressed or not."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, cast

from audit_emit._evidence.proof import link_of
from audit_emit.chain import body_of, leaf_hash
from audit_emit.errors import AuditEmitError
from audit_emit.sinks.segments import Layout

BLOCK = 256 * 1024
ACTIVE = "audit.jsonl"
CHECKPOINTS = "checkpoints.jsonl"

_PACKED = r"(\.gz|\.zst)?"
_MAGIC = re.compile(rb"(?P<gzip>\x1f\x8b)|(?P<zstd>\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)")
"""RFC 1952; RFC 8878, whose frames may begin with one that is skipped."""


class UnsupportedError(AuditEmitError):
    """A file is packed in a way that needs a package which is not installed."""


class LogFile(NamedTuple):
    """One file of a log.

    Attributes:
        path: ``-`` for standard input.
        identity: device and inode: which file it is, whatever its name is by now.
        size: bytes when it was looked at; -1 for what is no regular file.
        packed: ``gzip``, ``zstd`` or nothing.
        first_seq: of the first record that has the hash it states; 0 for a file of records from
            before there was a chain, -1 when it cannot be told.
        first_ts: of the first line, as far as it has one.
        descriptor: open for reading, where the path may soon be another file's; else -1.
    """

    path: str
    identity: tuple[int, int]
    size: int
    packed: str = ""
    first_seq: int = -1
    first_ts: str = ""
    descriptor: int = -1

    @property
    def name(self) -> str:
        """What findings call it."""
        return os.path.basename(self.path)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the file.

        Raises:
            OSError: it cannot be read, or another file is at its path by now.
        """
        if self.path == "-":
            yield 0
            return
        if self.descriptor >= 0:
            yield self.descriptor
            return
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
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
        whole: everything that is there was looked for, and not only what was named.
    """

    name: str
    files: list[LogFile]
    checkpoints: str
    checkpoints_size: int = 0
    missing: str = ""
    whole: bool = False


def is_segment_alone(name: str) -> bool:
    """Whether a file name says: one segment of a log, not the active one."""
    return bool(
        re.search(r"-[0-9]{20}\.[A-Za-z]+" + _PACKED + r"$", name)
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
    missing = ""
    try:
        files.append(look_at(layout.active, keep=True))
    except FileNotFoundError:
        missing = os.path.basename(layout.active)
    seen = {file.identity for file in files}
    for path in segment_paths(layout):
        try:
            file = look_at(path)
        except FileNotFoundError:
            continue  # renamed or packed since; the hole shows if nothing came in its place
        if file.identity not in seen:
            seen.add(file.identity)
            files.append(file)
    if missing and _is_there(layout.active + ".new"):
        missing = ""  # a rotation ended between its two renames
    there = checkpoints if _is_there(checkpoints) else ""
    return Log(name, in_order(files), there, size, missing if files else "", whole=True)


def _is_there(path: str) -> bool:
    """Whether a name is taken; what cannot be told is not the same as no.

    Raises:
        OSError: it cannot be told.
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
        OSError: it cannot be read, or is a directory.
        UnsupportedError: see there.
    """
    if path == "-":
        return LogFile(path, (0, 0), -1)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(21, "Is a directory", path)
        if not stat.S_ISREG(found.st_mode):
            return LogFile(path, _identity(found), -1)
        magic = _MAGIC.match(os.pread(descriptor, 4, 0))
        packed = (magic.lastgroup or "") if magic else ""
        file = LogFile(path, _identity(found), found.st_size, packed)
        first_seq, first_ts = _first(beginning(file, descriptor))
        kept = os.dup(descriptor) if keep else -1
        return file._replace(first_seq=first_seq, first_ts=first_ts, descriptor=kept)
    finally:
        os.close(descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def in_order(files: Sequence[LogFile]) -> list[LogFile]:
    """Oldest first: by the first record, whatever the names are."""
    return sorted(files, key=_rank)


def _rank(file: LogFile) -> tuple[int, str, str]:
    first = file.first_seq
    if first < 0:
        number = re.search(r"-([0-9]{20})\.", file.name)
        first = int(number[1]) if number else 1 << 63
    return first, file.first_ts, file.name


def _first(data: bytes) -> tuple[int, str]:
    """``first_seq`` and ``first_ts`` of a file that begins with ``data``."""
    lines = data.split(b"\n")[:-1]
    ts = next((line[7:37].decode("latin-1") for line in lines if line[:7] == b'{"ts":"'), "")
    for line in lines:
        link = link_of(line)
        if link is not None and leaf_hash(body_of(line)) == link[4].decode():
            return int(link[2]), ts
    return (0 if ts and b'"prev_hash":"' not in data else -1), ts


def beginning(file: LogFile, descriptor: int) -> bytes:
    """The first bytes of a regular file."""
    if not file.packed:
        return os.pread(descriptor, BLOCK, 0)
    try:
        with unpacked(file, descriptor) as stream:
            return stream.read(BLOCK)
    except broken():
        return b""


@contextmanager
def unpacked(file: LogFile, descriptor: int) -> Iterator[IO[bytes]]:
    """The plain bytes of a packed file, from its beginning.

    Raises:
        UnsupportedError: see there.
    """
    with open(os.dup(descriptor), "rb") as raw:
        raw.seek(0)
        if file.packed == "gzip":
            import gzip  # noqa: PLC0415 - only for packed files

            with gzip.GzipFile(fileobj=raw) as stream:
                yield cast("IO[bytes]", stream)
        else:
            yield _zstd(raw, file.name)


def _zstd(raw: IO[bytes], name: str) -> IO[bytes]:
    module = _zstd_module()
    if module is None:
        raise UnsupportedError(
            f"{name} is packed with zstd; pip install 'audit-emit[zstd]', or unpack it first"
        )
    return cast("IO[bytes]", module.ZstdFile(raw))


def _zstd_module() -> Any:
    # Not ``zstandard``: its streams end without a word where a file was cut off. Imports, and not
    # names of modules: whatever packs a program looks for them.
    try:
        import compression.zstd as found  # type: ignore[import-not-found] # noqa: PLC0415 - 3.14
    except ModuleNotFoundError:
        try:
            import backports.zstd as found  # noqa: PLC0415 - only for packed files
        except ModuleNotFoundError:
            return None
    return found


def broken() -> tuple[type[BaseException], ...]:
    """What reading a damaged packed file raises."""
    import gzip  # noqa: PLC0415 - only for packed files
    import zlib  # noqa: PLC0415

    module = _zstd_module()
    known: tuple[type[BaseException], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    return known if module is None else (*known, module.ZstdError)
