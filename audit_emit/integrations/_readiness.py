"""Whether a service is ready as far as its audit trail goes, and why not."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from audit_emit import Emitter
from audit_emit._facade.adapters import get_emitter, let_through
from audit_emit._facade.database import driver, schema
from audit_emit._facade.settings import Address
from audit_emit.errors import DatabaseError

LIVE, READY = "/health", "/health/ready"

_FRESH_SECONDS = 1.0
_LAG = """\
SELECT coalesce(extract(epoch FROM now() - min(oldest)), 0)::float FROM audit_emit.unsealed()"""


class Readiness:
    """Answers the two questions of an orchestrator; the answer to one is kept for a second.

    Args:
        database: ``postgresql://…``; the emitter's ``store`` by default. Without either, no
            database is asked.
        expect: the number of the migration that the database must have (``audit-emit db check
            --expect``); by default it must have all that this build knows.
        max_lag: seconds that a record may wait in the outbox; ``None``: it is not asked.
        emitter: the process-wide one by default.
    """

    def __init__(
        self,
        database: str | None = None,
        *,
        expect: int | None = None,
        max_lag: float | None = None,
        emitter: Emitter | None = None,
    ) -> None:
        self._address = Address(database) if database is not None else None
        self._expect = expect
        self._max_lag = max_lag
        self._emitter = emitter
        self._lock = threading.Lock()
        self._connection: Any = None
        self._found: tuple[float, list[str]] | None = None

    def answer(self, path: str) -> tuple[int, bytes]:
        """The status and the body (JSON) for a path; 404 for one that is neither."""
        if path == LIVE:
            return 200, _body("alive", [])
        if path != READY:
            return 404, _body("not found", [])
        reasons = self.reasons()
        return (503, _body("not ready", reasons)) if reasons else (200, _body("ready", []))

    def reasons(self) -> list[str]:
        """Why the service is not ready; empty when it is. It may wait for the database."""
        with self._lock:
            now = time.monotonic()
            if self._found is None or now - self._found[0] > _FRESH_SECONDS:
                self._found = (now, [*self._of_sinks(), *self._of_database()])
            return list(self._found[1])

    def _of_sinks(self) -> list[str]:
        health = (self._emitter or get_emitter()).health()
        if health["status"] != "failing":
            return []
        failing = [
            f"{name}: {sink.get('last_error') or 'failing'}"
            for name, sink in health["sinks"].items()
            if sink["state"] == "failing"
        ]
        return [f"audit sink {one}" for one in failing]

    def _of_database(self) -> list[str]:
        address = self._address or (self._emitter or get_emitter()).settings.address
        if address is None:
            return []
        try:
            return self._asked(address)
        except DatabaseError as error:
            self._drop()
            return [f"database: {error.reason}"]
        except Exception as error:  # noqa: BLE001 - a health check answers
            let_through(error)
            self._drop()
            return [f"database: {driver.reason_of(error)}"]

    def _asked(self, address: Address) -> list[str]:
        if self._connection is None or self._connection.closed:
            self._connection = driver.connect(address, name="audit_emit health", seconds=2)
        found = schema.state(self._connection)
        reasons = []
        if self._expect is not None and found.applied != self._expect:
            reasons.append(f"migration {found.applied}, and {self._expect} is expected")
        elif self._expect is None and not found.is_current:
            reasons.append(f"migration {found.applied} of {found.known}, or another one")
        if self._max_lag is not None and found.applied:
            (lag,) = self._connection.execute(_LAG).fetchone()
            if lag > self._max_lag:
                reasons.append(f"the oldest record in the outbox has waited for {lag:.0f} s")
        return reasons

    def _drop(self) -> None:
        driver.close(self._connection)
        self._connection = None

    def __del__(self) -> None:
        try:
            self._drop()
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass


def _body(status: str, reasons: list[str]) -> bytes:
    return json.dumps({"status": status, "reasons": reasons}).encode()
