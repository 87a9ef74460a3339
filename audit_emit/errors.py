"""What audit_emit raises, and when.

    Exception
    ├── AuditEmitError            everything this library raises on purpose
    │   ├── ConfigError           configure(), Settings: a bad value; ``setting`` names it
    │   ├── AuditError            emit_strict(): the record is not in the file; ``reason`` says why
    │   ├── SchemaError           an event does not fit its schema: to on_error, and in strict tests
    │   ├── SinkError             a record could not be written to the file; has a ``reason``
    │   ├── CheckpointError       nothing was signed: the log is not what was signed before
    │   ├── SignerError           an agent, token or key service did not sign; ``reason`` says why
    │   ├── UnknownVersionError   a checkpoint of a version that this build does not know
    │   ├── ForgedChangeError     a change of key that the old key did not sign
    │   ├── VerificationError     a log did not verify; ``report`` has the findings
    │   ├── RepairError           a log has changed since its repair was planned
    │   ├── RetentionError        records were not removed from a log; has a ``reason``
    │   ├── UnsupportedError      a file is packed in a way that cannot be read here
    │   ├── NotRegularError       a link, a pipe or a device where a file of a log should be
    │   ├── MemoryFileError       the file of ``verify --remember`` holds something else
    │   ├── ExportError           an export cannot continue where the last one ended
    │   ├── RuleError             a rule of anomalies cannot be understood; has file, line, reason
    │   ├── DetectionError        the search for anomalies cannot continue
    │   ├── DeliveryError         an alert was not accepted; it is sent again
    │   ├── FilterError           a filter of the console cannot be understood
    │   ├── SignInError           somebody could not be signed in to the console
    │   ├── KeyStoreError         a store of personal keys failed; ``reason`` says why
    │   │   └── KeyServiceError   the key service of a store did not give its master key
    │   ├── BusyError             another backfill of the same log is running
    │   ├── DatabaseError         an operation of PostgreSQL failed; ``reason`` says why
    │   ├── ObjectStoreError      an operation of an object store failed; ``reason`` says why
    │   ├── ArchiveError          an archive or its log is inconsistent; ``reason`` says why
    │   └── LokiError             Loki gave no usable answer
    │       ├── Unreachable       no connection, or it broke
    │       ├── TimedOut          no complete answer within the timeout
    │       ├── Refused           the status is not a success; has ``status`` and ``body``
    │       │   ├── Limited       status 429
    │       │   └── ServerFailed  status 5xx
    │       ├── Malformed         the answer cannot be read
    │       └── TooLarge          the answer has more bytes than are read

``emit`` raises none of them. Some classes are also a ``ValueError`` or an ``OSError``, so that code
which does not know this library can handle them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class AuditEmitError(Exception):
    """The base class of all exceptions that this library raises on purpose."""


class ConfigError(AuditEmitError, ValueError):
    """A setting has a value that cannot be used.

    Attributes:
        setting: the name of the setting. The message never repeats a secret value.
    """

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(f"{setting}: {message}")
        self.setting = setting


class SignInError(AuditEmitError):
    """Somebody could not be signed in to the console; the message says why, and has no secret."""


class AuditError(AuditEmitError):
    """``emit_strict`` could not write the record with the requested durability.

    Attributes:
        reason: a short machine-readable word, such as ``lock-timeout`` or ``ENOSPC``.
        event_id: the UUIDv7 of the event, or ``None`` if it had none yet.
    """

    def __init__(self, reason: str, message: str, *, event_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.event_id = event_id


class SchemaError(AuditEmitError):
    """An event was recorded whose fields do not fit the schema of its type.

    Attributes:
        event_type: the type.
        reasons: what does not fit, as ``_schema`` in the record says it: without values.
    """

    def __init__(self, event_type: str, reasons: Sequence[str]) -> None:
        super().__init__(f"{event_type} does not fit its schema: {', '.join(reasons)}")
        self.event_type = event_type
        self.reasons: Sequence[str] = reasons


class SinkError(AuditEmitError):
    """A record could not be put into its store.

    Attributes:
        reason: one word, such as ``ENOSPC`` or ``lock-timeout``.
        linked: the records that were put there before it failed (``_stores.base.Linked``).
        detail: a sentence for people, if there is more to say; it never has a password.
    """

    def __init__(self, reason: str, linked: Sequence[Any] = (), detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.linked: Sequence[Any] = linked
        self.detail = detail


class CheckpointError(AuditEmitError):
    """No checkpoint could be signed.

    Attributes:
        reason: a short machine-readable word, such as ``not-extended`` or ``hash-mismatch``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SignerError(AuditEmitError):
    """What holds a signing key (an agent, a token, a key service) did not sign; nothing is signed.

    Attributes:
        reason: one word, such as ``timeout``, ``refused``, ``bad-signature`` or ``backing-off``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownVersionError(AuditEmitError, ValueError):
    """A checkpoint of a version that this build does not know."""


class ForgedChangeError(AuditEmitError, ValueError):
    """A record announces a new signing key, but the old key did not sign the announcement."""


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
    """The log has changed since the plan was made, or its lock cannot be acquired."""


class RetentionError(AuditEmitError):
    """Records were not removed from a log.

    Attributes:
        reason: a short machine-readable word, such as ``held`` or ``not-signed``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnsupportedError(AuditEmitError):
    """A file is packed in a way that needs a missing package, or too much memory."""


