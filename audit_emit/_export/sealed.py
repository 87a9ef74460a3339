"""Sealed values on their way to another system: ciphertext, or erased, or in the clear."""

from __future__ import annotations

from audit_emit._export.record import Record
from audit_emit._subjects.sealed import PREFIX
from audit_emit._subjects.sight import Sight

__all__ = ["Reading"]

_PREFIX = PREFIX.encode()


class Reading:
    """What is made of each record before it is mapped.

    Args:
        sight: knows the keys.
        reveal: whether values are decrypted, in the line of the record, too, which then no longer
            has the hash that it states. Else the line stays as it is, and only a member that is
            mapped says that it was erased.
    """

    def __init__(self, sight: Sight, *, reveal: bool = False) -> None:
        self._sight = sight
        self._reveal = reveal

    def __call__(self, record: Record) -> Record:
        if _PREFIX not in record.line:
            return record
        if self._reveal:
            return Record.of(self._sight.opened(record.line)[0]) or record
        self._sight.tell(record.is_.fields, erased_only=True)
        return record
