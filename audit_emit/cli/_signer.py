"""What the commands that sign have in common: the log, the keys, and an emitter for the chain."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from audit_emit import Emitter, Settings
from audit_emit._facade.files import Layout, layout_of
from audit_emit._facade.keys import Ed25519Key
from audit_emit._facade.records import MAX_LINE
from audit_emit._facade.settings import settings
from audit_emit._facade.signing import Checkpointer, Note, handed_over, note_of, retry_write
from audit_emit._facade.text import visible
from audit_emit.cli._chain_service import service_of
from audit_emit.cli._exit import Exit
from audit_emit.cli._logs import NoLog
from audit_emit.errors import ConfigError
from audit_emit.log import AuditLog, Checkpoint, KeyRing

EXITS = {
    "busy": Exit.INCOMPLETE,
    "timeout": Exit.INCOMPLETE,
    "key-retired": Exit.USAGE,
    "not-told": Exit.INCOMPLETE,
}
"""The exit status for each reason of a ``CheckpointError``; any other one is a finding."""


_RECORD = b'{"ts":"'
"""What every record begins with."""


class MaintenanceEmitter(Emitter):
    """An emitter for records about the log itself: it writes no ``audit.started``."""

    announces = False

    def record_own(
        self, event_type: str, fields: dict[str, Any], by: tuple[str, str] = ("", "service")
    ) -> None:
        """As ``Emitter.record_own``; a log that is busy is waited for."""
        retry_write(partial(super().record_own, event_type, fields, by))


class Log(NamedTuple):
    """One log that is to be signed."""

    layout: Layout
    emitter: MaintenanceEmitter
    ring: KeyRing
    signer: Checkpointer
    state: str

    @property
    def vkey(self) -> str:
        """See ``vkey_of``."""
        return vkey_of(self.ring, self.signer.newest())

    def handed_over(self, key: str) -> Log:
        """The same log, signed by another key that takes the place of this one's.

        Args:
            key: a file, or the name of an environment variable.

        Raises:
            ConfigError: it holds no key that can sign here, or this one's.
        """
        ring = succeeded(self.ring, key, self.signer.origin)
        signer = _signer(self.layout, ring, self.emitter, self.state)
        return self._replace(ring=ring, signer=signer)


def succeeded(ring: KeyRing, key: str, origin: str) -> KeyRing:
    """The ring with one key more, which signs from there on.

    Args:
        key: a file, or the name of an environment variable.
        origin: the name of a log without its chain.

    Raises:
        ConfigError: it holds no key, or one that is there already.
    """
    new = KeyRing.from_sources([key]).keys
    full = f"{origin}/{'0' * 16}"
    names = {(one.algorithm, one.key_id(full)) for one in ring.keys}
    if names & {(one.algorithm, one.key_id(full)) for one in new}:
        raise ConfigError("key", "is the same as the one that it is to replace")
    return KeyRing([*ring.keys, *new])


def vkey_of(ring: KeyRing, newest: Checkpoint | None) -> str:
    """The C2SP verifier key under the full name of a log; empty for a shared key.

    The notes of the log are signed under that name, so every implementation can verify them with
    this key. What keygen prints has no chain in its name yet, and only this package can use it.

    Args:
        ring: its newest key is the one that signs.
        newest: the newest checkpoint of the log.
    """
    key = ring.keys[-1]
    if newest is None or not isinstance(key, Ed25519Key):
        return ""
    return key.to_vkey(newest.origin)


def shown(one: Checkpoint) -> str:
    """A checkpoint as people read it."""
    return (
        f"checkpoint {one.head_seq} of {one.origin}, "
        f"{one.sig_alg} key {one.key_id}, root {one.root_hash[:16]}…, {one.when}"
    )


def both_signed(signer: Checkpointer, one: Checkpoint | None) -> Note | None:
    """The note that the key before the newest one of a log has signed as well, if it is there."""
    return handed_over(signer.layout.directory, one.origin, signer.ring) if one else None


def print_note(one: Checkpoint, both: Note | None) -> None:
    """Write a checkpoint to standard output as a C2SP signed note.

    Args:
        one: the checkpoint.
        both: see ``both_signed``.

    Raises:
        click.UsageError: it has no form as one.
    """
    try:
        sys.stdout.buffer.write(note_of(one, both, cosigned=True).to_bytes())
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def active(log: str) -> Path:
    """The active segment of a log."""
    return Path(layout_of(os.path.abspath(log)).active)


def opened(
    log: str,
    keys: Sequence[str],
    origin: str | None,
    *,
    stdout: bool,
    state: str = "",
    first: bool = False,
    durability: str | None = None,
    waits: bool = False,
) -> Log:
    """The log with its signer.

    Args:
        state, first: see ``Checkpointer``.
        durability: of the records about checkpoints; that of this environment by default.

    Raises:
        ConfigError: there is no key.
        OSError: there is no log.
    """
    file = active(log)
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    made = emitter_of(file, origin, stdout=stdout, durability=durability, waits=waits)
    layout = Layout.of(str(file))
    state = (
        settings({"checkpoint": False, "checkpoint_state": state or None}).checkpoint_state or ""
    )
    return Log(layout, made, ring, _signer(layout, ring, made, state, first=first), state)


def _signer(
    layout: Layout, ring: KeyRing, emitter: MaintenanceEmitter, state: str, *, first: bool = False
) -> Checkpointer:
    return Checkpointer(
        layout.active,
        ring,
        origin=emitter.settings.log_origin,
        record=emitter.record_own,
        state=state,
        first=first,
    )


def emitter_of(
    file: Path,
    origin: str | None,
    *,
    stdout: bool,
    durability: str | None = None,
    waits: bool = False,
) -> MaintenanceEmitter:
    """An emitter whose records look like those of the service that writes the log.

    Args:
        waits: nothing is written before there is a record, so that a log whose first one is still
            being written, or is torn, is as good as an empty one.

    Raises:
        NoLog: the file has something in it and no record, so that it may be somebody else's.
    """
    given: dict[str, Any] = {"jsonl": str(file), "checkpoint": False, "origin": origin}
    if durability is not None:
        given["durability"] = durability
    if not stdout:
        given["stdout"] = False
    service = service_of(AuditLog(str(file), KeyRing()))
    if service is not None:
        given["service"] = service
    elif _has_no_record(file) and not (waits and _begins(file)):
        raise NoLog(f"{visible(str(file))} is no log, as no record is in it; nothing was written")
    found: Settings = settings(given)
    return MaintenanceEmitter(msgspec.structs.replace(found, signing_key=None))


def durable(file: Path) -> MaintenanceEmitter:
    """An emitter that syncs each record to the disk before what the record announces is done."""
    return emitter_of(file, None, stdout=False, durability="always")


def _has_no_record(file: Path) -> bool:
    there = file.exists() and file.stat().st_size
    return bool(there) and AuditLog(str(file), KeyRing()).head() is None


def _begins(file: Path) -> bool:
    """Whether all that a file holds is the beginning of a first record."""
    with file.open("rb") as there:
        found = there.read(MAX_LINE + 1)
    begun = found.startswith(_RECORD) or _RECORD.startswith(found)
    return begun and len(found) <= MAX_LINE and b"\n" not in found
