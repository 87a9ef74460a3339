from __future__ import annotations

import asyncio
import contextvars
import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from support.waiting import PATIENCE

from audit_emit import (
    AuditContext,
    bind,
    current_context,
    with_actor_kind,
    with_correlation_id,
    with_user_id,
    with_workspace_id,
)
from audit_emit._runtime import foreign
from audit_emit.context import (
    EMPTY,
    FIELDS,
    VAR,
    LiveContext,
    resolve,
    understand,
    update_request,
    wrap_context,
)

WHOLE = AuditContext("w", "u", "admin", "c", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def in_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(PATIENCE)
    return found[0]


# The value


def test_an_empty_context_is_a_user_without_identity() -> None:
    assert AuditContext().as_dict() == dict.fromkeys(FIELDS, "") | {"actor_kind": "user"}


@pytest.mark.parametrize("name", [*FIELDS, "wire", "new"])
def test_a_context_cannot_be_changed(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"immutable; use .replace\({name}=…\)"):
        setattr(WHOLE, name, "x")
    with pytest.raises(AttributeError, match="immutable"):
        delattr(WHOLE, name)


@pytest.mark.parametrize("name", FIELDS)
def test_replace_changes_one_member_of_a_copy(name: str) -> None:
    changed = WHOLE.replace(**{name: "x"})
    assert changed.as_dict() == WHOLE.as_dict() | {name: "x"}
    assert WHOLE.user_id == "u"


def test_replace_refuses_what_is_no_member() -> None:
    with pytest.raises(TypeError, match="session"):
        WHOLE.replace(session="x")  # type: ignore[call-arg] # a mistake


def test_equality_and_hash_follow_the_members() -> None:
    same = AuditContext(**WHOLE.as_dict())
    assert same == WHOLE
    assert hash(same) == hash(WHOLE)
    assert same != WHOLE.replace(user_id="x")
    assert WHOLE != "w"


def test_what_the_emitter_keeps_is_no_part_of_the_value() -> None:
    seen = AuditContext("w")
    object.__setattr__(seen, "wire", ("kept",))
    assert seen == AuditContext("w")
    assert seen.replace(user_id="u").wire is None
    assert pickle.loads(pickle.dumps(seen)).wire is None


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_copies_are_equal(copied: Callable[[AuditContext], AuditContext]) -> None:
    assert copied(WHOLE) == WHOLE


def test_repr_shows_what_is_set() -> None:
    assert repr(AuditContext("w", user_id="u")) == (
        "AuditContext(workspace_id='w', user_id='u', actor_kind='user')"
    )


# What ctx means


def test_none_is_the_bound_context() -> None:
    with bind(user_id="u"):
        assert resolve(None) is current_context()


def test_a_context_is_itself() -> None:
    assert resolve(WHOLE) is WHOLE


def test_a_contextvars_context_is_what_was_bound_in_it() -> None:
    there = contextvars.copy_context()
    there.run(VAR.set, WHOLE)
    assert resolve(there) is WHOLE
    assert resolve(contextvars.Context()) is EMPTY


def test_a_mapping_gives_members_and_nothing_else() -> None:
    given = {"user_id": "u", "workspace_id": 7, "session": "x", "hash": "y", "wire": "z"}
    assert resolve(given) == AuditContext(workspace_id=7, user_id="u")


def test_a_mapping_is_laid_over_the_bound_context() -> None:
    with bind(user_id="u", workspace_id="w", correlation_id="c"):
        assert resolve({"user_id": "v"}) == AuditContext("w", "v", correlation_id="c")
        assert resolve({}) is not None
        assert resolve({}) == current_context()


def test_a_mapping_can_take_a_member_away() -> None:
    with bind(user_id="u", workspace_id="w"):
        assert resolve({"user_id": ""}) == AuditContext("w")


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        (None, ""),
        (WHOLE, ""),
        (LiveContext(WHOLE), ""),
        (contextvars.Context(), ""),
        ({}, ""),
        ({"user_id": "v", "span_id": "s"}, ""),
        ("u-1", "it is str"),
        (b"u-1", "it is bytes"),
        (False, "it is bool"),
        ([("user_id", "v")], "it is list"),
        ({"user": "v"}, "user is no member of a context"),
        ({"user_id": "v", "tenant": "w"}, "tenant is no member of a context"),
        ({"pass word": "v"}, "one of its names is no member of a context"),
        ({7: "v"}, "one of its names is no member of a context"),
    ],
)
def test_what_is_wrong_with_a_context_is_said(given: object, mistake: str) -> None:
    assert understand(given)[1] == mistake


