"""The files of hash tiles (C2SP tlog-tiles) below ``tile/``: read, written, synced."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from contextlib import suppress

WIDTH = 256
"""Hashes of a full tile."""

HASH = 32
_FULL = WIDTH * HASH

_FILE_MODE, _DIRECTORY_MODE = 0o640, 0o750
_AT = {os.open, os.mkdir, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_UNNAMED: int | None = getattr(os, "O_TMPFILE", None)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


def path_of(level: int, number: int, width: int = WIDTH) -> tuple[str, ...]:
    """The path of a tile as C2SP tlog-tiles has it: ``tile/0/x001/067``, ``tile/0/000.p/5``.

    Args:
        level: 0 for leaves; each level has 1/256 of the hashes of the level below.
        number: the number of the tile in its level, from 0.
        width: the number of hashes in it; less than 256 for a partial tile, at the end of a level.
    """
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03}")
    name, *above = parts
    partial = () if width == WIDTH else (f"{name}.p", str(width))
    return ("tile", str(level), *reversed(above), *(partial or (name,)))


class Store:
    """The tiles below one directory.

    Args:
        directory: the parent of ``tile``. It must exist before a tile is written.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._open: tuple[tuple[str, ...], int] | None = None

    def close(self) -> None:
        """Close the descriptor of the directory that was used last."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def read(self, level: int, number: int, width: int) -> bytes | None:
        """The first ``width`` hashes of a tile, from the full tile or from the widest partial one.

        Returns:
            ``None`` when there is no such file, or it cannot be read.
        """
        full = path_of(level, number)
        found = self._content(full, width)
        if found is not None or width == WIDTH:
            return found
        partial = os.path.join(self.directory, *full) + ".p"
        with suppress(OSError):
            widths = [int(name) for name in os.listdir(partial) if name.isdecimal()]
            for there in sorted(widths, reverse=True):
                if width <= there < WIDTH:
                    found = self._content(path_of(level, number, there), width)
                    if found is not None:
                        return found
        return None

    def _content(self, parts: Sequence[str], width: int) -> bytes | None:
        flags = os.O_RDONLY | os.O_CLOEXEC | _NOFOLLOW | _NONBLOCK
        try:
            descriptor = os.open(os.path.join(self.directory, *parts), flags)
        except OSError:
            return None
        try:
            data = os.read(descriptor, width * HASH)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return data if len(data) == width * HASH else None

    def write(self, level: int, number: int, data: bytes) -> None:
        """Write a tile.

        A reader of the directory, such as a web server, sees the whole tile or none. The file is
        not synced: a tile that is lost in a crash is made again. A file that already has the same
        hashes is left as it is.

        Args:
            level, number: see ``path_of``.
            data: the hashes of the tile, concatenated.

        Raises:
            OSError: it cannot be written, or a symbolic link is in its path.
        """
        *above, name = path_of(level, number, len(data) // HASH)
        self._put(self._directory(tuple(above)), name, data)

    def touch(self) -> None:
        """Check that tiles can be written.

        Raises:
            OSError: they cannot be written.
        """
        directory = self._directory(path_of(0, 0)[:-1])
        self._put(directory, "new", b"")
        os.unlink("new", dir_fd=directory)

    def _put(self, directory: int, name: str, data: bytes) -> None:
        """Give a new file its name when it has its content.

        A file that is there is never changed, as it may be a hard link to another.
        """
        if not _linked(directory, name, data) and not _holds(name, directory, data):
            _renamed(directory, name, data)

    def sync(self, level: int, number: int, width: int) -> None:
        """Make a tile durable, or a wider one that took its place, and its name.

        Raises:
            OSError: that failed, or there is none.
        """
        *above, name = path_of(level, number, width)
        try:
            directory = self._directory(tuple(above), make=False)
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | _NOFOLLOW, dir_fd=directory)
        except FileNotFoundError:
            if width == WIDTH:
                raise
            return self.sync(level, number, WIDTH)
        try:
            os.fsync(descriptor)
            os.fsync(directory)
        finally:
            os.close(descriptor)
        return None

    def remove_parts(self, level: int, number: int) -> None:
        """Remove all partial versions of a tile."""
        *above, name = path_of(level, number)
        with suppress(OSError):
            directory = self._directory((*above, f"{name}.p"), make=False)
            for other in os.listdir(directory):
                os.unlink(other, dir_fd=directory)
            os.rmdir(f"{name}.p", dir_fd=self._directory(tuple(above)))

    def remove(self, level: int, number: int, width: int) -> None:
        """Remove one partial version of a tile."""
        *above, name = path_of(level, number, width)
        with suppress(OSError):
            os.unlink(name, dir_fd=self._directory(tuple(above), make=False))

    def _directory(self, parts: tuple[str, ...], *, make: bool = True) -> int:
        """A descriptor of a directory below ours, reached without following symbolic links."""
        if self._open is not None and self._open[0] == parts:
            return self._open[1]
        if not _AT:
            raise OSError("tiles are not written on this platform")
        self.close()
        here = os.open(self.directory, _DIRECTORY)
        for part in parts:
            try:
                following = _subdirectory(part, here, make=make)
            finally:
                os.close(here)
            here = following
        self._open = parts, here
        return here


def _holds(name: str, within: int, data: bytes) -> bool:
    """Whether a file has this content: then it must not be replaced, not even by the same.

    The hashes of records that were removed from the log are nowhere else.
    """
    try:
        descriptor = os.open(
            name, os.O_RDONLY | os.O_CLOEXEC | _NOFOLLOW | _NONBLOCK, dir_fd=within
        )
    except OSError:
        return False
    try:
        return os.read(descriptor, _FULL + 1) == data
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _linked(directory: int, name: str, data: bytes) -> bool:
    """Write a file without a name and give it one: less work than to rename it (Linux).

    Returns:
        False where that failed, as it does if a file has the name: then nothing has happened.
    """
    if _UNNAMED is None:
        return False
    flags = os.O_WRONLY | os.O_CLOEXEC | _UNNAMED
    with suppress(OSError):
        descriptor = os.open(".", flags, _FILE_MODE, dir_fd=directory)
        try:
            _write_whole(descriptor, data)
            os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)
        finally:
            os.close(descriptor)
        return True
    return False


def _renamed(directory: int, name: str, data: bytes) -> None:
    """Write a file under another name, and rename it; one that has the name is replaced."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | _NOFOLLOW
    made = f".{name}.{os.getpid()}.{threading.get_ident()}"
    try:
        descriptor = os.open(made, flags, _FILE_MODE, dir_fd=directory)
    except FileExistsError:  # of a process that was killed and had the same numbers
        os.unlink(made, dir_fd=directory)
        descriptor = os.open(made, flags, _FILE_MODE, dir_fd=directory)
    try:
        try:
            _write_whole(descriptor, data)
        finally:
            os.close(descriptor)
        os.rename(made, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(made, dir_fd=directory)
        raise


def _write_whole(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, "a tile could not be written whole")


def _subdirectory(name: str, within: int, *, make: bool) -> int:
    flags = _DIRECTORY | _NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=within)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, _DIRECTORY_MODE, dir_fd=within)
    return os.open(name, flags, dir_fd=within)
