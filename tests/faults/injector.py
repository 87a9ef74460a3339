"""Raises an exception at the k-th place where the interpreter could deliver one asynchronously.

CPython looks for signals after a call and at the start of a function; those places of the library's
own code are counted, so that a test can go through all of them.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any

CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX"})
"""Where memory may be found to have run out."""

ANYWHERE = CALLS | {"RESUME", "JUMP_BACKWARD"}
"""Where a signal may be seen."""


@cache
def places(code: CodeType, after: frozenset[str]) -> frozenset[int]:
    """Offsets of the instructions that follow one of these."""
    found = set()
    before = ""
    for instruction in dis.get_instructions(code):
        if before in after:
            found.add(instruction.offset)
        before = instruction.opname
    return frozenset(found)


class Injector:
    """Runs a call and raises at one place of it.

    Attributes:
        where: file and line of the place; empty when there are fewer places.
    """

    def __init__(self, error: type[BaseException], at: int) -> None:
        self._error = error
        self._after = CALLS if issubclass(error, MemoryError) else ANYWHERE
        self._at = at
        self._passed = 0
        self.where = ""

    def run(self, call: Callable[[], Any]) -> Any:
        """What the call returns; raises what it raises."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            return call()
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        if not frame.f_globals.get("__name__", "").startswith("audit_emit"):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode" and frame.f_lasti in places(frame.f_code, self._after):
            number = self._passed
            self._passed += 1
            if number == self._at:
                code = frame.f_code
                self.where = f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
                raise self._error
        return self._stepped
