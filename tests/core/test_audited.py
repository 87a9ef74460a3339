from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import difficult_values
from support.plain_log_reader import records

from audit_emit import AuditContext, audited, bind, configure
from audit_emit.context import LiveContext, update_request
from audit_emit.integrations._request_context import enter_request, leave_request

CANARY = "CANARY-" + "c4f0a77d21be"


@pytest.fixture(autouse=True)
def configured(log: Path) -> None:
    configure(service="tests", jsonl=log, stdout=False)


@pytest.fixture
def events(log: Path) -> Any:
    return lambda: [one for one in records(log) if not one["event_type"].startswith("audit.")]


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    (record,) = found
    fields: dict[str, Any] = record["fields"]
    assert isinstance(fields["duration_ms"], int | float)
    assert 0 <= fields.pop("duration_ms") < 60_000
    return fields


def test_a_function_that_returns(events: Any) -> None:
    @audited("secret.rotate", scope="global")
    def rotate(name: str, *, times: int) -> str:
        """Rotate."""
        return name * times

    assert rotate("ab", times=2) == "abab"
    assert (rotate.__name__, rotate.__doc__) == ("rotate", "Rotate.")
    assert events()[0]["event_type"] == "secret.rotate"
    assert only(events()) == {"scope": "global", "outcome": "success"}


def test_an_exception_goes_on_unchanged_and_only_its_type_is_told(events: Any, log: Path) -> None:
    error = LookupError(CANARY)

    @audited("secret.rotate")
    def rotate() -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        rotate()
    assert caught.value is error
    assert caught.value.__context__ is None
    assert only(events()) == {"outcome": "failure", "error": "LookupError"}
    assert CANARY not in log.read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_on_and_is_a_failure(events: Any, error: type[BaseException]) -> None:
    with pytest.raises(error), audited("secret.rotate"):
        raise error
    assert only(events()) == {"outcome": "failure", "error": error.__name__}


def test_a_block_may_add_to_its_fields(events: Any) -> None:
    with audited("secret.rotate", scope="global") as event:
        event.fields["rotated"] = 3
    assert only(events()) == {"scope": "global", "rotated": 3, "outcome": "success"}


def test_what_a_block_adds_stays_in_its_run(events: Any) -> None:
    work = audited("secret.rotate")
    with work as event:
        event.fields["rotated"] = 3
    with work:
        pass
    assert [record["fields"].get("rotated") for record in events()] == [3, None]


def test_a_caller_cannot_say_how_it_ended(events: Any) -> None:
    with pytest.raises(KeyError), audited("secret.rotate", outcome="success", duration_ms=-1):
        raise KeyError
    assert only(events()) == {"outcome": "failure", "error": "KeyError"}


@pytest.mark.parametrize("junk", [None, 7, ["x"], "text"])
def test_what_a_block_does_to_its_fields_never_hides_its_exception(events: Any, junk: Any) -> None:
    def work() -> None:
        with audited("secret.rotate") as event:
            event.fields = junk
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    fields = only(events())
    assert (fields["outcome"], fields["error"]) == ("failure", "ZeroDivisionError")


def test_an_exception_whose_class_has_no_name_goes_on_too(events: Any) -> None:
    with pytest.raises(BaseException) as caught, audited("a.b"):
        raise difficult_values.NamelessError
    assert type(caught.value) is difficult_values.NamelessError
    assert events()[0]["fields"]["error"] == "NamelessError"


def test_blocks_nest(events: Any) -> None:
    work = audited("secret.rotate")
    with work as outer:
        outer.fields["depth"] = 0
        with work as inner:
            inner.fields["depth"] = 1
    assert [record["fields"]["depth"] for record in events()] == [1, 0]


def test_a_decorated_function_may_recurse(events: Any) -> None:
    @audited("secret.rotate")
    def down(depth: int) -> int:
        return down(depth - 1) if depth else 0

    down(3)
    assert len(events()) == 4


def test_the_bound_context_is_that_of_the_end(events: Any) -> None:
    with bind(user_id="u"), audited("secret.rotate"):
        pass
    assert events()[0]["user_id"] == "u"


# Coroutines


def test_a_coroutine_function_stays_one(events: Any) -> None:
    @audited("secret.rotate")
    async def rotate(name: str) -> str:
        await asyncio.sleep(0)
        return name

    assert inspect.iscoroutinefunction(rotate)
    assert asyncio.run(rotate("a")) == "a"
    assert only(events()) == {"outcome": "success"}


def test_a_cancelled_coroutine_is_cancelled(events: Any) -> None:
    @audited("secret.rotate")
    async def rotate() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(rotate())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert only(events()) == {"outcome": "cancelled", "error": "CancelledError"}


def test_an_async_block(events: Any) -> None:
    async def main() -> None:
        async with audited("secret.rotate") as event:
            event.fields["n"] = 1
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        asyncio.run(main())
    assert only(events()) == {"n": 1, "outcome": "failure", "error": "ValueError"}


