from __future__ import annotations

import _thread
import os
import subprocess
import sys
import threading

import pytest
from support.waiting import PATIENCE

from audit_emit._runtime.threads import Background


def test_it_works_beside_us_and_ends() -> None:
    begun, end = threading.Event(), threading.Event()
    seen: list[int] = []

    def work(number: int) -> None:
        seen.extend((number, threading.get_ident()))
        begun.set()
        end.wait()

    thread = Background()
    assert not thread.is_alive()
    thread.start(work, 7)
    assert begun.wait(PATIENCE)
    assert thread.is_alive()
    assert seen[0] == 7
    assert seen[1] != threading.get_ident()
    thread.join(0.001)
    assert thread.is_alive()
    end.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_it_has_ended_when_its_work_failed() -> None:
    thread = Background()
    thread.start(sys.exit)
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_one_that_could_not_be_started_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    thread = Background()
    with pytest.raises(RuntimeError):
        thread.start(print)
    assert not thread.is_alive()
    thread.join(PATIENCE)


def test_it_keeps_no_process() -> None:
    code = (
        "import time\n"
        "from audit_emit._runtime.threads import Background\n"
        "thread = Background()\n"
        "thread.start(time.sleep, 600)\n"
        "assert thread.is_alive()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_child_it_is_not_alive_and_not_waited_for() -> None:
    code = (
        "import os, time\n"
        "from audit_emit._runtime.threads import Background\n"
        "thread = Background()\n"
        "thread.start(time.sleep, 600)\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    thread.join(600)\n"
        "    os._exit(thread.is_alive())\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
    )
    # 3.12 warns of every fork beside threads.
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=PATIENCE)


def test_a_thread_that_had_not_the_memory_to_begin_is_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python begins the thread, and cannot make the frame of its first function."""

    def begin(_: object, arguments: tuple[object, ...]) -> None:
        del arguments

    monkeypatch.setattr(_thread, "start_new_thread", begin)
    thread = Background()
    thread.start(print)
    assert not thread.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library, and /dev/null")
def test_one_that_wakes_at_the_end_of_a_process_without_descriptors_does_not_abort_it() -> None:
    code = (
        "import os, resource, sys, time\n"
        "from audit_emit._runtime.threads import Background\n"
        "class Late:\n"
        "    def __del__(self):\n"
        "        time.sleep(0.3)\n"  # the interpreter is ending, and the thread wakes
        "woken = []\n"
        "def wake():\n"
        "    while True: woken.append(time.sleep(0.001))\n"
        "Background().start(wake)\n"
        "while not woken: time.sleep(0.001)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "sys.modules['late'] = Late()\n"
        "try:\n"
        "    while True: os.open('/dev/null', os.O_RDONLY)\n"
        "except OSError: pass\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


def _with_hook(what: str) -> None:
    """Start a thread in a process in which an audit hook (PEP 578) does this about ctypes."""
    code = (
        "import os, queue, signal, sys\n"
        "from audit_emit._runtime.threads import Background\n"
        "class Forbidden(Exception): pass\n"
        "def late(number, frame): raise TimeoutError('the time is over')\n"
        "signal.signal(signal.SIGUSR1, late)\n"
        "def hook(name, arguments):\n"
        f"    if name == 'ctypes.dlopen': {what}\n"
        "sys.addaudithook(hook)\n"
        "begun, error = queue.SimpleQueue(), None\n"
        "try: Background().start(begun.put, 1)\n"
        "except TimeoutError as found: error = found\n"
    )
    ending = "assert error" if "signal" in what else f"begun.get(timeout={PATIENCE})"
    subprocess.run([sys.executable, "-c", code + ending], check=True, timeout=PATIENCE)


def test_a_hook_that_forbids_foreign_libraries_does_not_keep_it_from_starting() -> None:
    _with_hook("raise Forbidden")


@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14), reason="no library is loaded there"
)
def test_an_interrupt_while_the_library_is_loaded_goes_on_to_the_caller() -> None:
    _with_hook("signal.raise_signal(signal.SIGUSR1)")


def test_to_start_one_imports_nothing_which_another_thread_may_be_importing_at_a_fork() -> None:
    code = (
        "import queue, sys\n"
        "from audit_emit._runtime.threads import Background\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_): asked.append(name)\n"
        "asked, begun = [], queue.SimpleQueue()\n"
        "sys.meta_path.insert(0, Finder())\n"
        "Background().start(begun.put, 1)\n"
        f"begun.get(timeout={PATIENCE})\n"
        "assert not asked, asked\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
