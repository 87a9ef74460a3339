"""Decides when the log of an emitter is signed: a thread that checks once a second what is new.

The thread starts with the first record of a process, also in a forked child. It holds only a weak
reference to the emitter. Nothing here runs on the path of a record.
"""

from __future__ import annotations

import os
import queue
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from audit_emit._checkpoints.checkpointer import INTERVAL_SECONDS, THRESHOLD, Checkpointer
from audit_emit._checkpoints.outside import Outside
from audit_emit._format.checkpoint import Checkpoint
from audit_emit._runtime.interrupts import let_through
from audit_emit._runtime.nonblocking_fd import error_word
from audit_emit._runtime.threads import Background, weak_callback
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import AuditEmitError, SinkError

if TYPE_CHECKING:
    from audit_emit._core.emitter import Emitter

POLL_SECONDS = 1.0
RETRY_SECONDS = 30.0
_PAUSE = 0.0005
"""Seconds of sleep after each 64 KiB of the log, to leave time to the application's threads."""

_ATTEMPTS = 20


class _StopRequest:
    """Asks the thread to sign what is left and to end."""

    def __init__(self) -> None:
        self.asked = False
        self.deadline = 0.0
        self.calls: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ask(self, deadline: float) -> None:
        self.deadline = deadline
        self.asked = True
        self.calls.put(None)

    def is_asked(self) -> bool:
        return self.asked


