"""Bounded records of refusals: somebody who is refused very often must not fill the log with it.

The first refusals of a name are recorded one by one. Further ones within the same minute are
counted, and recorded as one, with their number, when the minute is over.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

AT_ONCE = 10
SECONDS = 60.0

Tell = Callable[[str, str, int], None]
"""Called with a name, the last refused path, and how many refusals this call stands for."""


class _Window:
    """Refusals of one name since a moment."""

    __slots__ = ("begun", "counted", "path", "told")

    def __init__(self, begun: float) -> None:
        self.begun: float = begun
        self.told: int = 0
        self.counted: int = 0
        self.path: str = ""


class Refusals:
    """Counts refusals by name; whoever gives no name, or a wrong password, is one and the same.

    Args:
        tell: see ``Tell``.
        clock: seconds that only grow.
        seconds: for how long refusals are counted as one.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._timer: threading.Timer | None = None
        # The counted refusals are also recorded when the process ends.
        self.close: Callable[[], object] = weakref.finalize(
            self, _tell_all, self._windows, self._lock, tell
        )

    def note(self, name: str, path: str) -> None:
        """Somebody was refused.

        Args:
            name: of a user of this console; empty for anybody else.
            path: that he asked for.
        """
        with self._lock:
            now = self._clock()
            window = self._windows.get(name)
            if window is None or now - window.begun >= self._seconds:
                late, window = window, _Window(now)
                self._windows[name] = window
            else:
                late = None
            is_told = window.told < AT_ONCE
            if is_told:
                window.told += 1
            else:
                window.counted += 1
                window.path = path
                self._wait()
        if late is not None and late.counted:
            self._tell(name, late.path, late.counted)
        if is_told:
            self._tell(name, path, 1)

    def _wait(self) -> None:
        """Start a timer, so that counted refusals are recorded even if no request comes again."""
        if self._timer is not None:
            return
        again = weakref.WeakMethod(self.look)
        self._timer = threading.Timer(self._seconds, lambda: (look := again()) and look())
        self._timer.daemon = True
        self._timer.start()

    def look(self) -> None:
        """Record the refusals of names whose minute is over."""
        with self._lock:
            self._timer = None
            now = self._clock()
            over = {
                name: one
                for name, one in self._windows.items()
                if one.counted and now - one.begun >= self._seconds
            }
            for name in over:
                del self._windows[name]
            if any(one.counted for one in self._windows.values()):
                self._wait()
        for name, one in over.items():
            self._tell(name, one.path, one.counted)


def _tell_all(windows: dict[str, _Window], lock: threading.Lock, tell: Tell) -> None:
    with lock:
        rest = [(name, one) for name, one in windows.items() if one.counted]
        windows.clear()
    for name, one in rest:
        tell(name, one.path, one.counted)
