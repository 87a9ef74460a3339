"""Distinguishes exceptions that our own calls have raised from interrupts, which come from outside.

A signal handler can run between any two instructions of the main thread, and an exception that it
raises (a time limit, as in Celery, RQ and timeout-decorator) propagates from whatever was running.
Another thread can raise an exception here, too (``PyThreadState_SetAsyncExc``). Such an exception
is an *interrupt*. It is meant for the caller, so no ``except`` in this library may stop it. Every
``except`` that can be reached from the public functions calls ``let_through`` first. This costs
nothing as long as nothing is raised.

An exception is an interrupt if one of these is true; they are checked in this order:

1. Its class is not a subclass of ``Exception``, such as ``KeyboardInterrupt``.
2. A frame in its traceback received, as an argument, the frame that it interrupted. Python calls
   signal handlers with the number of the signal and that frame, and trace functions with that frame
   and the name of the event. No other function gets the frame below it.
3. A frame in its traceback runs the code of a signal handler that is installed.
4. It was raised, or a Python function was entered, at an instruction that neither raises nor calls.
5. It was raised in code of this library or of the standard library that had not called any other
   code, and its class is one that such code does not raise, or it has no arguments, which is how
   ``PyThreadState_SetAsyncExc`` raises a class.

One case cannot be distinguished: a built-in exception that another thread raises while an object of
the application describes itself looks like an exception of that object, and is stopped. The same
goes for ``MemoryError`` and ``RecursionError``, unless a signal handler has raised them.
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

__all__ = ["Acquisition", "is_interrupt", "let_through", "quietly"]

_VARIABLE = 0x04 | 0x08  # inspect.CO_VARARGS, inspect.CO_VARKEYWORDS
_TRACED = frozenset(("call", "line", "opcode", "return", "exception"))
_OURS = "audit_emit"
_BRIDGES = "audit_emit.integrations"
"""The adapters call code of the application and of its framework."""
_KNOWN = sys.stdlib_module_names | {_OURS, "msgspec", "builtins"}
"""Top-level modules whose code calls no code of an application, except through callbacks."""

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
"""Instructions that call no Python code; so a frame above one of them is that of an interrupt."""

_RESUME = opcode.opmap["RESUME"]
_SILENT = _opcodes("RESUME", "JUMP_BACKWARD")
"""Instructions that never raise, but at which the interpreter runs signal handlers."""

_RAISES = _opcodes("RAISE_VARARGS", "RERAISE")

# These read the attributes without running a property that a class may have in their place.
_traceback_of: Callable[[BaseException], TracebackType | None]
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_args_of: Callable[[BaseException], tuple[Any, ...]] = BaseException.__dict__["args"].__get__
_module_of: Callable[[type], Any] = type.__dict__["__module__"].__get__

_foreign_callers: set[CodeType] = set()


def door(function: F) -> F:
    """Mark a function that runs code of the application.

    That code may be written in C and have no frame, so the marked frame stands for it in a
    traceback.
    """
    assert isinstance(function, FunctionType)  # noqa: S101 - for the type checker
    _foreign_callers.add(function.__code__)
    return function


def let_through(error: BaseException) -> None:
    """Raise the exception that is being handled again, if it is an interrupt.

    Args:
        error: the exception that is being handled.
    """
    if is_interrupt(error):
        raise  # noqa: PLE0704 - called where it is handled


class quietly:  # noqa: N801 - used in with statements, as contextlib.suppress is
    """Like ``contextlib.suppress``, but lets interrupts pass."""

    def __init__(self, *kinds: type[Exception]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        return error is not None and isinstance(error, self._kinds) and not is_interrupt(error)


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception comes from outside; see the docstring of the module."""
    kind = type(error)
    if not issubclass(kind, Exception):
        return True
    look, anywhere = _came_from_outside, _ANYWHERE
    if look is None:  # while the interpreter shuts down it sets the globals of modules to None
        return False
    try:
        return look(error, kind)
    except anywhere:
        raise
    except Exception as failed:
        # An audit hook (PEP 578) may forbid to look at frames; or this is an interrupt itself.
        try:
            outside = look(failed, type(failed))
        except Exception:  # noqa: BLE001 - nobody can tell
            return False
        if outside:
            raise
        return False


