"""Does something at the k-th place where the interpreter could see a signal: raises, or forks.

CPython looks for signals after a call and at the start of a function; those places of the library's
own code are counted, so that a test can go through all of them.
"""

from __future__ import annotations

import dis
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache, partial
from types import CodeType, FrameType
from typing import Any, NoReturn

CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX"})
"""Where memory may be found to have run out."""

JUMPS = frozenset(
    {"JUMP_BACKWARD"}
    | {f"POP_JUMP_BACKWARD_IF_{test}" for test in ("TRUE", "FALSE", "NONE", "NOT_NONE")}
)
"""Where a loop goes round, or a handler back to what follows its statement.

The handlers that are asked are those of the jump; its target may be in no handler's range.
"""

ANYWHERE = CALLS | JUMPS | {"RESUME"}
"""Where a signal may be seen."""


@cache
def places(code: CodeType, seen: frozenset[str]) -> frozenset[int]:
    """Offsets of the jumps among these, and of the instructions that follow the others."""
    found = set()
    follows = False
    for instruction in dis.get_instructions(code):
        if follows or instruction.opname in seen & JUMPS:
            found.add(instruction.offset)
        follows = instruction.opname in seen - JUMPS
    return frozenset(found)


Step = Callable[[FrameType, int], None]
"""Told each instruction that is about to run: its frame and its offset. May raise."""

if sys.version_info >= (3, 12):
    # Since 3.12 f_trace_opcodes shows some calls of a function and not others: what it switches on
    # is not the frame's (3.12: the interpreter's, looked at by settrace only; 3.13: the code's).
    TOOL = 4

    def stepping(step: Step, modules: tuple[str, ...]) -> Callable[[], None]:
        """Call ``step`` for the code of these modules in this thread, until what this returns is.

        No context manager: the code of ``contextlib`` may be among that which is interrupted.
        """
        events = sys.monitoring.events
        thread = threading.get_ident()
        seen = []

        def started(code: CodeType, offset: int) -> None:
            if threading.get_ident() == thread and is_of(sys._getframe(1), modules):
                seen.append(code)
                sys.monitoring.set_local_events(TOOL, code, events.INSTRUCTION)

        def instruction(code: CodeType, offset: int) -> None:
            if threading.get_ident() == thread:
                step(sys._getframe(1), offset)

        sys.monitoring.use_tool_id(TOOL, "audit_emit faults")
        sys.monitoring.register_callback(TOOL, events.PY_START, started)
        sys.monitoring.register_callback(TOOL, events.INSTRUCTION, instruction)
        sys.monitoring.set_events(TOOL, events.PY_START)

        def stop() -> None:
            sys.monitoring.set_events(TOOL, events.NO_EVENTS)
            for code in seen:
                sys.monitoring.set_local_events(TOOL, code, events.NO_EVENTS)
            for event in (events.PY_START, events.INSTRUCTION):
                sys.monitoring.register_callback(TOOL, event, None)
            sys.monitoring.free_tool_id(TOOL)

        return stop

else:

    def stepping(step: Step, modules: tuple[str, ...]) -> Callable[[], None]:
        """Call ``step`` for the code of these modules in this thread, until what this returns is.

        No context manager: the code of ``contextlib`` may be among that which is interrupted.
        """

        def called(frame: FrameType, event: str, arg: Any) -> Any:
            if not is_of(frame, modules):
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            return stepped

        def stepped(frame: FrameType, event: str, arg: Any) -> Any:
            if event == "opcode":
                step(frame, frame.f_lasti)
            return stepped

        before = sys.gettrace()
        sys.settrace(called)
        return partial(sys.settrace, before)


def is_of(frame: FrameType, modules: tuple[str, ...]) -> bool:
    """Whether it runs code of modules whose names begin so."""
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith(modules)


OURS = ("audit_emit",)


def _is_finalizing(frame: FrameType | None) -> bool:
    """Whether a finalizer runs, of whatever is collected just now: Python keeps what it raises."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


class Interrupter:
    """Runs a call and does something at one place of it, as a signal handler would.

    Args:
        handler: does it.
        at: the number of the place.
        seen: the instructions that make a place.
        modules: what the names of the modules begin with whose places count.

    Attributes:
        where: file and line of the place; empty when there are fewer places.
        passed: how many places there were so far.
    """

    def __init__(
        self,
        handler: Callable[[], object],
        at: int,
        seen: frozenset[str] = ANYWHERE,
        modules: tuple[str, ...] = OURS,
    ) -> None:
        self._handler = handler
        self._seen = seen
        self._at = at
        self._modules = modules
        self.passed = 0
        self.where = ""

    def run(self, call: Callable[[], Any]) -> Any:
        """What the call returns; raises what it raises."""
        stop = stepping(self._stepped, self._modules)
        try:
            return call()
        finally:
            stop()

    def _stepped(self, frame: FrameType, offset: int) -> None:
        if offset not in places(frame.f_code, self._seen):
            return
        number = self.passed
        self.passed += 1
        if number == self._at:
            if _is_finalizing(frame):
                self._at += 1
                return
            code = frame.f_code
            self.where = f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
            self._handler()


class Injector(Interrupter):
    """Runs a call and raises at one place of it: where there is no memory, or out of a signal."""

    def __init__(
        self, error: type[BaseException], at: int, modules: tuple[str, ...] = OURS
    ) -> None:
        def handle(number: int, frame: FrameType | None) -> NoReturn:
            raise error

        def fail() -> None:
            if issubclass(error, MemoryError):
                raise error
            before = signal.signal(signal.SIGUSR2, handle)
            try:
                signal.raise_signal(signal.SIGUSR2)
            finally:
                signal.signal(signal.SIGUSR2, before)

        seen = CALLS if issubclass(error, MemoryError) else ANYWHERE
        super().__init__(fail, at, seen, modules)
