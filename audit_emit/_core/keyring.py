"""The keys of persons that one emitter uses, obtained within the time that an event may take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from time import monotonic

from audit_emit._runtime.foreign import bare_name
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.threads import prepare_exit
from audit_emit._subjects.sealed import SubjectKey
from audit_emit._subjects.store import KeyStore
from audit_emit.errors import KeyStoreError

__all__ = ["FRESH_SECONDS", "KEY_SECONDS", "Keys"]

KEY_SECONDS = 0.04
"""How long an event waits, in total, for keys that are not in memory."""

PREPARE_SECONDS = 2.0
"""How long ``configure`` waits for a key service; the request continues in its thread."""

FRESH_SECONDS = 0.01
"""How long a check of the store for changes holds. Until then an event may be sealed under a key
that is destroyed already, and nobody can read the value."""

_MAX_KEYS = 4096
_LONGEST = 1024
"""Characters of the longest id that is remembered: an attacker may choose an id."""
_ERASED = "erased"


class Keys:
    """The keys that one emitter has used, until one is destroyed.

    Args:
        store: keeps them.
        tell: writes a sentence to stderr, at most once a minute for each kind.

    Attributes:
        cached: the keys in memory, by the id of the person.
        nonces: drawn in advance, for values that are sealed; no other process has them.
        parents: the keys of the parent process, for an event that was being made at the fork.
        current: another object after every change of the store.
        fault: why the last key could not be had, as one word; ``None`` if it could.
    """

    def __init__(self, store: KeyStore, tell: Callable[[str, str], None] | None) -> None:
        SubjectKey(bytes(32))  # raises now, and not at an event, if a package is missing
        self.store: KeyStore = store
        self._tell = tell
        self.fault: str | None = None
        self._fresh = 0.0
        self._event = threading.local()
        self.forget()

    def forget(self) -> None:
        """Forget all keys: those that are needed again are requested again."""
        self.cached: dict[str, SubjectKey] = {}
        self.parents: dict[str, SubjectKey] = {}
        self.current: object = object()
        self._erased: set[str] = set()
        self.nonces: list[bytes] = []
        self._late: threading.Thread | None = None

    def epoch(self) -> object:
        """``current``, after a check of the store where the last is older than ``FRESH_SECONDS``.

        Called at the beginning of an event: it sets ``waited`` to 0.
        """
        self._event.waited = 0.0
        now = monotonic()
        if now >= self._fresh:
            self._fresh = now + FRESH_SECONDS
            if self.store.has_changed():
                self.forget()
        return self.current

    def waited(self) -> float:
        """Seconds that the event of this thread has waited for keys."""
        return getattr(self._event, "waited", 0.0)

    def of(self, subject: str) -> SubjectKey | None:
        """The key of a person, made if there is none; ``None`` if erased or not to be had now."""
        # The key is put into these two: if a key is destroyed meanwhile, ``forget`` makes others.
        cached, erased = self.cached, self._erased
        known = cached.get(subject)
        if known is not None or subject in erased:
            return known
        asked = self._asked(subject)
        if asked is None:
            return None
        is_kept = len(subject) <= _LONGEST
        if asked.key is None:
            self._missing(asked.reason)
            if asked.reason == _ERASED and is_kept and len(erased) < _MAX_KEYS:
                erased.add(subject)
            return None
        self.fault = None
        made = SubjectKey(asked.key)
        if is_kept:
            if len(cached) >= _MAX_KEYS:
                cached.clear()
            cached[subject] = made
        return made

    def prepare(self) -> None:
        """Ask a key service before the first event; waits at most ``PREPARE_SECONDS`` for it."""
        if not self.store.asks:
            return
        asked = _Asked(self.store.prepare)
        self._wait_for(asked, PREPARE_SECONDS)
        if not asked.answered:
            self._missing(asked.reason)

    def _asked(self, subject: str) -> _Asked | None:
        """The answer of the store; ``None`` where there is no time for it."""
        timeout = KEY_SECONDS - self.waited()
        if timeout < 0 or (self._late is not None and self._late.is_alive()):
            self._missing("slow")  # one event has waited for it; the others do not
            return None
        asked = _Asked(partial(self.store.obtain, subject))
        begun = monotonic()
        if not self._wait_for(asked, timeout):
            asked.run(timeout)
        self._event.waited = self.waited() + monotonic() - begun
        return asked

    def _wait_for(self, asked: _Asked, seconds: float) -> bool:
        """Ask in a thread and wait at most ``seconds`` for it; returns whether it was started.

        The thread continues after that.
        """
        try:
            prepare_exit()
            thread = threading.Thread(target=asked.run, name="audit-emit-key", daemon=True)
            thread.start()
        except RuntimeError as error:
            # No thread begins at the limit of the process, or while the interpreter shuts down.
            let_through(error)
            return False
        thread.join(seconds)
        if thread.is_alive():
            self._late = thread
        return True

    def _missing(self, reason: str) -> None:
        if reason == _ERASED:
            return  # the person asked for it, so this is no fault
        self.fault = reason
        if self._tell is not None:
            self._tell(
                f"subject key {reason}",
                f"no key of a person can be had from {self.store.shown} ({reason}); what would be "
                "sealed under it is withheld",
            )

    def after_fork(self) -> None:
        """Begin anew in a forked child: the nonces are the parent's."""
        parents = self.cached
        self.forget()
        self.parents = parents
        self.store.after_fork()

    def close(self) -> None:
        """Give every descriptor back, and hold no key."""
        self.forget()
        self.store.close()


class _Asked:
    """One request to a store, made in a thread: a disk may take longer than an event may."""

    def __init__(self, ask: Callable[..., bytes | None]) -> None:
        self._ask = ask
        self.key: bytes | None = None
        self.answered: bool = False
        self.reason: str = "slow"

    def run(self, *timeout: float) -> None:
        try:
            self.key = self._ask(*timeout)
            self.reason = _ERASED
            self.answered = True
        except KeyStoreError as error:
            self.reason = error.reason
        except Exception as error:  # noqa: BLE001 - the event goes on without the value
            let_through(error)
            self.reason = bare_name(type(error))
