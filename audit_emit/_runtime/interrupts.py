"""Whose exception is it: raised by what we called, or by somebody else who stepped in meanwhile?

A signal handler runs between any two instructions, and what it raises (a time limit, as Celery, RQ
and timeout-decorator have them) comes out of whatever the main thread was doing. So does what
another thread raises here (``PyThreadState_SetAsyncExc``). Such an exception is an *interrupt*: it
is the caller's, and no ``except`` of ours may keep it. Every ``except`` that is reached from the
public functions asks ``let_through`` first; nothing is asked while nothing is raised.

What gives an interrupt away, in the order in which it is looked for:

1. Its class is no ``Exception``, as of ``KeyboardInterrupt``.
2. A frame in its traceback was given the frame that it interrupted: handlers are called with the
   number of the signal and that frame, trace functions with that frame and the name of the event.
3. A frame in its traceback runs the code of a signal handler that is installed.
4. It was raised, or Python code was entered, at an instruction that neither raises nor calls.
5. It was raised in code of ours or of the standard library that had called nobody else's code, and
   is of a class that such code does not raise, or has no arguments, as only a bare class has.

A class of the interpreter's own that another thread raises while an object of the application
describes itself cannot be told from what that object raises, and stays inside. So do a
``MemoryError`` and a ``RecursionError``, unless a signal handler raised them.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # signal.getsignal takes 20 times as long
import opcode
import sys
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType, FunctionType, MethodType, TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["Held", "is_interrupt", "let_through", "quietly"]

_VARIABLE = 0x04 | 0x08  # inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
_TRACED = frozenset(("call", "line", "opcode", "return", "exception"))
_OURS = "audit_emit"
_BRIDGES = "audit_emit.integrations"
"""Its code calls the application and its framework."""
_KNOWN = sys.stdlib_module_names | {_OURS, "msgspec", "builtins"}
"""Top-level modules whose code calls nobody else's unless it is told to."""

_ANYWHERE = (MemoryError, RecursionError)


def _opcodes(*names: str) -> frozenset[int]:
    return frozenset(opcode.opmap[name] for name in names if name in opcode.opmap)


_QUIET = _opcodes(
    "RESUME",
    "NOP",
    "POP_TOP",
    "PUSH_NULL",
    "COPY",
    "SWAP",
    "LOAD_CONST",
    "LOAD_FAST",
    "STORE_FAST",
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
    "POP_JUMP_FORWARD_IF_NONE",
    "POP_JUMP_FORWARD_IF_NOT_NONE",
    "POP_JUMP_BACKWARD_IF_NONE",
    "POP_JUMP_BACKWARD_IF_NOT_NONE",
    "POP_JUMP_IF_NONE",
    "POP_JUMP_IF_NOT_NONE",
    "IS_OP",
    "RETURN_VALUE",
    "RETURN_CONST",
)
"""Instructions that call no Python code."""

_RESUME = opcode.opmap["RESUME"]
_SILENT = _opcodes("RESUME", "JUMP_BACKWARD")
"""Instructions that raise nothing, but at which the interpreter looks for interrupts."""

_RAISES = _opcodes("RAISE_VARARGS", "RERAISE")

# Without running what a class may have put in their place.
_traceback_of: Callable[[BaseException], TracebackType | None]
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_args_of: Callable[[BaseException], tuple[Any, ...]] = BaseException.__dict__["args"].__get__
_module_of: Callable[[type], Any] = type.__dict__["__module__"].__get__

_doors: set[CodeType] = set()


def door(function: F) -> F:
    """Mark a function that runs code of the application, which may be in C and have no frame."""
    assert isinstance(function, FunctionType)  # noqa: S101 - for the type checker
    _doors.add(function.__code__)
    return function


def let_through(error: BaseException) -> None:
    """Raise the exception that is being handled once more if it is an interrupt.

    Args:
        error: that exception.
    """
    if is_interrupt(error):
        raise  # noqa: PLE0704 - called where it is handled


