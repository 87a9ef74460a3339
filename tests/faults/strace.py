"""Runs a function in a forked process under ``strace``, which fails or kills at one system call.

The process is forked from one that has imported everything, and stops before it begins, so that
nothing of the interpreter's start is waited for. Only calls on the files of one directory count, in
each thread by itself.
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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

from support.waiting import PATIENCE

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
    """What is done to the ``when``-th call of a name, counted from 1."""

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
    """The ``number``-th of its name in its thread, and how it was printed."""

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
        calls: those on files of the directory, in order.
    """

    status: int
    told: list[str]
    output: str
    calls: list[Call]

    def met(self, fault: Fault) -> bool:
        """Whether the fault hit its call."""
        if fault.kills:
            reached = any((c.name, c.number) == (fault.call, fault.when) for c in self.calls)
            return reached and self.status == -signal.SIGKILL
        return any(call.injected for call in self.calls)

    def paths(self, directory: Path) -> tuple[str, ...]:
        """The files of the directory on which there were calls."""
        named = re.compile(rf'["<]({re.escape(str(directory))}[^">]*)')
        return tuple(sorted({path for call in self.calls for path in named.findall(call.text)}))


Tell = Callable[[str], None]


def run(
    scene: Callable[[Tell], None],
    place: Path,
    directory: Path,
    fault: Fault | None = None,
    paths: Sequence[str] = (),
) -> Outcome:
    """Play a scene under the tracer.

    Args:
        scene: gets a function that keeps what it is told (one line) whatever happens.
        place: a directory for the trace and the output.
        directory: the calls on its files count.
        fault: what is done to one of them.
        paths: the files that the fault may be about.

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
        _trace([strace, *_what(fault, paths)], pid, place)
    finally:
        os.kill(pid, signal.SIGKILL)  # it has ended, or must
        status = os.waitpid(pid, 0)[1]
        with os.fdopen(reply, "rb") as lines:
            kept = lines.read().decode().splitlines()
    return Outcome(
        os.waitstatus_to_exitcode(status),
        kept,
        (place / "output").read_text(errors="replace"),
        _parse((place / "trace").read_text(errors="replace"), str(directory)),
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


def _what(fault: Fault | None, paths: Sequence[str]) -> list[str]:
    if fault is None:
        return ["-e", "trace=" + ",".join(f"?{name}" for name in CALLS)]
    files = [option for path in paths for option in ("-P", path)]
    return ["-e", f"trace={fault.call}", "-e", fault.expression(), *files]


def _trace(strace: Sequence[str], pid: int, place: Path) -> None:
    command = [*strace, "-f", "-y", "-s", "0", "-o", str(place / "trace")]
    with subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, bufsize=0) as tracer:
        assert tracer.stderr is not None
        _until_attached(tracer.stderr)
        os.kill(pid, signal.SIGCONT)
        try:
            tracer.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError("the scene hung") from None


def _until_attached(told: IO[bytes]) -> None:
    lines = []
    while line := told.readline().decode(errors="replace").strip():
        if line.endswith("attached"):
            return
        lines.append(line)
    raise StraceError("; ".join(lines) or "strace ended without a word")


def _parse(trace: str, directory: str) -> list[Call]:
    found: list[Call] = []
    numbers: Counter[tuple[str, str]] = Counter()
    unfinished: dict[str, int] = {}
    for line in trace.splitlines():
        entered = _ENTERED.match(line)
        if entered is not None and directory in line:
            thread, name, text = entered.groups()
            numbers[thread, name] += 1
            if text.endswith("<unfinished ...>"):
                unfinished[thread] = len(found)
            found.append(Call(name, numbers[thread, name], text))
        elif " resumed>" in line and (at := unfinished.pop(line.split()[0], -1)) >= 0:
            found[at] = found[at]._replace(text=f"{found[at].text} {line}")
    return found