class NotRegularError(AuditEmitError, OSError):
    """Something with the name of a log file is not a regular file: a link, a pipe, a device."""


class MemoryFileError(AuditEmitError, ValueError):
    """The file that was given to ``verify --remember`` holds something else."""


class ExportError(AuditEmitError, ValueError):
    """An export cannot continue where the last one ended; the message says why."""


class RuleError(AuditEmitError, ValueError):
    """A rule of ``audit-emit anomalies`` cannot be understood, so no search was made.

    Attributes:
        file: the name of its file.
        line: the number of the line in the file, from 1.
        reason: why it cannot be understood, and what to do.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class DetectionError(AuditEmitError, ValueError):
    """The search for anomalies cannot continue where the last one ended; the message says why."""


class DeliveryError(AuditEmitError):
    """An alert was not accepted by its receiver; it is sent again."""


class FilterError(AuditEmitError, ValueError):
    """A filter of the console cannot be understood; the message says which and why."""


class KeyStoreError(AuditEmitError, OSError):
    """An operation failed on a store of the keys of persons.

    Attributes:
        reason: one word, such as ``ENOSPC``, ``busy``, ``damaged`` or ``unreachable``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class KeyServiceError(KeyStoreError):
    """The key service of a store did not give its master key: no answer, or an unusable one."""


class BusyError(AuditEmitError):
    """Another backfill of this log is running."""


class DatabaseError(AuditEmitError, OSError):
    """An operation of a database failed; the message never has a password.

    Attributes:
        reason: one word, such as ``database-away`` or ``database-full``.
        unknown: whether the operation may have succeeded, because its answer did not arrive.
    """

    def __init__(self, reason: str, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.unknown = unknown


class ObjectStoreError(AuditEmitError, OSError):
    """An operation of an object store failed; the message never has a secret.

    Attributes:
        reason: one word, such as ``exists``, ``not-found``, ``denied`` or ``unreachable``.
        unknown: whether the operation may have succeeded, because its answer did not arrive.
    """

    def __init__(self, reason: str, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.unknown = unknown


class ArchiveError(AuditEmitError):
    """An archive is inconsistent, or its log cannot be archived as it is.

    Attributes:
        reason: one word, such as ``conflict``, ``altered`` or ``not-covered``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LokiError(AuditEmitError):
    """Loki gave no usable answer; the subclasses say why."""


class Unreachable(LokiError):  # noqa: N818 - reads as what happened
    """There is no connection, or it broke."""


class TimedOut(LokiError):  # noqa: N818
    """There was no complete answer within the timeout."""


class Refused(LokiError):  # noqa: N818
    """An answer whose status is not a success.

    Attributes:
        status: the HTTP status.
        body: the body of the answer, as text, which usually holds the reason.
        retry_after: the seconds of ``Retry-After``; ``None`` if the answer has no such header.
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
    """Status 429: a limit of the tenant or of a stream."""


class ServerFailed(Refused):
    """Status 5xx: an error of the server itself."""


class Malformed(LokiError):  # noqa: N818
    """An answer that cannot be read: incomplete, not JSON, not one of Loki, or a redirect."""


class TooLarge(LokiError):  # noqa: N818
    """An answer of more bytes than are read (``audit_emit._loki.client``)."""
