"""``Subject``: a value of a person, so that the person can be erased from the log later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

__all__ = ["WITHHELD", "Subject"]

WITHHELD = "[withheld]"
"""What stands for a value of a person that cannot be sealed: no key store is configured, no key
could be made, or the person was erased."""


@final
class Subject:
    """A value of a person (a data subject): in a record it is encrypted under that person's key.

    ``emit(None, "profile.updated", {"email": Subject("u-17", "a@example.com")})`` with
    ``configure(subject_keys=…)`` writes ``aes256gcm:…`` in the place of the address, and
    ``audit-emit erase u-17`` destroys the key. Without a key store it writes ``[withheld]``: what
    must be erasable never gets into a log that cannot be rewritten. See ``docs/erasure.md``.

    Args:
        subject: the id of the person, the same in every event: a text, an integer or a UUID.
        value: of any kind that ``emit`` takes; secrets in it are held back first.

    Making one never raises; an id that is none of these counts as a value without a key.
    """

    __slots__ = ("subject", "value")

    def __init__(self, subject: Any, value: Any) -> None:
        self.subject: Any = subject
        self.value: Any = value

    if not TYPE_CHECKING:  # to a type checker there are no other attributes

        def __getattr__(self, name: str) -> None:
            """``None`` for an attribute that was never set: an event keeps its fields."""
            if name not in Subject.__slots__:
                raise AttributeError(name)

    def __repr__(self) -> str:
        return "Subject('**********')"
