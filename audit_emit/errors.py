"""What audit_emit raises, and when.

    Exception
    └── AuditEmitError          everything this library raises on purpose
        ├── ConfigError         configure(), Settings: a bad value; ``setting`` names it
        ├── CheckpointError     nothing was signed: the log is not what was signed before
        ├── LokiError           audit_emit.loki: Loki gave nothing to build on; has kinds
        └── AuditError          emit_strict(): the record is not in the file; ``reason`` says why

``emit`` raises none of them.
"""

from __future__ import annotations


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


class CheckpointError(AuditEmitError):
    """No checkpoint could be signed.

    Attributes:
        reason: a short machine-readable word, such as ``not-extended`` or ``hash-mismatch``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