def _came_from_outside(error: BaseException, kind: type[BaseException]) -> bool:
    traceback = _traceback_of(error)
    if traceback is None:
        return False
    if traceback.tb_next is None and _args_of(error) and _root(kind) == "builtins":
        # Raised by this frame, or by a function in C that it called. Nearly all exceptions are of
        # this kind, so they are decided quickly.
        return _instruction(traceback) in _SILENT
    anywhere = issubclass(kind, _ANYWHERE)
    frames = _frames(traceback)
    if _from_handler(frames, traced=not anywhere):
        return True
    return not anywhere and (_at_quiet_instruction(frames) or _cannot_be_ours(error, frames))


class Acquisition(list[bool]):
    """Acquires a lock so that no interrupt can leave it locked. Contains ``True`` once acquired.

    An interrupt may come between two instructions: after ``acquire`` has returned, and before its
    result is stored. Then nobody knows that the lock must be released. Here both are one step. Use
    it as::

        acquisition = Acquisition()
        try:
            if acquisition.acquire(lock, seconds):
                …
        finally:
            if True in acquisition:
                lock.release()
    """

    def acquire(self, lock: Any, seconds: float) -> bool:
        """Acquire a lock, waiting for at most ``seconds``; whether that succeeded."""
        # ``list.extend`` over ``map`` is one call in C. It acquires the lock and stores the result
        # without returning to the interpreter, which runs signal handlers only between
        # instructions.
        self.extend(map(lock.acquire, (True,), (seconds,)))
        return True in self


_Frames = list[tuple[FrameType, int, bool]]
"""For each entry of a traceback, the outermost first: the frame, its instruction, and whether its
module is one of ``_KNOWN``."""


def _frames(traceback: TracebackType | None) -> _Frames:
    found = []
    while traceback is not None:
        frame = traceback.tb_frame
        found.append((frame, _instruction(traceback), _module(frame) in _KNOWN))
        traceback = traceback.tb_next
    return found


def _instruction(traceback: TracebackType) -> int:
    """The opcode at which an exception left a frame; -1 if there is none, and for ``yield``."""
    code, at = traceback.tb_frame.f_code.co_code, traceback.tb_lasti
    if not 0 <= at < len(code) - 1:
        return -1
    # An exception that is thrown into a generator seems to come from the RESUME after its yield,
    # which unlike that at the beginning of a function has an argument.
    return -1 if code[at] == _RESUME and code[at + 1] else code[at]


def _module(frame: FrameType, parts: int = 1) -> str:
    name = frame.f_globals.get("__name__")
    if type(name) is not str:
        return ""
    return "collections" if name.startswith("namedtuple_") else ".".join(name.split(".")[:parts])


def _from_handler(frames: _Frames, *, traced: bool) -> bool:
    """Whether a frame is that of a signal handler, or, with ``traced``, of a trace function."""
    above: FrameType | None = None
    unknown_code = set()
    for frame, _, known in frames:
        if not known:
            unknown_code.add(frame.f_code)
        if (not known or above is None) and _received_frame(
            frame, above or frame.f_back, traced=traced
        ):
            return True
        above = frame
    return bool(unknown_code) and not unknown_code.isdisjoint(_handlers())


def _received_frame(frame: FrameType, above: FrameType | None, *, traced: bool) -> bool:
    """Whether the arguments of a frame include its caller's frame, as for a handler.

    A signal handler gets ``(number, frame)``, a trace function ``(frame, event, …)``.
    """
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
    """The code that a callable runs, found without running any code."""
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


def _at_quiet_instruction(frames: _Frames) -> bool:
    """Whether it was raised, or a frame entered, where nothing is raised or called (rule 4)."""
    return frames[-1][1] in _SILENT or any(at in _QUIET for _, at, _ in frames[:-1])


def _cannot_be_ours(error: BaseException, frames: _Frames) -> bool:
    """Whether neither the application's code nor known code can have raised it (rule 5)."""
    for frame, _, known in frames:
        if not known or frame.f_code in _foreign_callers or _module(frame, 2) == _BRIDGES:
            return False
    at = frames[-1][1]
    if _root(type(error)) not in _KNOWN:
        return True
    return not _args_of(error) and _root(type(error)) != _OURS and at not in _RAISES


def _root(kind: type) -> str:
    module = _module_of(kind)
    return module.partition(".")[0] if type(module) is str else ""