class quietly:  # noqa: N801 - used in with statements, as contextlib.suppress is
    """``contextlib.suppress`` for what is no interrupt."""

    def __init__(self, *kinds: type[Exception]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        return error is not None and isinstance(error, self._kinds) and not is_interrupt(error)


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception was raised by nothing that we called; see above."""
    kind = type(error)
    if not issubclass(kind, Exception):
        return True
    look = _stepped_in
    # At its very end the interpreter takes the globals away.
    return look is not None and look(error, kind)


def _stepped_in(error: BaseException, kind: type[BaseException]) -> bool:
    traceback = _traceback_of(error)
    if traceback is None:
        return False
    if traceback.tb_next is None and _args_of(error) and _root(kind) == "builtins":
        # One of ours, or of a function in C that was called here: nearly all of them.
        return _instruction(traceback) in _SILENT
    anywhere = issubclass(kind, _ANYWHERE)
    frames = _frames(traceback)
    if _from_handler(frames, traced=not anywhere):
        return True
    return not anywhere and (_out_of_nowhere(frames) or _strange(error, frames))


class Held(list[bool]):
    """What is known of a lock: holds ``True`` while it is held.

    An interrupt may come between two instructions: after a lock was taken, and before anybody can
    know that it was. Here both are one. Use it as::

        held = Held()
        try:
            if held.take(lock, seconds):
                …
        finally:
            if True in held:
                lock.release()
    """

    def take(self, lock: Any, seconds: float) -> bool:
        """Whether a lock was taken within some seconds."""
        # One call in C, between whose steps no interrupt is looked for once it waits no longer.
        self.extend(map(lock.acquire, (True,), (seconds,)))
        return True in self


_Frames = list[tuple[FrameType, int, bool]]
"""Of each step of a traceback, the outermost first: the frame, its instruction, and whether the
code is known to call nobody else's."""


def _frames(traceback: TracebackType | None) -> _Frames:
    found = []
    while traceback is not None:
        frame = traceback.tb_frame
        found.append((frame, _instruction(traceback), _module(frame) in _KNOWN))
        traceback = traceback.tb_next
    return found


def _instruction(traceback: TracebackType) -> int:
    """The opcode at which a frame was left; -1 where there is none, and for ``yield``."""
    code, at = traceback.tb_frame.f_code.co_code, traceback.tb_lasti
    if not 0 <= at < len(code) - 1:
        return -1
    # What is thrown into a generator comes from the RESUME behind its yield, with an argument.
    return -1 if code[at] == _RESUME and code[at + 1] else code[at]


def _module(frame: FrameType, parts: int = 1) -> str:
    name = frame.f_globals.get("__name__")
    if type(name) is not str:
        return ""
    return "collections" if name.startswith("namedtuple_") else ".".join(name.split(".")[:parts])


def _from_handler(frames: _Frames, *, traced: bool) -> bool:
    """Whether a frame is that of a signal handler, or of a trace function (``traced``)."""
    above: FrameType | None = None
    strangers = set()
    for frame, _, known in frames:
        if not known:
            strangers.add(frame.f_code)
        if (not known or above is None) and _was_given(frame, above or frame.f_back, traced=traced):
            return True
        above = frame
    return bool(strangers) and not strangers.isdisjoint(_handlers())


def _was_given(frame: FrameType, above: FrameType | None, *, traced: bool) -> bool:
    """Whether the arguments say so: ``(number, frame above)`` or ``(frame above, event)``."""
    if above is None:
        return False
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount + (code.co_flags & _VARIABLE).bit_count()
    if not count or _module(frame) == _OURS:
        return False
    values = frame.f_locals
    given: list[Any] = []
    for name in code.co_varnames[:count]:
        value = values.get(name)
        given += value[:4] if type(value) is tuple else (value,)
    for at, value in enumerate(given):
        if value is above:
            before, after = [None, *given][at], [*given, None][at + 1]
            return issubclass(type(before), int) or (
                traced and type(after) is str and after in _TRACED
            )
    return False


def _handlers() -> set[CodeType]:
    """The code of the signal handlers that are installed."""
    found = map(_signal.getsignal, range(1, _signal.NSIG))
    return {code for handler in found if callable(handler) and (code := _code_of(handler))}


def _code_of(handler: Any) -> CodeType | None:
    """The code that a callable runs, found without running any."""
    for _ in range(8):
        kind = type(handler)
        if kind is FunctionType:
            code: CodeType = handler.__code__
            return code
        if kind is MethodType:
            handler = handler.__func__
        elif kind is partial:
            handler = handler.func
        else:
            found = [vars(base)["__call__"] for base in type.mro(kind) if "__call__" in vars(base)]
            handler = found[0] if found else None
    return None


def _out_of_nowhere(frames: _Frames) -> bool:
    """Whether it came up at an instruction that neither raises nor calls."""
    return frames[-1][1] in _SILENT or any(at in _QUIET for _, at, _ in frames[:-1])


def _strange(error: BaseException, frames: _Frames) -> bool:
    """Whether it was raised by none of the application's code, and by none that is known either."""
    for frame, _, known in frames:
        if not known or frame.f_code in _doors or _module(frame, 2) == _BRIDGES:
            return False
    at = frames[-1][1]
    if _root(type(error)) not in _KNOWN:
        return True
    return not _args_of(error) and _root(type(error)) != _OURS and at not in _RAISES


def _root(kind: type) -> str:
    module = _module_of(kind)
    return module.partition(".")[0] if type(module) is str else ""
