from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from support.waiting import PATIENCE

from audit_emit import AuditContext, bind, current_context
from audit_emit.context import EMPTY, LiveContext, resolve, update_request
from audit_emit.integrations._request_context import (
    AnonymousContext,
    VerifiedContext,
    enter_request,
    leave_request,
)

WHOLE = AuditContext("w", "u", "admin", "c", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def in_thread(work: Callable[[], Any]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)


@pytest.fixture
def _clean() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


def test_a_contextvars_context_of_a_request() -> None:
    there = contextvars.copy_context()
    there.run(enter_request, LiveContext(WHOLE))
    assert resolve(there) is WHOLE


def test_a_mapping_is_laid_over_the_context_of_a_request() -> None:
    entered = enter_request(
        LiveContext(AnonymousContext.unless_known(AuditContext(correlation_id="c")))
    )
    try:
        assert resolve({"user_id": "v"}) == AuditContext(user_id="v", correlation_id="c")
        assert resolve({"workspace_id": "w"}).actor_kind == "anonymous"
    finally:
        leave_request(entered)


def test_a_change_in_a_request_is_seen_by_those_who_copied_it() -> None:
    entered = enter_request(LiveContext(AuditContext(correlation_id="c")))
    copied = contextvars.copy_context()
    in_thread(lambda: copied.run(update_request, user_id="u"))
    assert current_context() == AuditContext(user_id="u", correlation_id="c")
    leave_request(entered)
    assert current_context() is EMPTY


def test_a_bind_in_a_request_shields_the_request() -> None:
    entered = enter_request(LiveContext(AuditContext(user_id="u")))
    with bind(user_id="inner"):
        assert update_request(user_id="changed").user_id == "changed"
    assert current_context().user_id == "u"
    leave_request(entered)


def test_a_change_must_be_of_a_member() -> None:
    live = LiveContext(AuditContext(user_id="u"))
    entered = enter_request(live)
    with pytest.raises(TypeError):
        update_request(session="x")  # type: ignore[call-arg] # a mistake
    assert live.context == AuditContext(user_id="u")
    leave_request(entered)


def test_a_request_left_in_another_context_does_no_harm() -> None:
    entered = contextvars.copy_context().run(enter_request, LiveContext(WHOLE))
    leave_request(entered)
    assert current_context() is EMPTY


@pytest.mark.usefixtures("_clean")
def test_a_request_is_mirrored_until_it_ends() -> None:
    entered = enter_request(LiveContext(AuditContext(correlation_id="c")))
    update_request(user_id="u")
    shown = structlog.contextvars.get_contextvars()
    assert {**shown, "trace_id": ..., "span_id": ..., "workspace_id": ...} == {
        "workspace_id": ...,
        "user_id": "u",
        "actor_kind": "user",
        "correlation_id": "c",
        "trace_id": ...,
        "span_id": ...,
    }
    leave_request(entered)
    assert set(structlog.contextvars.get_contextvars().values()) <= {...}


def test_an_actor_set_after_the_user_was_found_is_the_one_of_what_comes_after_the_request() -> None:
    live = VerifiedContext(EMPTY, lambda: "u-found", ("c",))
    assert live.context.user_id == "u-found"
    live.context = AuditContext(user_id="u-set", correlation_id="c")
    live.let_go()
    assert live.context.user_id == "u-set"


def test_the_user_who_was_found_is_known_after_the_request() -> None:
    live = VerifiedContext(EMPTY, lambda: "u-found", ("c",))
    assert live.context.user_id == "u-found"
    live.let_go()
    assert (live.context.user_id, live.context.correlation_id) == ("u-found", "c")


def test_who_was_not_looked_up_before_is_looked_up_when_the_request_is_over() -> None:
    live = VerifiedContext(EMPTY, lambda: "u-17", ("c",))
    live.let_go()
    assert (live.context.user_id, live.context.actor_kind) == ("u-17", "user")


def test_nobody_is_looked_up_when_the_request_is_over() -> None:
    found: list[str] = []
    live = VerifiedContext(EMPTY, lambda: found[0] if found else None, ("c",))
    assert live.context.user_id == ""
    live.let_go()
    found.append("u-17")
    assert (live.context.user_id, live.context.actor_kind) == ("", "anonymous")


def test_a_user_who_signs_in_later_is_found_in_the_requests_of_a_service() -> None:
    found: list[str] = []
    around = AuditContext(actor_kind="service")
    live = VerifiedContext(around, lambda: found[0] if found else None, ("c",))
    assert (live.context.user_id, live.context.actor_kind) == ("", "service")
    found.append("u-17")
    assert (live.context.user_id, live.context.actor_kind) == ("u-17", "service")


def test_what_is_added_to_a_request_that_is_over_is_in_no_other_one() -> None:
    over, other = (VerifiedContext(EMPTY, lambda: None, (each,)) for each in "ab")
    over.let_go()
    other.let_go()
    over.also(lambda: "u-17")
    assert over.context.user_id == "u-17"
    assert other.context.user_id == ""


def test_the_context_of_nobody_is_an_ordinary_one() -> None:
    context = VerifiedContext(EMPTY, lambda: None, ("c", "t", "s")).context
    assert type(context) is AnonymousContext
    assert context == AuditContext("", "", "anonymous", "c", "t", "s")
    assert context.replace(user_id="u").actor_kind == "user"
    with pytest.raises(AttributeError, match="immutable"):
        context.user_id = "u"


def test_a_user_is_looked_up_once_for_the_first_record_of_a_request() -> None:
    asked: list[int] = []

    def find() -> str:
        asked.append(1)
        return "u-17"

    live = VerifiedContext(EMPTY, find, ("c",))
    assert (live.context.user_id, live.context.actor_kind) == ("u-17", "user")
    assert len(asked) == 1
