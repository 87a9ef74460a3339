"""Django: requests, signing in and out, and the system check, on a real project."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

import pytest
from support.requirements import package
from support.waiting import PATIENCE, until

package("django")

from support import django_site as site  # noqa: E402 - it needs Django

site.set_up()

from django.contrib.auth import login  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.test import AsyncClient, Client, RequestFactory, override_settings  # noqa: E402
from django.urls import path  # noqa: E402

import audit_emit  # noqa: E402
from audit_emit.errors import ConfigError  # noqa: E402
from audit_emit.integrations._request import KEY  # noqa: E402
from audit_emit.integrations.asgi import AuditMiddleware as AsgiMiddleware  # noqa: E402
from audit_emit.integrations.django import check_middleware  # noqa: E402
from audit_emit.integrations.wsgi import AuditMiddleware as WsgiMiddleware  # noqa: E402


@pytest.fixture(autouse=True)
def _tables(records: Any) -> None:
    """Every test has an emitter and empty tables."""
    site.empty()


@pytest.fixture
def user(records: Any) -> User:
    return User.objects.create_user("ann", password="of ann")


def test_a_request_is_recorded_once_with_its_route(records: Any) -> None:
    response = Client().get("/invoices/7/")
    seen, request = records()
    assert request["event_type"] == "http.request"
    fields = request["fields"]
    assert (fields["path"], fields["route"]) == ("/invoices/7/", "/invoices/<int:number>/")
    assert (fields["status"], fields["outcome"], fields["bytes"]) == (200, "success", 5)
    assert seen["correlation_id"] == request["correlation_id"] == response["X-Request-ID"]
    assert request["actor_kind"] == "anonymous"


def test_the_answer_names_the_newest_record_of_the_request(records: Any) -> None:
    with override_settings(AUDIT_EMIT={"receipts": True}):
        response = Client().get("/invoices/7/")
    seen, _ = records()
    assert response["Audit-Receipt"] == f"{seen['chain']}:{seen['seq']}:{seen['hash']}"
    assert "Audit-Receipt" not in Client().get("/invoices/7/")


def test_nothing_of_the_application_passes_for_a_receipt(records: Any) -> None:
    with override_settings(AUDIT_EMIT={"receipts": True}):
        assert "Audit-Receipt" not in Client().get("/claims/")
    assert Client().get("/claims/")["Audit-Receipt"] == "forged"


def test_a_user_that_the_view_has_loaded_is_the_actor(records: Any, user: User) -> None:
    client = Client()
    client.force_login(user)
    client.get("/who/")
    assert records("http.request")[-1]["user_id"] == str(user.pk)


def test_a_user_that_nobody_has_loaded_is_not_loaded_for_the_record(
    records: Any, user: User
) -> None:
    client = Client()
    client.force_login(user)
    with site.queries() as made:
        client.get("/invoices/7/")
    assert made == []
    assert records("http.request")[-1]["user_id"] == ""


def test_a_user_that_is_not_loaded_stops_no_asynchronous_request(
    records: Any, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Touched in a loop, the lazy user would ask the database: SynchronousOnlyOperation.
    monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE", raising=False)

    async def main() -> int:
        client = AsyncClient()
        await client.aforce_login(user)
        with site.queries() as made:
            response = await client.get("/quiet-async/")
        assert made == []
        return int(response.status_code)

    assert asyncio.run(main()) == 200
    request = records("http.request")[-1]
    assert (request["user_id"], request["actor_kind"]) == ("", "anonymous")
    assert "error" not in request["fields"]


def test_an_unhandled_exception_is_named_and_its_message_is_not(records: Any) -> None:
    Client(raise_request_exception=False).get("/fail/")
    fields = records("http.request")[0]["fields"]
    assert (fields["status"], fields["outcome"], fields["error"]) == (500, "failure", "ValueError")
    assert "a secret" not in str(records())


def test_what_a_view_refuses_is_denied_and_no_error(records: Any) -> None:
    Client().get("/deny/")
    fields = records("http.request")[0]["fields"]
    assert (fields["status"], fields["outcome"], "error" in fields) == (403, "denied", False)


def test_a_streamed_body_is_in_the_request_to_its_end(records: Any) -> None:
    response = Client().get("/stream/")
    assert records() == []
    assert b"".join(response.streaming_content) == b"part" * 3
    *parts, request = records()
    assert {one["correlation_id"] for one in parts} == {request["correlation_id"]}
    assert request["fields"]["bytes"] == 12
    assert request["fields"]["outcome"] == "success"


def test_a_streamed_body_of_a_head_response_is_not_counted(records: Any) -> None:
    environ = RequestFactory().head("/stream/").environ
    response = WSGIHandler()(environ, lambda *_: None)
    assert b"".join(response) == b"part" * 3  # for the server, which keeps it
    response.close()
    (record,) = records("http.request")
    assert record["fields"]["bytes"] == 0


def test_a_stream_that_the_client_leaves_is_aborted(records: Any) -> None:
    response = Client().get("/stream/")
    next(iter(response.streaming_content))
    response.close()
    assert records("http.request")[0]["fields"]["outcome"] == "aborted"


def test_an_async_stream_is_in_the_request_to_its_end(records: Any) -> None:
    async def drive() -> bytes:
        response = await AsyncClient().get("/stream-async/")
        return b"".join([part async for part in response])

    assert asyncio.run(drive()) == b"part" * 3
    *parts, request = records()
    assert [one["correlation_id"] for one in parts] == [request["correlation_id"]] * 3
    assert request["fields"]["outcome"] == "success"


def test_requests_at_the_same_time_do_not_get_the_user_of_another(records: Any) -> None:
    users = [User.objects.create_user(f"user-{number}") for number in range(20)]

    async def ask(user: User) -> None:
        client = AsyncClient()
        await client.aforce_login(user)
        assert (await client.get("/async/")).status_code == 200

    async def drive() -> None:
        await asyncio.gather(*map(ask, users))

    asyncio.run(drive())
    seen = {one["correlation_id"]: one["fields"]["user"] for one in records("invoice.seen")}
    requests = {one["correlation_id"]: one["user_id"] for one in records("http.request")}
    assert len(requests) == 20
    assert seen == requests


def test_signing_in_and_out_is_recorded_with_who_it_was(records: Any, user: User) -> None:
    client = Client()
    client.get("/sign-in/", {"name": "ann", "pw": "of ann"})
    client.get("/sign-out/")
    assert [one["event_type"] for one in records()] == [
        "auth.login",
        "http.request",
        "auth.logout",
        "http.request",
    ]
    assert {one["user_id"] for one in records()} == {str(user.pk)}
    assert records("auth.login")[0]["fields"]["backend"].endswith("ModelBackend")


def test_who_signs_in_after_the_client_has_left_is_the_actor_of_what_follows(
    records: Any, user: User
) -> None:
    """The task of the request is cancelled then, and the thread of the view goes on."""
    is_there = Event()
    admin = User.objects.create_user("eve", password="of eve")

    def view(request: Any) -> HttpResponse:
        assert request.user == user
        assert KEY in request.__dict__
        is_there.set()
        until(lambda: KEY not in request.__dict__, "the end of the request")
        login(request, admin)
        connection.close()  # that of the thread
        audit_emit.emit(None, "basket.emptied", {})
        return HttpResponse("done")

    client = Client()
    client.force_login(user)
    cookie = f"sessionid={client.cookies['sessionid'].value}".encode()
    body = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if body:
            return body.pop()
        assert await asyncio.to_thread(is_there.wait, PATIENCE)
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None: ...

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/slow/"}
    scope |= {"headers": [(b"cookie", cookie)], "query_string": b"", "server": ("x", 80)}
    urls = type("Urls", (), {"urlpatterns": [path("slow/", view)]})
    with override_settings(ROOT_URLCONF=urls):
        asyncio.run(get_asgi_application()(scope, receive, send))

    request, signed_in, emptied = records()[-3:]
    assert (request["fields"]["outcome"], request["user_id"]) == ("cancelled", str(user.pk))
    assert {signed_in["user_id"], emptied["user_id"]} == {str(admin.pk)}
    assert emptied["correlation_id"] == request["correlation_id"]


def test_a_failed_login_has_the_name_and_not_the_password(records: Any, user: User) -> None:
    Client().get("/sign-in/", {"name": "ann", "pw": "wrong one"})
    assert records("auth.login_failed")[0]["fields"] == {"login": "ann"}
    assert "wrong one" not in str(records())


def test_under_another_middleware_of_ours_there_is_one_record(records: Any) -> None:
    from django.core.wsgi import get_wsgi_application
    from django.test import RequestFactory

    environ = RequestFactory().get("/invoices/7/").environ
    app = WsgiMiddleware(get_wsgi_application())
    body = app(environ, lambda *_: lambda _: None)
    assert b"".join(body) == b"hello"
    getattr(body, "close")()  # noqa: B009 - it has one
    (request,) = records("http.request")
    assert request["fields"]["route"] == "/invoices/<int:number>/"


def test_under_the_asgi_middleware_there_is_one_record(records: Any) -> None:
    sent: list[Any] = []
    body = [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        return body.pop() if body else await asyncio.sleep(60, {})

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/invoices/7/"}
    scope |= {"headers": [], "query_string": b"", "client": ("127.0.0.1", 1), "server": ("x", 80)}
    asyncio.run(AsgiMiddleware(get_asgi_application())(scope, receive, send))
    (request,) = records("http.request")
    assert request["fields"]["route"] == "/invoices/<int:number>/"


FIRST = "audit_emit.integrations.django.AuditMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"


@pytest.mark.parametrize(
    ("listed", "ids"),
    [
        ([FIRST, SESSIONS], []),
        ([SESSIONS], ["audit_emit.W001"]),
        ([SESSIONS, FIRST], ["audit_emit.W002"]),
        ([FIRST, SESSIONS, FIRST], ["audit_emit.E001"]),
    ],
)
def test_the_check_finds_a_middleware_in_the_wrong_place(listed: list[str], ids: list[str]) -> None:
    with override_settings(MIDDLEWARE=listed):
        assert [one.id for one in check_middleware()] == ids


def test_the_check_finds_an_option_that_is_none() -> None:
    with override_settings(MIDDLEWARE=[FIRST], AUDIT_EMIT={"skip_path": ["/x"]}):
        (found,) = check_middleware()
    assert found.id == "audit_emit.E002"
    assert "skip_path: is not an option of the request middleware; these are: " in found.msg
    assert "skip_paths" in found.msg


def test_an_option_that_is_none_is_refused_when_the_server_starts(records: Any) -> None:
    with override_settings(AUDIT_EMIT={"skip_path": ["/x"]}), pytest.raises(ConfigError):
        Client().get("/who/")
