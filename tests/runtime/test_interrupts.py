"""Whose exception it is: the caller's, from a signal handler or another thread, or ours."""

from __future__ import annotations

import ast
import ctypes
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from support.interpreted_emitter import interpreted
from support.waiting import PATIENCE

from audit_emit import AuditError, Emitter
from audit_emit._runtime import interrupts as _interrupts
from audit_emit._runtime.interrupts import is_interrupt, let_through, quietly
from audit_emit.integrations.stdlib import AuditHandler
from audit_emit.testing import capture

ALARM = signal.SIGUSR1


class TimeLimitError(Exception):
    """As Celery's, RQ's and others'."""


def ring() -> None:
    signal.raise_signal(ALARM)


def on_alarm(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeLimitError


class Host:
    def method(self, number: int, frame: FrameType | None) -> NoReturn:
        raise TimeLimitError

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        raise TimeLimitError

    @staticmethod
    def extra(more: str, number: int, frame: FrameType | None) -> NoReturn:
        raise TimeLimitError(more)


def forgetful(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise TimeLimitError


def uninstalls(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(ALARM, signal.SIG_DFL)
    raise TimeLimitError


def deep(*given: Any) -> None:
    def deeper(left: int) -> None:
        if not left:
            raise TimeLimitError
        deeper(left - 1)

    deeper(5)


HANDLERS: list[Callable[[int, FrameType | None], Any]] = [
    on_alarm,
    Host().method,
    Host(),
    partial(Host.extra, "more"),
    lambda *_: (_ for _ in ()).throw(TimeLimitError),
    forgetful,
    uninstalls,
    deep,
]


@pytest.fixture
def install() -> Iterator[Callable[[Any], object]]:
    before = signal.getsignal(ALARM)
    yield lambda handler: signal.signal(ALARM, handler)
    signal.signal(ALARM, before)


@pytest.fixture(params=["as installed", "interpreted"])
def emitter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Emitter]:
    path = tmp_path / "audit.jsonl"
    made = Emitter(service="interrupts", jsonl=path, stdout=False)
    if request.param == "interpreted":
        interpreted(made)
    made.emit(None, "a.b", {"n": 0})
    yield made
    made.close()


class Described:
    """An object of the application; the signal comes, or it fails, while it describes itself."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def __str__(self) -> str:
        self.work()
        return "described"


class Mapped(Mapping[str, Any]):
    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def __getitem__(self, name: str) -> Any:
        self.work()
        return 1

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


class Broken:
    @property
    def name(self) -> NoReturn:
        raise TimeLimitError

    def __repr__(self) -> NoReturn:
        raise TimeLimitError


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("kind", [Described, Mapped])
def test_what_a_handler_raises_in_an_object_of_the_application_reaches_the_caller(
    handler: Any, kind: Any, emitter: Emitter, install: Callable[[Any], object]
) -> None:
    install(handler)
    with pytest.raises(TimeLimitError):
        emitter.emit(None, "a.b", {"value": kind(ring)})
    assert emitter.emit(None, "a.b", {"n": 1}) is not None


@pytest.mark.parametrize("error", [TimeoutError, ValueError, RuntimeError, MemoryError, OSError])
def test_so_does_what_ours_might_be_when_a_handler_raises_it(
    error: type[Exception], emitter: Emitter, install: Callable[[Any], object]
) -> None:
    def handler(number: int, frame: FrameType | None) -> NoReturn:
        raise error

    install(handler)
    with pytest.raises(error):
        emitter.emit(None, "a.b", {"value": Described(ring)})


def test_so_does_what_comes_while_a_processor_works(
    tmp_path: Path, install: Callable[[Any], object]
) -> None:
    def slow(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
        ring()
        return event

    install(on_alarm)
    emitter = Emitter(jsonl=tmp_path / "audit.jsonl", stdout=False, processors=[slow])
    with pytest.raises(TimeLimitError):
        emitter.emit(None, "a.b", {"n": 1})
    assert emitter.health()["counters"]["processor_errors"] == 0
    emitter.close()


def test_so_does_what_comes_while_the_context_is_read(
    emitter: Emitter, install: Callable[[Any], object]
) -> None:
    install(on_alarm)

    class Context(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            ring()

    with pytest.raises(TimeLimitError):
        emitter.emit(Context(user_id="u"), "a.b", {"n": 1})


@pytest.mark.parametrize(
    "value", [Described(Broken().__repr__), Mapped(Broken().__repr__), Broken()]
)
def test_what_an_object_of_the_application_raises_itself_stays_inside(
    value: Any, emitter: Emitter
) -> None:
    assert emitter.emit(None, "a.b", {"value": value}) is not None
    assert emitter.health()["counters"]["internal_errors"] == 0


def test_what_fails_inside_stays_inside_though_a_handler_is_installed(
    emitter: Emitter, install: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise TimeLimitError

    install(on_alarm)
    interpreted(emitter)
    monkeypatch.setattr(emitter.builder, "compose", fail)
    assert emitter.emit(None, "a.b", {"n": 1}) is None
    assert emitter.health()["counters"]["internal_errors"] == 1


def test_emit_strict_makes_no_audit_error_of_it(
    emitter: Emitter, install: Callable[[Any], object]
) -> None:
    install(on_alarm)
    with pytest.raises(TimeLimitError):
        emitter.emit_strict(None, "a.b", {"value": Described(ring)})


def test_emit_strict_makes_an_audit_error_of_what_is_ours(
    emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise TimeLimitError

    monkeypatch.setattr(emitter.builder, "compose", fail)
    with pytest.raises(AuditError):
        emitter.emit_strict(None, "a.b", {})


@pytest.mark.parametrize("call", ["flush", "close"])
def test_flush_and_close_let_it_through(
    call: str,
    emitter: Emitter,
    install: Callable[[Any], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(on_alarm)
    monkeypatch.setattr(emitter.outbox, "show_rest", lambda _: ring())
    with pytest.raises(TimeLimitError):
        getattr(emitter, call)()
    monkeypatch.undo()


def emit_until_told(emitter: Emitter, fields: dict[str, Any], seconds: float) -> None:
    """Emit again and again, until the alarm rings.

    Not in the ``with`` block of a test: in Python 3.13 its last jump back to the beginning of a
    loop is not part of the block, and what a signal handler raises just there gets past it.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        emitter.emit(None, "a.b", fields)


@pytest.fixture
def _nobody_else_is_called() -> Iterator[None]:
    """No callbacks of the garbage collector: Python keeps what a signal handler raises in one."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks.extend(callbacks)


@pytest.mark.usefixtures("_nobody_else_is_called")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an interval timer")
@pytest.mark.parametrize("fields", [{"key": "A"}, {"before": {"n": 1}, "after": {"n": [2, 3]}}])
def test_no_time_limit_is_lost_whenever_it_comes(
    fields: dict[str, Any], emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        for number in range(200):
            with pytest.raises(TimeLimitError):
                emit_until_told(emitter, fields, 0.0005 + number / 1e6)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert emitter.emit(None, "a.b", fields) is not None


@pytest.mark.parametrize("error", [TimeLimitError, TimeoutError])
def test_what_another_thread_raises_here_reaches_the_caller(
    error: type[Exception], emitter: Emitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc
    here = ctypes.c_ulong(threading.get_ident())
    begin, over = threading.Semaphore(0), threading.Event()
    hook = sys.unraisablehook

    def interrupt() -> None:
        while begin.acquire() and not over.is_set():
            time.sleep(0.002)
            raised(here, ctypes.py_object(error))

    def stray(told: Any) -> None:
        # A thread that is being started has the number of the one that starts it, until it runs
        # (CPython 3.11): what was meant for this thread came out there, so there is another one.
        if told.exc_type is error:
            begin.release()
        else:
            hook(told)

    monkeypatch.setattr(sys, "unraisablehook", stray)
    thread = threading.Thread(target=interrupt)
    thread.start()
    for _ in range(30):
        with pytest.raises(error):  # noqa: PT012 - it may come out of any of them
            begin.release()
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                emitter.emit(None, "a.b", {"before": {"n": 1}, "after": [1, 2, 3]})
    over.set()
    begin.release()
    thread.join()
    assert emitter.emit(None, "a.b", {}) is not None


def test_a_log_call_lets_it_through(install: Callable[[Any], object]) -> None:
    install(on_alarm)
    logger = logging.getLogger("interrupts")
    logger.setLevel(logging.INFO)
    logger.addHandler(AuditHandler())
    with capture(), pytest.raises(TimeLimitError):
        logger.info("a.b", extra={"audit": {"value": Described(ring)}})
    logger.handlers.clear()


def test_what_is_no_exception_is_an_interrupt() -> None:
    assert is_interrupt(KeyboardInterrupt())
    assert is_interrupt(SystemExit())
    assert not is_interrupt(ValueError("never raised"))


def test_an_error_of_the_system_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "missing").unlink()
    assert not is_interrupt(caught.value)
    with quietly(FileNotFoundError):
        (tmp_path / "missing").unlink()


def test_quietly_hides_nothing_else(install: Callable[[Any], object]) -> None:
    with pytest.raises(KeyError), quietly(OSError):
        raise KeyError
    install(on_alarm)
    with pytest.raises(TimeLimitError), quietly(TimeLimitError):
        ring()


def test_an_exception_that_was_thrown_into_a_generator_is_ours() -> None:
    def generator() -> Generator[int, None, None]:
        try:
            yield 1
        except KeyError as error:
            let_through(error)
            yield 2

    running = generator()
    next(running)
    assert running.throw(KeyError("key")) == 2


# Everywhere

RECORDS = (
    "_checkpoints.schedule",
    "_core.announced",
    "_core.audited",
    "_stores.backlog",
    "_stores.clock",
    "_core.default",
    "_core.outbox",
    "_core.emitter",
    "_core.failing",
    "_core.flushing",
    "_core.own_records",
    "_core.background",
    "_core.beginning",
    "_core.life",
    "_core.mirror_queue",
    "_core.gap_pace",
    "_core.health",
    "_core.misuse",
    "_core.record_builder",
    "_fields.normaliser",
    "_fields.text",
    "_fields.types",
    "_fields.values",
    "_fields.walk",
    "_format.encode",
    "_format.record",
    "_format.tail",
    "_redaction.finders.schemes",
    "_redaction.redactor",
    "_runtime.duplicates",
    "_runtime.failure",
    "_runtime.foreign",
    "_runtime.forks",
    "_runtime.nonblocking_fd",
    "_runtime.owned_fds",
    "_runtime.standard_streams",
    "_runtime.structlog_context",
    "_settings.settings",
    "_stores.base",
    "_stores.factory",
    "_stores.jsonl.critical",
    "_stores.jsonl.directory",
    "_stores.jsonl.durability",
    "_stores.jsonl.group_commit",
    "_stores.jsonl.lockfile",
    "_stores.jsonl.obstacle",
    "_stores.jsonl.declaring",
    "_stores.jsonl.retired",
    "_stores.jsonl.rotation",
    "_stores.jsonl.segment",
    "_stores.jsonl.segment_index",
    "_stores.jsonl.store",
    "_stores.jsonl.undeclared",
    "_stores.jsonl.whole_lines",
    "_stores.stdout.mirror",
    "context",
    "integrations._common",
    "integrations._request",
    "integrations._request_context",
    "integrations.stdlib",
)
"""The modules that run while an event is recorded."""
HARMLESS = {
    *("ImportError", "ModuleNotFoundError", "SinkError", "ConfigError", "queue.Empty"),
    *("MemoryError", "RecursionError", "self._NO_ROOM", "StopAsyncIteration"),
}
"""Classes of ours, those that no host raises, and those that are the interpreter's own."""
NOBODY_WAITS = {"_runtime/forks.py", "_core/outbox.py"}
"""One each: at the import, and in a thread of ours."""
HANDS_ON = {"_core/audited.py"}
"""One: into the work."""


def keeps(handler: ast.ExceptHandler) -> bool:
    """Whether an ``except`` could keep an interrupt: it does not ask, and does not raise."""
    named = {ast.unparse(one) for one in _classes(handler.type)}
    asks = {"let_through", "is_interrupt", "_is_interrupt", "fail"}
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(handler)
        if isinstance(node, ast.Call)
    }
    raises = any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))
    return not (named <= HARMLESS or called & asks or raises)


