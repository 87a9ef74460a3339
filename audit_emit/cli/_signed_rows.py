"""``audit-emit checkpoint`` for the chains of a database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import click

from audit_emit import Emitter
from audit_emit._facade.database import Chains, Connection, RowsCheckpointer, live_chains, state_of
from audit_emit._facade.settings import Address
from audit_emit._facade.signing import INTERVAL_SECONDS, THRESHOLD, Outside
from audit_emit.cli._command import complain
from audit_emit.cli._daemon import go_on, until_told
from audit_emit.cli._exit import Exit, worst
from audit_emit.cli._outside import brought
from audit_emit.errors import CheckpointError, ConfigError, DatabaseError
from audit_emit.log import Checkpoint, KeyRing
from audit_emit.outbox import own_record

POLL_SECONDS = 1.0


class RowsSigner:
    """Signs every live chain that an address names.

    Args:
        where: the address, and after ``#`` which chains.
        keys: see ``audit-emit checkpoint``.
        origin: the name of the log without its chain; ``audit_emit/<service>`` by default.
        state: the state file, for one chain; by default one for each chain below the state
            directory of the user (XDG).
        first: begin again where a state is lost.

    Raises:
        ConfigError: there is no key, or the address cannot be used.
    """

    def __init__(
        self, where: str, keys: Sequence[str], origin: str | None, *, state: str, first: bool
    ) -> None:
        self._address, self._chosen = Address.chosen(where)
        self._ring = KeyRing.from_sources(list(keys))
        if not self._ring.keys:
            raise ConfigError("key", "is missing: --key FILE, or AUDIT_EMIT_SIGNING_KEY_FILE")
        self._origin = origin or os.environ.get("AUDIT_EMIT_ORIGIN") or ""
        self._state = os.path.abspath(state) if state else ""
        self._first = first
        self._told: dict[str, str] = {}

    def sign(self, reason: str, **due: Any) -> list[tuple[str, Checkpoint | None, Exit]]:
        """Sign each chain; its name, the checkpoint if one was made, and the exit status.

        Raises:
            DatabaseError: the database gives no answer.
        """
        connection = Connection(self._address).begin()
        try:
            found = live_chains(connection, self._chosen)
            if self._state and len(found) > 1:
                raise click.UsageError("--state is for one chain; add #service= or #chain=")
            return [
                self._one(connection, service, tenant, chain, reason, due)
                for service, tenant, chain in found
            ]
        finally:
            connection.end()

    def _one(
        self,
        connection: Connection,
        service: str,
        tenant: str,
        chain: str,
        reason: str,
        due: dict[str, Any],
    ) -> tuple[str, Checkpoint | None, Exit]:
        name = f"{self._address.shown}#chain={chain}"
        with ExitStack() as stack:
            emitter = Emitter(service=service, jsonl="off", stdout=False)
            stack.callback(emitter.close)
            chains = Chains(self._address, service=service)
            stack.callback(chains.close)
            own = own_record(emitter)

            def record(event_type: str, fields: dict[str, Any]) -> None:
                chains.append([own(event_type, fields)], tenant)

            signer = RowsCheckpointer(
                connection,
                chain,
                self._ring,
                origin=self._origin or f"audit_emit/{service}",
                record=record,
                state=self._state or state_of(chain),
                first=self._first,
            )
            try:
                made = signer.run(reason, **due)
            except CheckpointError as error:
                if self._told.get(chain) != str(error):
                    complain(f"no checkpoint of {name} was made: {error}")
                self._told[chain] = str(error)
                busy = error.reason in {"busy", "timeout"}
                return name, None, Exit.INCOMPLETE if busy else Exit.FINDINGS
            self._told.pop(chain, None)
            status = brought(Outside(signer)) if made is not None else Exit.OK
        return name, made, status

    def once(self) -> Exit:
        """Sign now, and say what was signed."""
        done = self.sign("manual")
        for name, made, status in done:
            if made is not None:
                click.echo(
                    f"checkpoint {made.head_seq} of {made.origin}, root {made.root_hash[:16]}…"
                )
            elif status == Exit.OK:
                click.echo(f"nothing new in {name}")
        return worst(status for *_, status in done) if done else Exit.NOTHING

    def watch(self) -> Exit:
        """Sign as the chains grow, until told to end."""

        def look() -> bool:
            self.sign("threshold", at_least=THRESHOLD)
            self.sign("interval", not_within=INTERVAL_SECONDS)
            return False

        with until_told() as told:
            go_on(look, told, POLL_SECONDS)
        try:
            self.sign("shutdown")
        except DatabaseError as error:
            complain(f"{error} ({error.reason})")
        return Exit.OK