def test_what_is_right_in_a_mapping_counts_beside_what_is_wrong() -> None:
    assert resolve({"user_id": "v", "user": "w"}) == AuditContext(user_id="v")


def test_a_mapping_that_fails_is_a_mistake() -> None:
    with bind(user_id="u") as bound:
        assert understand(Broken()) == (bound, "it failed with RuntimeError")


class Broken(dict[str, Any]):
    def __contains__(self, key: object) -> bool:
        raise RuntimeError("working outside of request context")


class Emits(dict[str, Any]):
    """Emits with itself as the context, each time that it is asked, and counts that."""

    asked = 0

    def __contains__(self, key: object) -> bool:
        Emits.asked += 1
        resolve(self)
        return False


def test_a_mapping_that_emits_with_itself_comes_to_an_end() -> None:
    with bind(user_id="u") as bound:
        assert understand(Emits()) == (bound, "")
    assert Emits.asked == len(FIELDS)


def test_a_plain_mapping_counts_in_the_code_of_an_object_that_describes_itself() -> None:
    assert foreign.call(resolve, {"user_id": "v"}) == AuditContext(user_id="v")


class BrokenClass:
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("working outside of request context")


@pytest.mark.parametrize("make", [int, str, list, object, Broken, BrokenClass])
def test_anything_else_is_the_bound_context(make: Callable[[], object]) -> None:
    with bind(user_id="u") as bound:
        assert resolve(make()) is bound


# bind


def test_bind_adds_to_what_is_bound_and_gives_it_back() -> None:
    with bind(user_id="u", actor_kind="admin"):
        with bind(workspace_id="w", user_id="v") as inner:
            assert current_context() is inner
            assert inner == AuditContext("w", "v", "admin")
        assert current_context() == AuditContext(user_id="u", actor_kind="admin")
    assert current_context() is EMPTY


def test_bind_gives_back_after_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), bind(user_id="u"):
        _ = 1 / 0
    assert current_context() is EMPTY


def test_bind_refuses_what_is_no_member_before_anything_runs() -> None:
    with pytest.raises(TypeError, match="user"):
        bind(user="u")  # type: ignore[call-arg] # a mistake


def test_bind_decorates_a_function_and_may_recurse() -> None:
    @bind(user_id="u")
    def work(depth: int) -> list[Any]:
        seen = [current_context().user_id]
        return seen + (work(depth - 1) if depth else [])

    assert work(3) == ["u"] * 4
    assert current_context() is EMPTY
    assert work.__name__ == "work"


def test_bind_decorates_a_coroutine_function() -> None:
    @bind(user_id="u")
    async def work() -> Any:
        await asyncio.sleep(0)
        return current_context().user_id

    async def main() -> list[Any]:
        return [*await asyncio.gather(work(), work()), current_context().user_id]

    assert asyncio.run(main()) == ["u", "u", ""]


def test_tasks_do_not_see_each_other() -> None:
    async def work(name: str) -> bool:
        with bind(user_id=name):
            for _ in range(20):
                await asyncio.sleep(0)
                if current_context().user_id != name:
                    return False
        return current_context() is EMPTY

    async def main() -> list[bool]:
        return list(await asyncio.gather(*(work(str(number)) for number in range(50))))

    assert all(asyncio.run(main()))


def test_a_new_thread_sees_nothing_unless_it_is_wrapped() -> None:
    with bind(user_id="u"):
        assert in_thread(current_context) is EMPTY
        assert in_thread(wrap_context(current_context)).user_id == "u"


