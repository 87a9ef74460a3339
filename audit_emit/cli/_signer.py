"""What the commands that sign have in common: the log, the keys, and a way into the chain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from audit_emit import Emitter, Settings
from audit_emit._facade.files import Layout, layout_of
from audit_emit._facade.keys import Ed25519Key
from audit_emit._facade.settings import settings
from audit_emit._facade.signing import Checkpointer, retry_write
from audit_emit.errors import ConfigError
from audit_emit.log import AuditLog, KeyRing


class Beside(Emitter):
    """An emitter that only tells of checkpoints: its start is no event of the service."""

    announces = False

    def record_own(
        self, event_type: str, fields: dict[str, Any], by: tuple[str, str] = ("", "service")
    ) -> None:
        """As ``Emitter.record_own``; a log that is busy is waited for."""
        retry_write(partial(super().record_own, event_type, fields, by))


class Log(NamedTuple):
    """One log that is to be signed."""

    layout: Layout
    emitter: Beside
    ring: KeyRing
    signer: Checkpointer
    state: str

    @property
    def vkey(self) -> str:
        """The C2SP verifier key under the log's full name; empty for a shared key.

        It is that name which the notes of the log are signed under, so this key verifies them with
        every implementation. What keygen prints only this one can read: it knows no chain yet.
        """
        key, newest = self.ring.keys[-1], self.signer.newest()
        if newest is None or not isinstance(key, Ed25519Key):
            return ""
        return key.to_vkey(newest.origin)

    def handed_over(self, key: str) -> Log:
        """The same log, signed by another key that takes the place of this one's.

        Args:
            key: a file, or the name of an environment variable.

        Raises:
            ConfigError: it holds no key that can sign here, or this one's.
        """
        new = KeyRing.from_sources([key]).keys
        ring = KeyRing([*self.ring.keys, *new])
        origin = f"{self.signer.origin}/{'0' * 16}"
        names = {(one.algorithm, one.key_id(origin)) for one in self.ring.keys}
        if names & {(one.algorithm, one.key_id(origin)) for one in new}:
            raise ConfigError("key", "is the same as the one that it is to replace")
        signer = _signer(self.layout, ring, self.emitter, self.state)
        return self._replace(ring=ring, signer=signer)


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
) -> Log:
    """The log with its signer.

    Args:
        state, first: see ``Checkpointer``.
        durability: of what is told to the log; that of this environment by default.

    Raises:
        ConfigError: there is no key.
        OSError: there is no log.
    """
    file = active(log)
    ring = KeyRing.from_sources(list(keys))
    if not ring.keys:
        raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
    made = emitter_of(file, origin, stdout=stdout, durability=durability)
    layout = Layout.of(str(file))
    state = (
        settings({"checkpoint": False, "checkpoint_state": state or None}).checkpoint_state or ""
    )
    return Log(layout, made, ring, _signer(layout, ring, made, state, first=first), state)


def _signer(
    layout: Layout, ring: KeyRing, emitter: Beside, state: str, *, first: bool = False
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
    file: Path, origin: str | None, *, stdout: bool, durability: str | None = None
) -> Beside:
    """An emitter whose records look like those of the service that writes the log."""
    given: dict[str, Any] = {"jsonl": str(file), "checkpoint": False, "origin": origin}
    if durability is not None:
        given["durability"] = durability
    if not stdout:
        given["stdout"] = False
    service = _service(file)
    if service is not None:
        given["service"] = service
    found: Settings = settings(given)
    return Beside(msgspec.structs.replace(found, signing_key=None))


def _service(file: Path) -> str | None:
    """The service that wrote the last record."""
    last = AuditLog(str(file), KeyRing()).newest(1)
    service = last[0].get("service") if last else None
    return service if isinstance(service, str) else None
