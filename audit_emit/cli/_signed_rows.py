"""``audit-emit checkpoint`` for the chains of a database."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from audit_emit import Emitter
from audit_emit._facade.database import (
    Chains,
    Connection,
    RowsCheckpointer,
    ServiceChain,
    live_chains,
    state_of,
)
from audit_emit._facade.settings import Address
from audit_emit._facade.signing import INTERVAL_SECONDS, THRESHOLD, Note, Outside
from audit_emit.cli._command import complain
from audit_emit.cli._daemon import go_on, until_told
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._outside import brought
from audit_emit.cli._signer import EXITS, both_signed, print_note, shown, succeeded, vkey_of
from audit_emit.errors import CheckpointError, ConfigError, DatabaseError
from audit_emit.log import Checkpoint, KeyRing
from audit_emit.outbox import own_record

POLL_SECONDS = 1.0


Attempt = tuple[str, dict[str, Any]]
"""A reason for a checkpoint, and what it must be due by; see ``Checkpointer.run``."""


class Signed(NamedTuple):
    """The result of signing one chain.

    Attributes:
        name: its address.
        made: the checkpoint; ``None`` when nothing is new, or none could be made.
        newest: the last one that was signed, now or before.
        vkey: see ``vkey_of``.
        status: the exit status for this chain.
        both: see ``both_signed``.
    """

    name: str
    made: Checkpoint | None
    newest: Checkpoint | None
    vkey: str
    status: Exit
    both: Note | None = None


class RowsSigner:
    """Signs every live chain that an address names.

    Args:
        where: the address, and after ``#`` which chains.
        keys: see ``audit-emit checkpoint``.
        origin: the name of the log without its chain; ``audit_emit/<service>`` by default.
        state: the state file, for one chain; by default one for each chain below the state
            directory of the user (XDG).
        first: begin again where a state is lost.
        successor: the key that takes the place of the newest one, if one is to.
        note: print the newest checkpoint of each chain as a C2SP signed note, and nothing else.

    Raises:
        ConfigError: there is no key, or the address cannot be used.
    """

    def __init__(
        self,
        where: str,
        keys: Sequence[str],
        origin: str | None,
        *,
        state: str,
        first: bool,
        successor: str = "",
        note: bool = False,
    ) -> None:
        self._address, self._chosen = Address.chosen(where)
        self._ring = KeyRing.from_sources(list(keys))
        if not self._ring.keys:
            raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
        self._origin = origin or os.environ.get("AUDIT_EMIT_ORIGIN") or ""
        self._state = os.path.abspath(state) if state else ""
        self._first = first
        self._successor = successor
        self._note = note
        self._told: dict[str, str] = {}
        self._looked: dict[str, tuple[int, float]] = {}
        self._connection: Connection | None = None

    def sign(self, attempts: Sequence[Attempt], *, grown: bool = False) -> list[Signed]:
        """Sign each chain.

        Args:
            attempts: the first one that makes a checkpoint of a chain is its last.
            grown: pass over a chain that was looked at and has got no record since, until a
                checkpoint is due by its age.

        Raises:
            DatabaseError: the database gives no answer.
        """
        try:
            if self._connection is None:
                self._connection = Connection(self._address).begin()
            found = live_chains(self._connection, self._chosen)
            if self._state and len(found) > 1:
                raise click.UsageError("--state is for one chain; add #service= or #chain=")
            if grown:
                found = [one for one in found if self._has_grown(one)]
            # Whether a key can follow is known of all chains before anything of one is signed.
            rings = [self._rings(one.service) for one in found]
            return [
                self._one(self._connection, one, each, attempts)
                for one, each in zip(found, rings, strict=True)
            ]
        except DatabaseError:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back, and look at every chain again."""
        if self._connection is not None:
            self._connection.end()
        self._connection = None
        self._looked.clear()

    def _has_grown(self, chain: ServiceChain) -> bool:
        now = time.monotonic()
        seq, at = self._looked.get(chain.name, (-1, 0.0))
        if seq == chain.seq and now < at + INTERVAL_SECONDS:
            return False
        self._looked[chain.name] = chain.seq, now
        return True

    def _rings(self, service: str) -> list[KeyRing]:
        """The keys, and those with the new one, which then signs after them."""
        if not self._successor:
            return [self._ring]
        return [self._ring, succeeded(self._ring, self._successor, self._origin_of(service))]

    def _origin_of(self, service: str) -> str:
        return self._origin or f"audit_emit/{service}"

    def _one(
        self,
        connection: Connection,
        chain: ServiceChain,
        rings: Sequence[KeyRing],
        attempts: Sequence[Attempt],
    ) -> Signed:
        name = f"{self._address.shown}#chain={chain.name}"
        with self._signers(connection, chain, rings) as signers:
            try:
                made = _signed(signers, attempts)
            except CheckpointError as error:
                if self._told.get(chain.name) != str(error):
                    complain(f"no checkpoint of {name} was made: {error}")
                self._told[chain.name] = str(error)
                status = EXITS.get(error.reason, Exit.FINDINGS)
                if status == Exit.INCOMPLETE:
                    self._looked.pop(chain.name, None)  # it is tried again at once
                return Signed(name, None, None, "", status)
            self._told.pop(chain.name, None)
            newest = made or signers[-1].newest()
            told = made is not None and not self._note
            status = brought(Outside(signers[-1])) if told else Exit.OK
            both = both_signed(signers[-1], newest) if self._note else None
        return Signed(name, made, newest, vkey_of(rings[-1], newest), status, both)

    @contextmanager
    def _signers(
        self, connection: Connection, chain: ServiceChain, rings: Sequence[KeyRing]
    ) -> Iterator[list[RowsCheckpointer]]:
        """A signer of one chain for each ring; until the end the chain can be written to."""
        emitter = Emitter(service=chain.service, jsonl="off", stdout=False)
        chains = Chains(self._address, service=chain.service)
        own = own_record(emitter)
        try:
            yield [
                RowsCheckpointer(
                    connection,
                    chain.name,
                    ring,
                    origin=self._origin_of(chain.service),
                    record=lambda kind, fields: _append(chains, own(kind, fields), chain.tenant),
                    state=self._state or state_of(chain.name),
                    first=self._first and ring is rings[0],
                )
                for ring in rings
            ]
        finally:
            chains.close()
            emitter.close()

    def once(self) -> Exit:
        """Sign now, and say what was signed."""
        try:
            done = self.sign([("manual", {})])
        finally:
            self.close()
        for one in done:
            if one.newest is None:
                if one.status == Exit.OK:
                    click.echo(f"nothing new in {one.name}")
            elif self._note:
                print_note(one.newest, one.both)
            else:
                self._say(one, one.newest)
        return worst(one.status for one in done) if done else Exit.NOTHING

    def _say(self, one: Signed, newest: Checkpoint) -> None:
        said = shown(newest) if one.made is not None else f"nothing new since {shown(newest)}"
        click.echo(said)
        if self._successor and one.made is not None:
            click.echo("the chain names the new key, signed with the old one")
        if one.vkey:
            click.echo(f"verifier key {one.vkey}")

    def watch(self) -> Exit:
        """Sign as the chains grow, until a signal comes."""

        def look() -> bool:
            due: list[Attempt] = [
                ("threshold", {"at_least": THRESHOLD}),
                ("interval", {"not_within": INTERVAL_SECONDS}),
            ]
            self.sign(due, grown=True)
            return False

        with until_told() as told:
            go_on(look, told, POLL_SECONDS)
        try:
            self.sign([("shutdown", {})])
        except DatabaseError as error:
            complain(f"{error} ({error.reason})")
        finally:
            self.close()
        return Exit.OK


def _append(chains: Chains, record: str, tenant: str) -> None:
    chains.append([record], tenant)


def _signed(signers: Sequence[RowsCheckpointer], attempts: Sequence[Attempt]) -> Checkpoint | None:
    """The checkpoint of the last signer, after those before it have signed once more.

    Raises:
        CheckpointError: the last one did not sign, or one before it for another reason than that
            its key was replaced before: then the last one knows whether by its own.
    """
    *before, last = signers
    for signer in before:
        try:
            signer.run("manual")
        except CheckpointError as error:
            if error.reason != "key-retired":
                raise
    made = (last.run(reason, **due) for reason, due in attempts)
    return next(filter(None, made), None)