def test_one_object_in_two_tasks_at_once_keeps_their_fields_apart(events: Any) -> None:
    work = audited("secret.rotate")

    async def rotate(name: str, until: asyncio.Event) -> None:
        async with work as event:
            event.fields["name"] = name
            await until.wait()
            if name == "first":
                raise LookupError

    async def main() -> None:
        marks = asyncio.Event(), asyncio.Event()
        first, second = map(asyncio.create_task, map(rotate, ("first", "second"), marks))
        await asyncio.sleep(0)
        marks[0].set()
        with pytest.raises(LookupError):
            await first
        marks[1].set()
        await second

    asyncio.run(main())
    ended = {record["fields"]["name"]: record["fields"]["outcome"] for record in events()}
    assert ended == {"first": "failure", "second": "success"}


def test_a_coroutine_that_a_function_returns_ends_when_it_was_awaited(events: Any) -> None:
    async def work(name: str) -> str:
        await asyncio.sleep(0)
        raise LookupError(name)

    @audited("secret.rotate")
    def rotate(name: str) -> Any:
        return work(name)

    async def main() -> None:
        made = rotate("a")
        assert events() == []
        await made

    with pytest.raises(LookupError, match="a"):
        asyncio.run(main())
    assert only(events()) == {"outcome": "failure", "error": "LookupError"}


def test_what_a_returned_coroutine_returns_is_returned(events: Any) -> None:
    async def work(name: str) -> str:
        return name

    decorated = audited("secret.rotate")(lambda: work("a"))
    assert asyncio.run(decorated()) == "a"
    assert only(events()) == {"outcome": "success"}


def test_an_object_with_an_async_call_becomes_a_coroutine_function(events: Any) -> None:
    class Rotate:
        async def __call__(self) -> None:
            raise LookupError

    rotate = audited("secret.rotate")(Rotate())
    assert inspect.iscoroutinefunction(rotate)
    with pytest.raises(LookupError):
        asyncio.run(rotate())
    assert only(events()) == {"outcome": "failure", "error": "LookupError"}


def test_an_object_that_can_be_awaited_ends_when_it_was(events: Any) -> None:
    class Work:
        def __await__(self) -> Generator[None, None, None]:
            yield
            raise LookupError

    @audited("secret.rotate")
    def rotate() -> Work:
        return Work()

    async def main() -> None:
        await rotate()

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert only(events()) == {"outcome": "failure", "error": "LookupError"}


@pytest.mark.parametrize(
    ("end", "outcome", "error"),
    [("fail", "failure", "LookupError"), ("cancel", "cancelled", "CancelledError")],
)
def test_a_future_stays_itself_and_ends_when_it_is_done(
    events: Any, end: str, outcome: str, error: str
) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        decorated = audited("secret.rotate")(lambda: future)
        assert decorated() is future
        assert events() == []
        if end == "fail":
            future.set_exception(LookupError())
        else:
            future.cancel()
        with pytest.raises((LookupError, asyncio.CancelledError)):
            await future

    asyncio.run(main())
    assert only(events()) == {"outcome": outcome, "error": error}


def test_an_exception_that_nobody_looked_at_is_still_told_by_asyncio(events: Any) -> None:
    told: list[str] = []

    @audited("secret.rotate")
    def rotate() -> Any:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(LookupError())
        return future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: told.append(what["message"]))
        rotate()
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    assert only(events())["outcome"] == "failure"
    assert told == ["Future exception was never retrieved"]


def test_what_is_also_a_context_manager_is_returned_as_it_is(events: Any) -> None:
    class Both:
        def __await__(self) -> Generator[None, None, None]:
            yield

        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    both = Both()
    decorated = audited("secret.rotate")(lambda: both)
    assert decorated() is both
    assert only(events()) == {"outcome": "success"}


# What it decorates


def test_a_decorator_without_event_type_is_told() -> None:
    def rotate(_: Any) -> None: ...

    unusable: Any = audited
    functions: list[Any] = [rotate, staticmethod(rotate), classmethod(rotate)]
    for func in functions:
        with pytest.raises(TypeError, match="needs an event type"):
            unusable(func)


def test_static_and_class_methods_stay_what_they_are(events: Any) -> None:
    class Store:
        @audited("secret.rotate", kind="static")
        @staticmethod
        def static(name: str) -> str:
            return name

        @audited("secret.rotate", kind="class")
        @classmethod
        def of_class(cls, name: str) -> tuple[type, str]:
            return cls, name

    assert Store().static("a") == Store.static("a") == "a"
    assert Store().of_class("a") == Store.of_class("a") == (Store, "a")
    kinds = [record["fields"]["kind"] for record in events()]
    assert kinds == ["static", "static", "class", "class"]


def test_a_property_cannot_be_decorated() -> None:
    unusable: Any = audited("secret.rotate")
    with pytest.raises(TypeError, match="below property"):
        unusable(property(lambda _: None))


# Generators


def test_a_generator_is_one_event_at_its_end(events: Any) -> None:
    @audited("secret.list")
    def stream() -> Iterator[int]:
        yield 1
        assert events() == []
        yield 2

    assert inspect.isgeneratorfunction(stream)
    assert list(stream()) == [1, 2]
    assert only(events()) == {"outcome": "success"}