class Schedule:
    """The checkpoints of one emitter.

    Args:
        emitter: an emitter with a file and a signing key.
        poll: seconds between two checks.
        interval: seconds after which new records are signed, however few.
        threshold: the number of new records after which they are signed at once.

    Raises:
        ConfigError: the key cannot sign for this origin.
    """

    def __init__(
        self,
        emitter: Emitter,
        *,
        poll: float = POLL_SECONDS,
        interval: float = INTERVAL_SECONDS,
        threshold: int = THRESHOLD,
    ) -> None:
        settings = emitter.settings
        self._emitter = weakref.ref(emitter)
        self._poll, self._interval, self._threshold = poll, interval, threshold
        self._signer = Checkpointer(
            settings.jsonl or "",
            settings.signing_key or KeyRing(),
            origin=settings.log_origin,
            record=weak_callback(self._record),
            state=settings.checkpoint_state or "",
            pause=_PAUSE,
        )
        self._outside = Outside(self._signer)
        self.reset()

    def reset(self) -> None:
        """Start again in a forked child, which has no thread: threads are not forked."""
        self.last: Checkpoint | None = None
        self.error: str | None = None
        self._seen = 0
        self._rotated = 0
        self._next = 0.0
        self._pid = os.getpid()
        self._end = _StopRequest()
        self._thread: Background | None = None
        self._threadless = False
        self._outside.reset()

    def __del__(self) -> None:
        try:
            self._end.calls.put(None)
        except Exception:  # noqa: BLE001, S110 - modules are empty while the interpreter shuts down
            pass

    @property
    def policy(self) -> dict[str, Any]:
        """How often it signs. ``audit.started`` declares this, and verifiers expect it."""
        return {"checkpoint_every": self._threshold, "checkpoint_interval": self._interval}

    def start(self) -> None:
        """Start the thread, once."""
        if self._thread is not None:
            return
        thread = Background()
        try:
            thread.start(_watch, weakref.ref(self), self._end, self._poll)
        except RuntimeError as error:
            let_through(error)
            self._threadless = True  # the checkpoint at exit is still made
            return
        self._thread = thread

    def look(self) -> None:
        """Make a checkpoint if one is due, and bring the newest one outside if that is due."""
        now = time.monotonic()
        reason = self._due(now)
        if reason is not None:
            self._run(reason, now)
        self._outside.look()

    def finish(self, timeout: float) -> None:
        """Sign what is left and stop the thread, within ``timeout`` seconds.

        The thread does the signing, so that a disk which does not answer blocks only the thread.
        """
        thread, self._thread = self._thread, None
        if self._pid != os.getpid() or not (thread or self._threadless):
            return
        deadline = time.monotonic() + timeout
        end, self._end = self._end, _StopRequest()
        self._threadless = False
        if thread is not None and thread.is_alive():
            end.ask(deadline)
            thread.join(timeout)
        else:
            self.sign_off(deadline)

    def sign_off(self, deadline: float) -> None:
        """Sign what is left, if there is time."""
        now = time.monotonic()
        self._run("shutdown", now, timeout=max(0.0, deadline - now))

    def report(self) -> dict[str, Any]:
        """For ``health``: ``ok`` or ``failing``, the last checkpoint, and ``Outside.report``."""
        return {
            "state": "failing" if self.error else "ok",
            "last_seq": self.last.head_seq if self.last else None,
            "last_success": self.last.at if self.last else None,
            "last_error": self.error,
            "outside": self._outside.report(),
        }

    def _due(self, now: float) -> str | None:
        emitter = self._emitter()
        if emitter is None or emitter.store is None or (self.error and now < self._next):
            return None
        seq = _seq(emitter)
        if not self._next:
            return "startup" if seq else None
        if emitter.counters.rotated != self._rotated:
            return "rotation"
        if seq - self._seen >= self._threshold:
            return "threshold"
        return "interval" if now >= self._next else None

    def _run(self, reason: str, now: float, timeout: float | None = None) -> None:
        emitter = self._emitter()
        if emitter is None or emitter.store is None:
            return
        end = self._end
        seen, rotated = _seq(emitter), emitter.counters.rotated
        at_least = self._threshold if reason == "threshold" else 1
        not_within = self._interval / 2 if reason == "interval" else 0.0
        try:
            made = self._signer.run(
                reason,
                at_least=at_least,
                not_within=not_within,
                timeout=timeout,
                give_up=end.is_asked,
            )
        except SinkError as error:
            let_through(error)
            self._failed(emitter, error.reason, "it is signed, but not recorded in the chain")
        except AuditEmitError as error:
            let_through(error)
            if end.asked:
                return  # stopped by ``finish``, which signs what is left
            self._failed(emitter, getattr(error, "reason", "configuration"), str(error))
        except OSError as error:
            let_through(error)
            self._failed(emitter, error_word(error), "a file cannot be read or written")
        except Exception as error:  # noqa: BLE001 - never the application's trouble
            let_through(error)
            self._failed(emitter, type(error).__name__, "an unexpected error")
        else:
            self.last = made or self.last
            self.error = None
            self._seen, self._rotated = seen, rotated
        self._next = now + (RETRY_SECONDS if self.error else self._interval)

    def _failed(self, emitter: Emitter, reason: str, message: str) -> None:
        self.error = reason
        emitter.tell(f"checkpoint {reason}", f"no checkpoint was made ({reason}): {message}")

    def _record(self, event_type: str, fields: dict[str, Any]) -> None:
        """Append a record to the chain; try again while another process holds the lock."""
        for attempt in range(_ATTEMPTS):
            emitter = self._emitter()
            if emitter is None:
                return
            try:
                emitter.record_own(event_type, fields)
            except SinkError as error:
                let_through(error)
                if error.reason != "lock-timeout" or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return


def _seq(emitter: Emitter) -> int:
    head = emitter.store.head() if emitter.store is not None else None
    return head.seq if head is not None else 0


def _watch(reference: weakref.ref[Schedule], end: _StopRequest, poll: float) -> None:
    """The thread: check once per ``poll`` seconds, until it is stopped or the emitter is gone."""
    while True:
        schedule = reference()
        if schedule is None:
            return
        if end.asked:
            schedule.sign_off(end.deadline)
            return
        schedule.look()
        del schedule
        with suppress(queue.Empty):
            end.calls.get(timeout=poll)
