"""How far a search that follows a log came: one file, replaced as a whole, for one chain.

It holds what the rules remember and every alert that was not delivered yet. A process that can
write it can make the search forget, so it should be where the service cannot write.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from audit_emit._detection.alert import Alert
from audit_emit._detection.memory import Memory
from audit_emit._format.record import Head
from audit_emit._readers.files.regular import open_regular
from audit_emit._runtime.atomic import replace_file
from audit_emit.errors import BusyError, DetectionError

NAME = "anomalies.state"
_VERSION = 1
_LONGEST = 512 << 20


class Progress(NamedTuple):
    """How far a search came.

    Attributes:
        rules: the digest of the rules.
        head: the last record that was looked at; ``None`` before the first.
        memory: what the rules remember; ``None``: nothing was looked at yet.
        pending: alerts that were not delivered yet, by where they go.
        told: ids of the findings of ``verify`` that were reported; each is reported once.
    """

    rules: str
    head: Head | None
    memory: Memory | None
    pending: dict[str, list[Alert]]
    told: list[str]


class _Content(msgspec.Struct):
    v: int
    rules: str
    head: Head | None
    memory: Memory | None
    pending: dict[str, list[Alert]]
    told: list[str]


class StateFile:
    """The file, locked until it is closed.

    Args:
        path: of the file; its lock is in the same directory.

    Raises:
        BusyError: another search uses it.
        OSError: it cannot be opened or locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock = os.open(path.with_name(f"{path.name}.lock"), flags, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BusyError(f"another process follows this log with {path.name}") from None

    def load(self) -> Progress | None:
        """What was kept; ``None`` where nothing was.

        Raises:
            DetectionError: it is no such file.
            OSError: it cannot be read.
        """
        try:
            descriptor = open_regular(str(self.path))
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            data = file.read(_LONGEST)
        try:
            found = msgspec.json.decode(data, type=_Content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self.unusable("is no state of a search for anomalies") from None
        if found.v != _VERSION:
            raise self.unusable(f"is of version {found.v}, and this program knows {_VERSION}")
        return Progress(found.rules, found.head, found.memory, found.pending, found.told)

    def unusable(self, why: str) -> DetectionError:
        """The error for what is in it."""
        return DetectionError(f"{self.path.name} {why}; move it away, or name another --state")

    def keep(self, progress: Progress) -> None:
        """Replace it, durably.

        Raises:
            OSError: it cannot be written, or is perhaps not durable.
        """
        content = _Content(_VERSION, *progress)
        replace_file(self.path, msgspec.json.encode(content) + b"\n")

    def close(self) -> None:
        """Let others have it."""
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
