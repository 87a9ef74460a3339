"""What a store of the keys of persons is, and which there are.

A store makes one random key for each person and can destroy it for good. A person whose key was
destroyed is remembered, and gets no other key until an operator allows it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from audit_emit._subjects.address import SLOTS, checked_address

__all__ = [
    "DESTROYED",
    "ERASED",
    "GONE",
    "LIVE",
    "MARKED",
    "KeyStore",
    "Tombstone",
    "opened_store",
]

LIVE, MARKED, DESTROYED, ERASED = "live", "marked", "destroyed", "erased"
"""The states of a person's key: there is one; it is no longer given out; it is destroyed, and that
is not yet recorded in a log; it was recorded, and nothing but the mark is left."""

GONE = "gone"
"""A key that was destroyed, by its hash alone: whose it was, the store does not know any more."""


class Tombstone(NamedTuple):
    """What is left of a key, or the key itself while it is there.

    Attributes:
        state: one of the five above.
        key: 32 bytes; ``None`` once it was destroyed.
        sha256: of the key, as hex; empty for ``ERASED``, as it leads to the records.
        pseudonym: of the person, which only the key could give; empty for ``ERASED``, ``GONE``.
        place: where the store has it, for the store itself.
    """

    state: str
    key: bytes | None
    sha256: str
    pseudonym: str
    place: int | str = 0

    def __repr__(self) -> str:
        # Where a traceback shows the values of a frame, the key is none of them.
        return f"Tombstone({self.state} {self.sha256[:16]})"


class KeyStore(Protocol):
    """The keys of persons; ``_subjects/slots.py`` is the first one.

    Every method may raise ``KeyStoreError``. Safe to share between threads.

    Attributes:
        kind: ``slots``, ``openbao``, ``vault`` or ``awskms``: as ``audit.erased`` says it.
        method: how a key is destroyed, as ``audit.erased`` says it.
        shown: the address, which holds no secret.
        asks: whether a key service has to be asked before there is any key.
    """

    kind: str
    method: str
    shown: str
    asks: bool

    def prepare(self) -> None:
        """Ask the key service, so that the first event need not wait for it."""
        ...

    def has_changed(self) -> bool:
        """Whether a key was destroyed since this was last asked, by whatever process."""
        ...

    def obtain(self, subject: str, timeout: float = ...) -> bytes | None:
        """The key of a person, made and durable; ``None`` when the person was erased.

        Args:
            subject: the id of the person.
            timeout: seconds to wait for others that use the store.
        """
        ...

    def find(self, subject: str) -> Tombstone | None:
        """What there is of a person; ``None`` where there never was a key."""
        ...

    def all(self) -> list[Tombstone]:
        """Every key, and what is left of each that was destroyed."""
        ...

    def apart(self) -> AbstractContextManager[object]:
        """Keep two erasures apart, in whatever processes."""
        ...

    def mark(self, found: Tombstone) -> Tombstone:
        """Give the key out no more, in any process."""
        ...

    def destroy(self, found: Tombstone) -> Tombstone:
        """Destroy a marked key, and read back that it is gone."""
        ...

    def settle(self, found: Tombstone) -> Tombstone:
        """Forget what leads from the person to the records, once a log has the record of it."""
        ...

    def allow(self, subject: str) -> bool:
        """Let an erased person have a new key; whether there was anything to allow."""
        ...

    def after_fork(self) -> None:
        """Begin anew in a forked child."""
        ...

    def close(self) -> None:
        """Give every descriptor back."""
        ...


def opened_store(address: str) -> KeyStore:
    """The store at an address: ``slots:/path``, the path itself, or a file and its key service.

    Raises:
        ConfigError: it is none.
    """
    from audit_emit._subjects.slots import SlotFile  # noqa: PLC0415 - for those who seal only

    checked = checked_address("subject_keys", address)
    if checked.startswith(SLOTS):
        return SlotFile(checked.removeprefix(SLOTS))
    from audit_emit._signing.uris import parts_of  # noqa: PLC0415 - as above
    from audit_emit._subjects.master import Master, keeper_of  # noqa: PLC0415

    parts = parts_of("subject_keys", checked)
    path = parts.parameters["slots"]
    master = Master(path, keeper_of("subject_keys", parts))
    return SlotFile(path, master, kind=parts.scheme, shown=checked)
