"""What a button starts in another process: a verification, a checkpoint, archiving, a report.

One of each kind runs at a time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from audit_emit.console.messages import text

COMMAND_SECONDS = 120.0
ARCHIVE_SECONDS = 3600.0
REPORT_SECONDS = 1800.0
_VERIFICATION = ("-m", "audit_emit.console.verification")
_ARCHIVING = threading.Lock()
_REPORTING = threading.Lock()
_COMMAND = "import json, sys; from audit_emit.cli import main; sys.exit(main(json.load(sys.stdin)))"


class Progress(NamedTuple):
    """A verification.

    Attributes:
        running: whether it has not ended yet.
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
        ended: called with the verdict and with who had asked for it.
        archive: where older segments of it are; empty for none.
    """

    def __init__(
        self,
        where: str,
        keys: tuple[str, ...],
        ended: Callable[[dict[str, Any], str], None] = lambda _verdict, _by: None,
        archive: str = "",
    ) -> None:
        self._asked = json.dumps({"where": where, "keys": keys, "archive": archive})
        self._ended = ended
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._read = self._of = 0
        self._last: dict[str, Any] = {}
        self._by = ""

    def start(self, by: str) -> bool:
        """Begin, unless one is running; whether it was begun."""
        with self._lock:
            if self._process is not None:
                return False
            self._read = self._of = 0
            self._by = by
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                (sys.executable, *_VERIFICATION),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        threading.Thread(target=self._watch, args=(self._process, by), daemon=True).start()
        return True

    def cancel(self) -> bool:
        """End the running one; whether there was one."""
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
        """End whatever is running."""
        self.cancel()

    def _watch(self, process: subprocess.Popen[str], by: str) -> None:
        verdict: dict[str, Any] = {}
        try:
            verdict = self._heard(process)
        except (OSError, ValueError, LookupError, TypeError):
            verdict = {"error": "it said what cannot be understood"}
        finally:
            # Whatever came of it, the next one can begin.
            process.kill()
            process.wait()
            verdict = verdict or {"error": "it was ended before it came to a verdict"}
            with self._lock:
                self._last, self._process = {**verdict, "by": by}, None
        self._ended(verdict, by)

    def _heard(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Read the output of a process until it ends: its verdict, or nothing."""
        verdict: dict[str, Any] = {}
        if process.stdin is None or process.stdout is None:
            raise LookupError("the process was started without pipes")
        with suppress(BrokenPipeError), process.stdin as asked:
            asked.write(self._asked)
        with process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                if "read" in said:
                    self._read, self._of = int(said["read"]), int(said["of"])
                elif "verdict" in said or "error" in said:
                    verdict = said
        return verdict


class Said(NamedTuple):
    """The result of a command.

    Attributes:
        status: its exit status; -1 where it gave no answer in time.
        out: its standard output.
        line: the last line that it printed, on standard output or standard error.
    """

    status: int
    out: str
    line: str


def run_command(words: Sequence[str], seconds: float = COMMAND_SECONDS) -> Said:
    """Run a command of ``audit-emit`` in a process of its own.

    Its words go through a pipe: others can see a command line, and an address holds a password.

    Args:
        words: of the command.
        seconds: that it may take.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            (sys.executable, "-c", _COMMAND),
            input=json.dumps(list(words)),
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Said(-1, "", text("error.no_answer", seconds=f"{seconds:.0f}"))
    lines = (done.stdout + "\n" + done.stderr).strip().split("\n")
    return Said(done.returncode, done.stdout, lines[-1])


def force_checkpoint(where: str, keys: tuple[str, ...]) -> tuple[bool, str]:
    """Sign a checkpoint with ``audit-emit checkpoint``; whether it was made, and its output.

    Args:
        where: the log.
        keys: that sign.
    """
    said = run_command(["checkpoint", where, *_keys(keys)])
    if said.status == 0:
        return True, said.out.strip().split("\n")[0]
    return False, said.line


def archive_status(where: str) -> dict[str, Any]:
    """Which parts of the log are archived, by ``audit-emit archive status``.

    Returns:
        Its JSON; or ``error``: why there is none.
    """
    said = run_command(["archive", "status", where, "--json"])
    try:
        found = json.loads(said.out)
    except ValueError:
        return {"error": said.line}
    return found if isinstance(found, dict) else {"error": "there are several logs"}


def archive_now(where: str, keys: tuple[str, ...]) -> tuple[bool, str]:
    """Archive with ``audit-emit archive run``, one at a time; whether it was done, its output."""
    if not _ARCHIVING.acquire(blocking=False):
        return False, text("error.busy_archive")
    try:
        said = run_command(["archive", "run", where, *_keys(keys)], ARCHIVE_SECONDS)
    finally:
        _ARCHIVING.release()
    return said.status == 0, said.line


class Made(NamedTuple):
    """A report, or why there is none (``body`` is ``None``)."""

    body: bytes | None
    said: str


def run_report(where: Sequence[str], keys: tuple[str, ...], words: Sequence[str]) -> Made:
    """The output of ``audit-emit report``; one at a time, as it reads the whole log.

    Args:
        where: the log, with its archive.
        keys: that are trusted.
        words: options of the command.
    """
    if not _REPORTING.acquire(blocking=False):
        return Made(None, text("error.busy_report"))
    try:
        with TemporaryDirectory(prefix="audit-report-") as place:
            path = Path(place, "report")
            more = [*_keys(keys), *words, "--out", str(path)]
            said = run_command(["report", *where, *more], REPORT_SECONDS)
            return Made(path.read_bytes() if path.exists() else None, said.line)
    finally:
        _REPORTING.release()


def _keys(keys: tuple[str, ...]) -> list[str]:
    return [word for key in keys for word in ("--key", key)]
