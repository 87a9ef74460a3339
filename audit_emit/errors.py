"""What audit_emit raises, and when.

    Exception
    ├── AuditEmitError            everything this library raises on purpose
    │   ├── ConfigError           configure(), Settings: a bad value; ``setting`` names it
    │   ├── AuditError            emit_strict(): the record is not in the file; ``reason`` says why
    │   ├── SinkError             record_own(): the file did not take a record; has a ``reason``
    │   ├── CheckpointError       nothing was signed: the log is not what was signed before
    │   ├── UnknownVersionError   a checkpoint of a version that this build does not know
    │   ├── ForgedChangeError     a change of key that the old key did not sign
    │   ├── VerificationError     a log did not verify; ``report`` has the findings
    │   ├── RepairError           a log is not as it was when its repair was planned
    │   ├── UnsupportedError      a file is packed in a way that cannot be read here
    │   ├── NotRegularError       a link, a pipe or a device where a file of a log should be
    │   ├── MemoryFileError       the file of ``verify --remember`` holds something else
    │   ├── BusyError             another backfill of the same log is running
    │   ├── DatabaseError         PostgreSQL did not do what it was asked; ``reason`` says why
    │   └── LokiError             Loki gave nothing to build on
    │       ├── Unreachable       nobody answers there
    │       ├── TimedOut          the answer did not come in time
    │       ├── Refused           the status is not a success; ``status`` and ``body`` say more
    │       │   ├── Limited       429
    │       │   └── ServerFailed  5xx
    │       ├── Malformed         the answer is none
    │       └── TooLarge          the answer is larger than it may be

``emit`` raises none of them. Where a class is also a ``ValueError`` or an ``OSError``, a caller who
knows nothing of this library can treat it as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class AuditEmitError(Exception):
    """The root of what this library raises on purpose."""


class ConfigError(AuditEmitError, ValueError):
    """A setting has a value that cannot be used.

    Attributes:
        setting: the name of the setting. The message never repeats a secret value.
    """

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(f"{setting}: {message}")
        self.setting = setting


class AuditError(AuditEmitError):
    """``emit_strict`` could not put the record into the file with the durability asked for.

    Attributes:
        reason: a short machine-readable word, such as ``lock-timeout`` or ``ENOSPC``.
        event_id: the UUIDv7 of the event when one was drawn, else ``None``.
    """

    def __init__(self, reason: str, message: str, *, event_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.event_id = event_id


class SinkError(AuditEmitError):
    """A record could not be put into its store.

    Attributes:
        reason: one word, such as ``ENOSPC`` or ``lock-timeout``.
        linked: the records that were put there before it failed (``_stores.base.Linked``).
    """

    def __init__(self, reason: str, linked: Sequence[Any] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.linked: Sequence[Any] = linked


class CheckpointError(AuditEmitError):
    """No checkpoint could be signed.

    Attributes:
        reason: a short machine-readable word, such as ``not-extended`` or ``hash-mismatch``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownVersionError(AuditEmitError, ValueError):
    """A checkpoint of a version that this build does not know."""


class ForgedChangeError(AuditEmitError, ValueError):
    """A record names a new key, and the key that it names as the old one does not say so."""


class VerificationError(AuditEmitError):
    """A log did not verify.

    Attributes:
        report: the ``Report`` of ``audit_emit._format.proof_file`` with the findings.
    """

    def __init__(self, report: Any) -> None:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(report.counts.items()))
        super().__init__(f"the log does not verify: {found}")
        self.report = report


class RepairError(AuditEmitError):
    """The log is not as it was when the plan was made, or is held by another process."""


class UnsupportedError(AuditEmitError):
    """A file is packed in a way that needs a missing package, or too much memory."""


class NotRegularError(AuditEmitError, OSError):
    """What has the name of a file of a log and is none: a link, a pipe, a device."""


class MemoryFileError(AuditEmitError, ValueError):
    """The file in which ``verify --remember`` keeps what it has seen holds something else."""


class BusyError(AuditEmitError):
    """Another backfill of this log is running."""


class DatabaseError(AuditEmitError, OSError):
    """A database did not do what it was asked; the message never has a password.

    Attributes:
        reason: one word, such as ``database-away`` or ``database-full``.
        unknown: whether it may have done it all the same: the answer did not come.
    """

    def __init__(self, reason: str, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.unknown = unknown


class LokiError(AuditEmitError):
    """Loki was asked, and gave nothing to build on. Each kind of it is a class of its own."""


class Unreachable(LokiError):  # noqa: N818 - reads as what happened
    """Nobody answers there, or the connection broke."""


class TimedOut(LokiError):  # noqa: N818
    """The answer did not come, or not to its end, within the timeout."""


class Refused(LokiError):  # noqa: N818
    """An answer whose status is not a success.

    Attributes:
        status: of HTTP.
        body: the server's reason, as text.
        retry_after: seconds that the server wants to be left alone; ``None`` when it did not say.
    """

    status: int
    body: str
    retry_after: float | None

    def __init__(
        self, message: str, *, status: int, body: str, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.body, self.retry_after = status, body, retry_after


class Limited(Refused):
    """429: a limit of the tenant or of a stream."""


class ServerFailed(Refused):
    """5xx: the server's own trouble."""


class Malformed(LokiError):  # noqa: N818
    """An answer that is none: cut off, not JSON, not Loki's, or a redirect."""


class TooLarge(LokiError):  # noqa: N818
    """An answer of more bytes than are read (``audit_emit._loki.client``)."""