def test_a_generator_that_is_never_begun_is_no_event(events: Any) -> None:
    @audited("secret.list")
    def stream() -> Iterator[int]:
        yield 1

    stream()
    assert events() == []


def test_a_generator_whose_consumer_stops_is_cancelled(events: Any) -> None:
    @audited("secret.list")
    def stream() -> Iterator[int]:
        yield from range(5)

    made = stream()
    next(made)
    made.close()  # type: ignore[attr-defined]
    assert only(events()) == {"outcome": "cancelled", "error": "GeneratorExit"}


def test_values_are_sent_and_thrown_into_a_generator_and_returned_from_it() -> None:
    @audited("secret.list")
    def stream() -> Any:
        got = yield "first"
        try:
            yield got
        except KeyError:
            return "returned"

    made = stream()
    assert next(made) == "first"
    assert made.send("sent") == "sent"
    with pytest.raises(StopIteration) as caught:
        made.throw(KeyError())
    assert caught.value.value == "returned"


def test_an_async_generator_is_one_event_at_its_end(events: Any) -> None:
    @audited("secret.list")
    async def stream() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> list[int]:
        return [item async for item in stream()]

    assert inspect.isasyncgenfunction(stream)
    assert asyncio.run(main()) == [1, 2]
    assert only(events()) == {"outcome": "success"}


def test_values_are_sent_and_thrown_into_an_async_generator() -> None:
    @audited("secret.list")
    async def stream() -> Any:
        got = yield "first"
        try:
            yield got
        except KeyError:
            yield "caught"

    async def main() -> list[Any]:
        made = stream()
        return [await anext(made), await made.asend("sent"), await made.athrow(KeyError())]

    assert asyncio.run(main()) == ["first", "sent", "caught"]


def test_an_async_generator_whose_consumer_stops_is_closed_and_cancelled(events: Any) -> None:
    closed: list[bool] = []

    @audited("secret.list")
    async def stream() -> Any:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async def main() -> None:
        made = stream()
        await anext(made)
        await made.aclose()
        assert closed == [True]

    asyncio.run(main())
    assert only(events()) == {"outcome": "cancelled", "error": "GeneratorExit"}


def test_an_async_generator_that_fails(events: Any) -> None:
    @audited("secret.list")
    async def stream() -> AsyncIterator[int]:
        yield 1
        raise LookupError(CANARY)

    async def main() -> None:
        async for _ in stream():
            pass

    with pytest.raises(LookupError):
        asyncio.run(main())
    assert only(events()) == {"outcome": "failure", "error": "LookupError"}


def test_a_generator_that_is_ended_in_another_context_is_still_told(events: Any) -> None:
    work = audited("secret.list")

    def stream() -> Iterator[int]:
        with work as event:
            event.fields["n"] = 1
            yield 1

    made = stream()
    contextvars.copy_context().run(next, made)
    contextvars.copy_context().run(lambda: list(made))
    assert only(events()) == {"n": 1, "outcome": "success"}


def test_nothing_is_raised_when_nothing_can_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    configure(jsonl=tmp_path / "file" / "audit.jsonl", stdout=False)
    with audited("secret.rotate"):
        pass
    configure(disabled=True)
    with audited("secret.rotate"):
        pass


# Who acted


def test_a_generator_is_of_whoever_began_it(events: Any) -> None:
    @audited("report.stream")
    def rows() -> Generator[int, None, None]:
        yield 1
        yield 2

    with bind(user_id="u-1"):
        begun = rows()
        next(begun)
    with bind(user_id="u-2"):
        begun.close()
    assert [made["user_id"] for made in events()] == ["u-1"]


def test_an_async_generator_is_of_whoever_began_it(events: Any) -> None:
    @audited("report.stream")
    async def rows() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def work() -> None:
        with bind(user_id="u-1"):
            begun: Any = rows()
            await anext(begun)
        with bind(user_id="u-2"):
            await begun.aclose()

    asyncio.run(work())
    assert [made["user_id"] for made in events()] == ["u-1"]


def test_a_block_that_another_request_ends_is_of_its_own(events: Any) -> None:
    def rows() -> Iterator[int]:
        with audited("report.stream"):
            yield 1

    first = enter_request(LiveContext(AuditContext(user_id="u-1")))
    begun = rows()
    next(begun)
    leave_request(first)
    second = enter_request(LiveContext(AuditContext(user_id="u-2")))
    del begun
    gc.collect()
    leave_request(second)
    assert [made["user_id"] for made in events()] == ["u-1"]


def test_who_signs_in_meanwhile_is_the_actor(events: Any) -> None:
    request = enter_request(LiveContext(AuditContext(correlation_id="c")))
    with audited("auth.login"):
        update_request(user_id="u-1")
    leave_request(request)
    with audited("auth.login"), bind(user_id="u-2"):
        pass
    with bind(correlation_id="d"), audited("auth.login"):
        update_request(user_id="u-3")
    assert [made["user_id"] for made in events()] == ["u-1", "", "u-3"]
