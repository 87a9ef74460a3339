"""One file per format, and the table of them: a new one is a file here and a row in ``MODULES``.

A format turns one record into one line of bytes. It is a pure function of the record and of the
options that its constructor takes, so a record is exported to the same bytes each time.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from audit_emit._export.record import Record

MODULES = {
    "jsonl": "The very lines of the log.",
    "ocsf": "Open Cybersecurity Schema Framework.",
    "ecs": "Elastic Common Schema.",
    "cloudevents": "CloudEvents 1.0, JSON.",
    "otel": "OpenTelemetry logs, OTLP JSON.",
    "csv": "A table (RFC 4180).",
}
"""Every format, with the module of its name beside this one; each has a class ``Format``."""


class Format(Protocol):
    """A format.

    Attributes:
        version: of what it follows, as it appears in its output; empty where there is none.
        head: what comes before the first event; nothing in most formats.
    """

    version: str
    head: bytes

    def event(self, record: Record) -> bytes:
        """One record as one event, with the newline that ends it."""
        ...


def chosen(name: str, **options: Any) -> Format:
    """The format of a name.

    Args:
        options: of its constructor.

    Raises:
        KeyError: there is none.
        ValueError: an option has no such value.
    """
    if name not in MODULES:
        raise KeyError(name)
    found: Format = import_module(f"{__name__}.{name}").Format(**options)
    return found
