"""Shipping in the service: a thread brings its own log into PostgreSQL as it grows."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress

from audit_emit._readers.opening import open_readers
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import Background
from audit_emit._settings.address import Address
from audit_emit._shipping.to_postgres import Difference, Shipper
from audit_emit._stores.postgres import driver
from audit_emit.errors import DatabaseError

POLL_SECONDS = 1.0
_LONGEST_SECONDS = 60.0


class ShippingThread:
    """Ships one log until it is stopped; the file is the record, whatever happens here.

    A forked child does not ship: its parent does, and what it writes is in the same file.

    Args:
        address: of a role that has ``audit_emit_writer``.
        path: of the log.
        tell: says a sentence, at most once a minute for each kind.

    Attributes:
        fault: why nothing is shipped now, as one word; ``None`` while all is well.
        last: the number of the last record that is there.

    Raises:
        ConfigError: psycopg is missing.
    """

    def __init__(self, address: Address, path: str, tell: Callable[[str, str], object]) -> None:
        driver.check(address)
        self.address = address
        self.fault: str | None = None
        self.last: int = 0
        self._path = path
        self._tell = tell
        self._ends: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._thread = Background()
        self._thread.start(_ship_on, self, self._ends)

    def round(self, shipper: Shipper) -> bool:
        """Ship what is new; whether all is well."""
        try:
            for reader in open_readers([self._path]):
                with reader:
                    self.last = shipper.ship(reader).last
        except FileNotFoundError:
            return True  # nothing was written yet
        except Difference as found:
            self._note("ship-difference", f"{self._path}: {found}; it is not shipped any further")
            return False
        except DatabaseError as error:
            self._note(
                error.reason, f"{error} ({error.reason}); the log is shipped when it is back"
            )
            return False
        except Exception as error:  # noqa: BLE001 - nobody else would begin again
            let_through(error)
            self._note("ship-failed", f"the log cannot be shipped: {type(error).__name__}")
            return False
        self.fault = None
        return True

    def _note(self, reason: str, message: str) -> None:
        self.fault = reason
        self._tell(f"ship {reason}", message)

    def stop(self, seconds: float) -> bool:
        """Ship what is there, and end; whether that was done in time."""
        if not self._thread.is_alive():
            return True  # of the parent, or ended
        self._ends.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive() and self.fault is None


def _ship_on(shipping: ShippingThread, ends: queue.SimpleQueue[None]) -> None:
    shipper = Shipper(shipping.address)
    failures, told = 0, False
    while True:
        failures = 0 if shipping.round(shipper) else failures + 1
        if told:
            shipper.close()
            return
        wait = min(_LONGEST_SECONDS, POLL_SECONDS * 2 ** min(failures, 6))
        with suppress(queue.Empty):
            ends.get(timeout=wait)
            told = True