def _classes(expression: ast.expr | None) -> list[ast.expr]:
    if isinstance(expression, ast.Tuple):
        return expression.elts
    return [] if expression is None else [expression]


def walked(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of ``__del__``: what is raised there, Python keeps from everybody."""
    if isinstance(tree, ast.FunctionDef) and tree.name == "__del__":
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from walked(child)


@pytest.mark.thorough
def test_nothing_global_is_called_where_a_finalizer_stops_what_is_raised() -> None:
    """While the interpreter shuts down, ``suppress`` and every other global may be None."""
    package = Path(_interrupts.__file__).parents[1]
    found = [
        f"{path.name}: {ast.unparse(node.items[0])}"
        for path in package.rglob("*.py")
        for made in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(made, ast.FunctionDef) and made.name == "__del__"
        for node in ast.walk(made)
        if isinstance(node, ast.With)
    ]
    assert found == []


def test_no_except_on_the_way_of_a_record_keeps_an_interrupt() -> None:
    """``let_through`` is asked wherever an exception ends that is not the library's own."""
    package = Path(_interrupts.__file__).parents[1]
    found = [
        str(path.relative_to(package))
        for name in RECORDS
        for path in [package / f"{name.replace('.', '/')}.py"]
        for node in walked(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and keeps(node)
    ]
    assert sorted(found) == sorted(NOBODY_WAITS | HANDS_ON)


def test_no_sink_asks_what_keeps_an_interrupt() -> None:
    """``os.path.exists`` and its kind take every ``OSError`` for an answer."""
    sinks = Path(_interrupts.__file__).parent.parent / "_stores"
    asked = {
        f"{path.name}: {ast.unparse(node)}"
        for path in sinks.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("os.path.")
        if node.attr in {"exists", "lexists", "isdir", "isfile", "islink", "ismount"}
    }
    assert asked == set()
