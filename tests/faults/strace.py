"""Runs a function in a forked process under ``strace``, which fails or kills at one system call.

The process is forked from one that has imported everything, and stops before it begins: the tracer
sees the scene and nothing of the interpreter's start. Calls are counted per thread from there on.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

SECONDS = 30.0
"""A scene that takes longer hangs."""

CALLS = (
    "open openat creat close read pread64 readv preadv write pwrite64 writev pwritev pwritev2 "
    "fsync fdatasync truncate ftruncate fallocate rename renameat renameat2 link linkat symlink "
    "symlinkat unlink unlinkat mkdir mkdirat rmdir stat lstat fstat newfstatat statx access "
    "faccessat faccessat2 readlink readlinkat lseek flock fcntl ioctl getdents getdents64 chmod "
    "fchmod fchmodat chown fchown fchownat utimensat statfs fstatfs sendfile copy_file_range"
).split()
"""Every system call that has to do with a file; which of them a scene makes, a trace shows."""

ERRORS = ("EIO", "ENOSPC", "SIGKILL")

_PR_SET_PTRACER = 0x59616D61
_ENTERED = re.compile(r"^(\d+) +(\w+)\((.*)$")


class StraceError(Exception):
    """Nothing can be traced here; says why."""


class Fault(NamedTuple):
    """What is done to the ``when``-th call of a name, counted from 1 in each thread."""

    call: str
    when: int
    error: str

    @property
    def kills(self) -> bool:
        return self.error == "SIGKILL"

    def expression(self) -> str:
        """For ``strace -e``. A call that fails is not made; neither is one that is killed at."""
        how = "signal=KILL" if self.kills else f"error={self.error}"
        return f"inject={self.call}:{how}:when={self.when}"


class Call(NamedTuple):
    """One call of a trace: the ``number``-th of its name in its thread, and how it was printed."""

    name: str
    number: int
    text: str

    @property
    def injected(self) -> bool:
        return self.text.endswith("(INJECTED)")


class Outcome(NamedTuple):
    """How a scene ended.

    Attributes:
        status: as ``os.waitstatus_to_exitcode`` has it.
        told: what the scene told, also one that was killed.
        output: what it wrote to its standard output and error.
        calls: what the tracer saw, in order.
    """

    status: int
    told: list[str]
    output: str
    calls: list[Call]

    def within(self, directory: Path) -> list[Call]:
        """The calls on files of a directory."""
        return [call for call in self.calls if str(directory) in call.text]

    def met(self, fault: Fault, directory: Path) -> bool:
        """Whether the fault hit a call on a file of a directory."""
        here = [call for call in self.within(directory) if call.name == fault.call]
        if fault.kills:
            killed = self.status == -signal.SIGKILL
            return killed and any(call.number == fault.when for call in here)
        return any(call.injected for call in here)


Tell = Callable[[str], None]


def run(scene: Callable[[Tell], None], place: Path, fault: Fault | None = None) -> Outcome:
    """Play a scene under the tracer.

    Args:
        scene: gets a function that keeps what it is told (one line) whatever happens.
        place: a directory for the trace and the output.

    Raises:
        StraceError: there is no strace, or it may not trace.
        AssertionError: the scene hung.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise StraceError("strace is not installed")
    gc.collect()  # emitters of before close their descriptors here, not in the scene
    reply, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reply)
        _play(scene, told, place / "output")
    os.close(told)
    try:
        os.waitpid(pid, os.WUNTRACED)
        _trace(strace, pid, place, fault)
    finally:
        os.kill(pid, signal.SIGKILL)  # it has ended, or must
        status = os.waitpid(pid, 0)[1]
        with os.fdopen(reply, "rb") as lines:
            kept = lines.read().decode().splitlines()
    return Outcome(
        os.waitstatus_to_exitcode(status),
        kept,
        (place / "output").read_text(errors="replace"),
        _parse((place / "trace").read_text(errors="replace")),
    )


def _play(scene: Callable[[Tell], None], told: int, output: Path) -> NoReturn:
    status = 1
    try:
        gc.disable()
        number = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(number, 1)
        os.dup2(number, 2)
        replies = open(told, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
        # Where only an ancestor may trace, anybody may trace this one.
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        scene(lambda line: print(line, file=replies, flush=True))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _trace(strace: str, pid: int, place: Path, fault: Fault | None) -> None:
    traced = fault.call if fault else ",".join(f"?{name}" for name in CALLS)
    command = [strace, "-f", "-y", "-s", "0", "-o", str(place / "trace"), "-e", f"trace={traced}"]
    if fault is not None:
        command += ["-e", fault.expression()]
    with subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, bufsize=0) as tracer:
        assert tracer.stderr is not None
        _until_attached(tracer.stderr)
        os.kill(pid, signal.SIGCONT)
        try:
            tracer.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError("the scene hung") from None


def _until_attached(told: IO[bytes]) -> None:
    line = told.readline().decode(errors="replace").strip()
    if not line.endswith("attached"):
        raise StraceError(line or "strace ended without a word")


def _parse(trace: str) -> list[Call]:
    found: list[Call] = []
    numbers: Counter[tuple[str, str]] = Counter()
    open_calls: dict[str, int] = {}
    for line in trace.splitlines():
        entered = _ENTERED.match(line)
        if entered is not None:
            thread, name, text = entered.groups()
            numbers[thread, name] += 1
            if text.endswith("<unfinished ...>"):
                open_calls[thread] = len(found)
            found.append(Call(name, numbers[thread, name], text))
        elif " resumed>" in line and (at := open_calls.pop(line.split()[0], -1)) >= 0:
            found[at] = found[at]._replace(text=f"{found[at].text} {line}")
    return found
