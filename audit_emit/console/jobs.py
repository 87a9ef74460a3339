"""What a button starts: a verification, or a checkpoint. One of each kind at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

_CHECKPOINT_SECONDS = 120
_COMMAND = "import json, sys; from audit_emit.cli import main; sys.exit(main(json.load(sys.stdin)))"


class Progress(NamedTuple):
    """A verification.

    Attributes:
        running: whether it goes on.
        read, of: bytes; both 0 before the first look.
        last: the verdict of the last one that ended (``verification.py``); empty before.
        by: who started it.
    """

    running: bool
    read: int
    of: int
    last: dict[str, Any]
    by: str


class Verification:
    """Verifies a log in a process of its own.

    Args:
        where: the log; ``keys``: that are trusted.
        ended: told the verdict and who had asked for it.
    """

    def __init__(
        self,
        where: str,
        keys: tuple[str, ...],
        ended: Callable[[dict[str, Any], str], None] = lambda _verdict, _by: None,
    ) -> None:
        self._asked = json.dumps({"where": where, "keys": keys})
        self._ended = ended
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._read = self._of = 0
        self._last: dict[str, Any] = {}
        self._by = ""

    def start(self, by: str) -> bool:
        """Begin, unless one goes on; whether it was begun."""
        with self._lock:
            if self._process is not None:
                return False
            self._read = self._of = 0
            self._by = by
            self._process = subprocess.Popen(
                (sys.executable, "-m", "audit_emit.console.verification"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        threading.Thread(target=self._watch, args=(self._process, by), daemon=True).start()
        return True

    def cancel(self) -> bool:
        """End the one that goes on; whether there was one."""
        with self._lock:
            if self._process is None:
                return False
            self._process.terminate()
            return True

    def progress(self) -> Progress:
        """How far it is."""
        with self._lock:
            return Progress(self._process is not None, self._read, self._of, self._last, self._by)

    def close(self) -> None:
        """End whatever goes on."""
        self.cancel()

    def _watch(self, process: subprocess.Popen[str], by: str) -> None:
        verdict: dict[str, Any] = {}
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        with suppress(BrokenPipeError), process.stdin as asked:
            asked.write(self._asked)
        with process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                if "read" in said:
                    self._read, self._of = said["read"], said["of"]
                else:
                    verdict = said
        process.wait()
        verdict = verdict or {"error": "it was ended before it came to a verdict"}
        with self._lock:
            self._last, self._process = {**verdict, "by": by}, None
        self._ended(verdict, by)


def force_checkpoint(where: str, keys: tuple[str, ...]) -> tuple[bool, str]:
    """Sign what the log gained, as ``audit-emit checkpoint`` does; whether, and what it said.

    Args:
        keys: that sign.
    """
    words = ["checkpoint", where]
    for key in keys:
        words += ["--key", key]
    try:
        # Not as words of a command line: others can see those, and an address has a password.
        done = subprocess.run(  # noqa: S603 - our own command
            (sys.executable, "-c", _COMMAND),
            input=json.dumps(words),
            check=False,
            capture_output=True,
            text=True,
            timeout=_CHECKPOINT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_CHECKPOINT_SECONDS} s"
    said = (done.stdout + done.stderr).strip()
    return done.returncode == 0, said.splitlines()[-1] if said and done.returncode else said
