"""The service that writes a chain, as its own records say."""

from __future__ import annotations

from audit_emit._facade.records import hash_holds, link_of, parsed
from audit_emit.log import AuditLog

__all__ = ["service_of"]


def service_of(log: AuditLog) -> str | None:
    """The service that wrote the last record of the chain in files.

    A line that is in no chain may be anybody's. It counts only where there is no chain yet.

    Raises:
        OSError: a file cannot be read.
        UnsupportedError: a file is packed in a way that cannot be read here.
    """
    unchained: str | None = None
    with log.follow() as growing:
        for line in growing.newest_first():
            service = (parsed(line) or {}).get("service")
            if not isinstance(service, str):
                continue
            if link_of(line) is not None and hash_holds(line):
                return service
            unchained = unchained or service
    return unchained
