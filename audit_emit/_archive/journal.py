"""The journal of an archiver: each step that was done, in a file beside the log.

Nobody signs the journal, so nothing about evidence depends on it: whoever can write it could have
written anything. It saves asking the store for all manifests. The manifests in it are signed, as
those in the store are. Every step can be repeated: an object or a manifest that exists already is
compared, and accepted if it is the same. The lock on the journal admits one archiver at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from typing import Literal, Self

import msgspec

from audit_emit._format.line_splitter import split_lines
from audit_emit._format.manifest import Manifest
from audit_emit._runtime.files import sync_directory, write_all
from audit_emit._stores.jsonl.directory import open_file
from audit_emit.errors import BusyError

NAME = "archive.jsonl"
Step = Literal["packed", "uploaded", "confirmed", "declared"]


class Entry(msgspec.Struct, omit_defaults=True):
    """One line.

    Attributes:
        at: when, as ``ts`` of a record.
        where: the address of the archive.
        chain: of the log.
        step: the range was packed; its object was put; the store confirmed object and manifest;
            the chain has the record of it (``audit.archived``).
        first_seq, last_seq: the range.
        manifest: its text, once it is confirmed.
        version: of the object, or of the manifest once it is confirmed.
    """

    at: str
    where: str
    chain: str
    step: Step
    first_seq: int
    last_seq: int
    manifest: str = ""
    version: str = ""


_DECODER = msgspec.json.Decoder(Entry)


class Journal:
    """The journal of one log.

    Args:
        path: made if it is not there.
        where: the address of the archive; entries about another one do not count.

    Raises:
        BusyError: another archiver has it.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: str, where: str) -> None:
        is_new = not os.path.lexists(path)
        self.path = path
        self._where = where
        self._descriptor = open_file(path, append=True)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise BusyError(f"another archiver is at work; it holds {path}") from None
        if is_new:
            sync_directory(os.path.dirname(path))
        self.entries: list[Entry] = list(entries_of(path, where))
        self._done = {_mark(one) for one in self.entries}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A forked child has the descriptor, too, so closing ours would not release the lock.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def add(
        self, at: str, step: Step, of: Manifest, *, manifest: bool = False, version: str = ""
    ) -> None:
        """Note a step that was done, durably.

        Raises:
            OSError: it is not noted.
        """
        text = of.to_bytes().decode() if manifest else ""
        entry = Entry(at, self._where, of.chain, step, of.first_seq, of.last_seq, text, version)
        # Begin with a newline: an archiver that died may have left an incomplete line.
        write_all(self._descriptor, b"\n" + msgspec.json.encode(entry) + b"\n")
        os.fsync(self._descriptor)
        self.entries.append(entry)
        self._done.add(_mark(entry))

    def manifests(self, chain: str) -> list[Manifest]:
        """The manifests of a chain that were confirmed, in their order; unchecked."""
        return manifests_of(self.entries, chain)

    def done(self, step: Step, of: Manifest) -> bool:
        """Whether a step was noted for a range."""
        return (step, of.chain, of.last_seq) in self._done


def _mark(entry: Entry) -> tuple[str, str, int]:
    return entry.step, entry.chain, entry.last_seq


def manifests_of(entries: list[Entry], chain: str) -> list[Manifest]:
    """The manifests of a chain that were confirmed, in the order of their records; unchecked."""
    found: dict[tuple[int, int], Manifest] = {}
    for entry in entries:
        if entry.step == "confirmed":
            try:
                made = Manifest.from_bytes(entry.manifest.encode())
            except ValueError:
                continue
            if made.chain == chain:
                found[made.place] = made
    return [found[place] for place in sorted(found)]


def entries_of(path: str, where: str) -> Iterator[Entry]:
    """The entries about one archive; none where there is no journal.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            lines = split_lines(file.read() + b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # incomplete: its writer died
        if entry.where == where:
            yield entry
