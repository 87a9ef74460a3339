"""Legal holds: which records must not be removed, however old they are.

The holds of a log are in ``holds.json`` in its directory; those of a chain in a database are in
such a file in the directory of its signer. Everything that removes records asks here first. A file
that cannot be read or understood holds everything: it is an error, and never "no holds".
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from audit_emit._format.record import MAX_SEQ
from audit_emit._readers.files.regular import open_regular
from audit_emit._runtime.files import write_all
from audit_emit._stores.jsonl.directory import open_file, sync_directory
from audit_emit.errors import RetentionError

FILE = "holds.json"
VERSION = 1
_LONGEST = 4 * 1024 * 1024
"""Bytes of the file that are read."""


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Records that must stay.

    Attributes:
        name: by which the hold is released again; unique among the holds of a log.
        first_seq: the first record that it holds.
        last_seq: the last one; ``None`` for all that are there and all that come.
        reason: why, for people.
        at: when it was placed, as records have ``ts``.
    """

    name: str
    first_seq: int = 1
    last_seq: int | None = None
    reason: str = ""
    at: str = ""

    def holds(self, first: int, last: int) -> bool:
        """Whether a record from ``first`` to ``last`` is among those that it holds."""
        return first <= (MAX_SEQ if self.last_seq is None else self.last_seq) and (
            last >= self.first_seq
        )


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The content of the file."""

    v: int
    holds: list[Hold]


class Holds:
    """The holds of one log.

    Args:
        holds: in the order in which they were placed.

    Raises:
        RetentionError: two have the same name, or one holds no record that can be.
    """

    def __init__(self, holds: Iterable[Hold] = ()) -> None:
        self.all: tuple[Hold, ...] = tuple(holds)
        names = [one.name for one in self.all]
        if len(set(names)) < len(names) or "" in names:
            raise RetentionError("holds", "every hold needs a name of its own")
        for one in self.all:
            last = MAX_SEQ if one.last_seq is None else one.last_seq
            if not 1 <= one.first_seq <= last <= MAX_SEQ:
                raise RetentionError("holds", f"hold {one.name} holds no record")

    @classmethod
    def of(cls, directory: str) -> Holds:
        """Read the holds of a log; none where there is no file.

        Args:
            directory: of the log.

        Raises:
            RetentionError: the file is damaged, or of another version.
            OSError: it cannot be read, or is no regular file.
        """
        path = os.path.join(directory, FILE)
        try:
            descriptor = open_regular(path)
        except FileNotFoundError:
            return cls()
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LONGEST + 1)
        try:
            found = msgspec.json.decode(data, type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RetentionError(
                "holds", f"{path} is damaged, so everything is held: restore it ({error})"
            ) from None
        if found.v != VERSION:
            raise RetentionError(
                "holds", f"{path} is of version {found.v}, which this program cannot read"
            )
        return cls(found.holds)

    def is_held(self, first: int, last: int) -> Hold | None:
        """The first hold on any record from ``first`` to ``last``; ``None`` if all are free."""
        return next((one for one in self.all if one.holds(first, last)), None)

    def placed(self, hold: Hold) -> Holds:
        """These and one more.

        Raises:
            RetentionError: its name is taken, or it holds no record.
        """
        return Holds([*self.all, hold])

    def released(self, name: str) -> Holds:
        """These without one.

        Raises:
            LookupError: there is no hold of this name.
        """
        left = [one for one in self.all if one.name != name]
        if len(left) == len(self.all):
            raise LookupError(f"there is no hold {name}")
        return Holds(left)

    def save(self, directory: str) -> None:
        """Write the file anew, atomically and durably.

        Raises:
            OSError: the file is still the previous one.
        """
        path = os.path.join(directory, FILE)
        fresh = f"{path}.new"
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        descriptor = open_file(fresh, append=False, exclusive=True)
        try:
            data = msgspec.json.format(
                msgspec.json.encode(_File(VERSION, list(self.all))), indent=2
            )
            write_all(descriptor, data + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(fresh, path)
        sync_directory(directory)