def test_a_wrapped_function_leaves_nothing_behind_in_its_thread() -> None:
    with bind(user_id="u"):
        wrapped = wrap_context(current_context)
    assert in_thread(lambda: (wrapped(), current_context())[1]) is EMPTY


def test_one_bind_entered_twice_at_once_by_two_tasks_gives_both_back() -> None:
    """``as_admin = bind(actor_kind="admin")`` may be shared: nobody stays an admin."""
    shared = bind(actor_kind="admin")

    async def work(entered: asyncio.Event, leave: asyncio.Event) -> list[str]:
        with shared:
            entered.set()
            await leave.wait()
            inside = current_context().actor_kind
        return [inside, current_context().actor_kind]

    async def main() -> list[list[str]]:
        marks = [asyncio.Event() for _ in range(4)]
        first = asyncio.create_task(work(marks[0], marks[1]))
        await marks[0].wait()
        second = asyncio.create_task(work(marks[2], marks[3]))
        await marks[2].wait()
        marks[1].set()
        early = await first
        marks[3].set()
        return [early, await second]

    assert asyncio.run(main()) == [["admin", "user"], ["admin", "user"]]


def test_one_bind_entered_at_once_by_two_threads_gives_both_back() -> None:
    shared = bind(actor_kind="admin")
    entered, leave = threading.Event(), threading.Event()
    after: list[str] = []

    def work() -> None:
        with shared:
            entered.set()
            assert leave.wait(PATIENCE)
        after.append(current_context().actor_kind)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(PATIENCE)
    with shared:
        leave.set()
        thread.join(PATIENCE)
        assert current_context().actor_kind == "admin"
    assert [*after, current_context().actor_kind] == ["user", "user"]


def test_one_bind_may_be_entered_within_itself() -> None:
    shared = bind(user_id="u")
    with shared:
        with shared:
            pass
        assert current_context().user_id == "u"
    assert current_context() is EMPTY


def test_a_bind_left_in_another_context_does_no_harm() -> None:
    def stream() -> Any:
        with bind(user_id="u"):
            yield current_context().user_id

    here = stream()
    assert contextvars.copy_context().run(next, here) == "u"
    with bind(user_id="mine"):
        here.close()
        assert current_context().user_id == "mine"


# with_…


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (with_user_id, "user_id"),
        (with_actor_kind, "actor_kind"),
        (with_correlation_id, "correlation_id"),
        (with_workspace_id, "workspace_id"),
    ],
)
def test_with_changes_one_member(change: Callable[[object, Any], AuditContext], name: str) -> None:
    assert change(WHOLE, "x") == WHOLE.replace(**{name: "x"})
    with bind(trace_id="t"):
        assert change(None, "x") == AuditContext(trace_id="t").replace(**{name: "x"})
    assert change({"span_id": "s"}, "x") == AuditContext(span_id="s").replace(**{name: "x"})
    assert current_context() is EMPTY


# Requests


def test_a_change_outside_a_request_holds_for_the_task() -> None:
    there = contextvars.copy_context()
    there.run(update_request, user_id="u")
    assert there.run(current_context).user_id == "u"
    assert current_context() is EMPTY


# structlog


@pytest.fixture
def _clean() -> Any:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("_clean")
def test_bound_ids_are_mirrored_into_structlog_and_given_back() -> None:
    structlog.contextvars.bind_contextvars(user_id="before", other="kept")
    with bind(user_id="u", correlation_id="c"):
        assert structlog.contextvars.get_contextvars() == {
            "user_id": "u",
            "correlation_id": "c",
            "other": "kept",
        }
    assert structlog.contextvars.get_contextvars() == {"user_id": "before", "other": "kept"}


@pytest.mark.usefixtures("_clean")
def test_what_becomes_known_in_a_block_is_mirrored_until_it_ends() -> None:
    structlog.contextvars.bind_contextvars(workspace_id="w")
    with bind(correlation_id="c"):
        update_request(user_id="u", workspace_id="x")
        assert structlog.contextvars.get_contextvars() == {
            "correlation_id": "c",
            "user_id": "u",
            "workspace_id": "x",
        }
    assert structlog.contextvars.get_contextvars() == {"workspace_id": "w"}
