"""Which log a path means: a directory, an active segment, single segments, standard input."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from audit_emit._readers.files.logfiles import (
    CHECKPOINTS,
    Log,
    in_order,
    is_segment_alone,
    look_at,
    open_log,
)
from audit_emit._readers.files.reader import FilesReader
from audit_emit._stores.jsonl.directory import Layout

_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""A path with nothing at its end."""


def layout_of(path: str) -> Layout:
    """The log of a directory, or around an active segment.

    Raises:
        OSError: it cannot be found out which of them a path is.
    """
    return Layout.of(os.path.join(path, "audit.jsonl") if is_directory(path) else path)


def is_directory(path: str) -> bool:
    """Whether a path is a directory; unlike ``os.path.isdir``, an error is not taken for no.

    Raises:
        OSError: it cannot be found out.
    """
    found = _state(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def is_there(path: str) -> bool:
    """Whether there is anything at a path, be it a link to nothing.

    Raises:
        OSError: it cannot be found out.
    """
    return _state(path, follow=False) is not None


def _state(path: str, *, follow: bool = True) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in _NOTHING:
            return None
        raise


def readers_of(paths: Sequence[str]) -> list[FilesReader]:
    """The logs that paths name: a directory or an active segment stands for its whole log.

    Everything else (closed or packed segments, ``-`` for standard input, a file of checkpoints)
    makes up one log more.

    Raises:
        FileNotFoundError: a path is not there, and nothing of its log is, either.
        OSError: a file cannot be read.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """
    whole = [path for path in paths if _is_whole(path, alone=len(paths) == 1)]
    parts = [path for path in paths if path not in whole]
    readers: list[FilesReader] = []
    try:
        readers += map(_whole, whole)
        if parts:
            readers.append(FilesReader(_log_of(parts)))
    except BaseException:
        for reader in readers:
            reader.close()
        raise
    return readers


def _is_whole(path: str, *, alone: bool) -> bool:
    if path == "-":
        return False
    return is_directory(path) or (alone and not is_segment_alone(os.path.basename(path)))


def _whole(path: str) -> FilesReader:
    layout = layout_of(path)
    log = open_log(layout, path)
    if not log.files and not is_there(path):
        raise FileNotFoundError(errno.ENOENT, "is not there", path)
    return FilesReader(log, layout)


def _log_of(paths: Sequence[str]) -> Log:
    checkpoints = [path for path in paths if os.path.basename(path) == CHECKPOINTS]
    files = [look_at(path) for path in paths if path not in checkpoints]
    name = paths[0] if len(paths) == 1 else f"{len(files)} files"
    there = checkpoints[0] if checkpoints else ""
    return Log(name, in_order(files), there, os.path.getsize(there) if there else 0)
