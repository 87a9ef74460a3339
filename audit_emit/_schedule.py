"""When an emitter's log is signed: a thread that looks at the chain's number once a second.

It starts with the first record of a process, in a forked child too, and holds no emitter alive.
Nothing here is called for a record.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from audit_emit._threads import Background
from audit_emit.checkpoint import Checkpoint
from audit_emit.checkpointer import INTERVAL_SECONDS, THRESHOLD, Checkpointer
from audit_emit.errors import AuditEmitError
from audit_emit.signing import KeyRing
from audit_emit.sinks.descriptor import error_word
from audit_emit.sinks.jsonl import SinkError

if TYPE_CHECKING:
    from audit_emit._emit import Emitter

POLL_SECONDS = 1.0
RETRY_SECONDS = 30.0
_PAUSE = 0.0005
"""Left to the application after each 64 KiB of its log."""

_ATTEMPTS = 20


class Schedule:
    """The checkpoints of one emitter.

    Args:
        emitter: has a file and a signing key.
        poll, interval: seconds.
        threshold: records.

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
            record=self._record,
            state=settings.checkpoint_state or "",
            pause=_PAUSE,
        )
        self.reset()

    def reset(self) -> None:
        """Begin anew in a forked child: the thread is the parent's."""
        self.last: Checkpoint | None = None
        self.error: str | None = None
        self._seen = 0
        self._rotated = 0
        self._next = 0.0
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._thread: Background | None = None

    @property
    def policy(self) -> dict[str, Any]:
        """How often it signs: what ``audit.started`` says of it, and verifiers go by."""
        return {"checkpoint_every": self._threshold, "checkpoint_interval": self._interval}

    def start(self) -> None:
        """Start the thread, once."""
        if self._thread is not None:
            return
        thread = Background()
        try:
            thread.start(_watch, weakref.ref(self), self._stop, self._poll)
        except RuntimeError:
            return  # the interpreter is ending; the one at exit is still made
        self._thread = thread

    def look(self) -> None:
        """Make a checkpoint if one is due."""
        now = time.monotonic()
        reason = self._due(now)
        if reason is not None:
            self._run(reason, now)

    def finish(self, timeout: float) -> None:
        """Stop the thread and sign what is left, within ``timeout`` seconds."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        deadline = time.monotonic() + timeout
        self._stop.set()
        thread.join(timeout)
        self._stop = threading.Event()
        self._run("shutdown", time.monotonic(), timeout=max(0.0, deadline - time.monotonic()))

    def report(self) -> dict[str, Any]:
        """``state`` (``ok`` or ``failing``), and the last checkpoint of this process."""
        return {
            "state": "failing" if self.error else "ok",
            "last_seq": self.last.head_seq if self.last else None,
            "last_success": self.last.at if self.last else None,
            "last_error": self.error,
        }

    def _due(self, now: float) -> str | None:
        emitter = self._emitter()
        if emitter is None or emitter.file is None or (self.error and now < self._next):
            return None
        seq = emitter.file.segment.seq
        if not self._next:
            return "startup" if seq else None
        if emitter.counters.rotated != self._rotated:
            return "rotation"
        if seq - self._seen >= self._threshold:
            return "threshold"
        return "interval" if now >= self._next else None

    def _run(self, reason: str, now: float, timeout: float | None = None) -> None:
        emitter = self._emitter()
        if emitter is None or emitter.file is None:
            return
        stop = self._stop
        seen, rotated = emitter.file.segment.seq, emitter.counters.rotated
        at_least = self._threshold if reason == "threshold" else 1
        not_within = self._interval / 2 if reason == "interval" else 0.0
        try:
            made = self._signer.run(
                reason,
                at_least=at_least,
                not_within=not_within,
                timeout=timeout,
                give_up=stop.is_set,
            )
        except SinkError as error:
            self._failed(emitter, error.reason, "it is signed, but not recorded in the chain")
        except AuditEmitError as error:
            if stop.is_set():
                return  # what is left is signed by who stopped this
            self._failed(emitter, getattr(error, "reason", "configuration"), str(error))
        except OSError as error:
            self._failed(emitter, error_word(error), "a file cannot be read or written")
        except Exception as error:  # noqa: BLE001 - never the application's trouble
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
        """Into the chain; a busy log is asked again."""
        for attempt in range(_ATTEMPTS):
            emitter = self._emitter()
            if emitter is None:
                return
            try:
                emitter.record_own(event_type, fields)
            except SinkError as error:
                if error.reason != "lock-timeout" or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return


def _watch(reference: weakref.ref[Schedule], stop: threading.Event, poll: float) -> None:
    """Look until it is stopped or the emitter is gone."""
    while True:
        schedule = reference()
        if schedule is None:
            return
        schedule.look()
        del schedule
        if stop.wait(poll):
            return
