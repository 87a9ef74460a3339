"""The database that a file is shipped to, if one is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_emit._runtime.failure import StderrLog
from audit_emit._settings.settings import Settings

if TYPE_CHECKING:
    from audit_emit._shipping.thread import ShippingThread

__all__ = ["shipping_of"]


def shipping_of(settings: Settings, stderr_log: StderrLog) -> ShippingThread | None:
    """The thread that copies the file into the database; ``None`` without a file or a database.

    Raises:
        ConfigError: psycopg is missing.
    """
    if settings.disabled or settings.jsonl is None or settings.address is None:
        return None
    from audit_emit._shipping.thread import ShippingThread  # noqa: PLC0415 - an extra

    return ShippingThread(settings.address, settings.jsonl, stderr_log.report)
