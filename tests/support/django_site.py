"""A small Django project for the tests: settings, models, views. Importing it sets Django up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings

PATH = "audit_emit.integrations.django.AuditMiddleware"


def _in_memory(name: str) -> dict[str, Any]:
    place = f"file:{name}?mode=memory&cache=shared"
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": place, "TEST": {"NAME": place}}


settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": _in_memory("audit_emit_tests"),
        "other": _in_memory("audit_emit_others"),
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "support.django_shop",
    ],
    MIDDLEWARE=[
        PATH,
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of the tests",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import login, logout  # noqa: E402 - Django is set up first
from django.contrib.auth.models import User  # noqa: E402
from django.core.exceptions import PermissionDenied  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402
from support.django_shop.models import (  # noqa: E402
    Contract,
    Invoice,
    Label,
    Lease,
    Owner,
    Party,
    Reread,
)

import audit_emit  # noqa: E402
from audit_emit.integrations.django import connect, track  # noqa: E402

WATCHED = ["number", "amount", "password", "details", "owner", "labels"]
MODELS = (Owner, Label, Invoice, Reread, Contract, Party, Lease)


_ready = False


def set_up() -> None:
    """Make the tables, once in a process; the connection stays open, and with it the database."""
    global _ready  # noqa: PLW0603 - a process has one database
    if _ready:
        return
    _ready = True
    call_command("migrate", verbosity=0)
    for each in connections.all():
        with each.schema_editor() as editor:
            for model in MODELS:
                editor.create_model(model)
    connect()
    track(Invoice, fields=WATCHED)
    track(Reread, before="database")
    track(Contract, fields=["title", "amount", "parties"])
    track(Lease)


def empty() -> None:
    """Empty the tables, unseen."""
    for model in (Invoice.labels.through, Invoice, Label, Lease, Party, Contract, Owner, Reread):
        for each in connections:
            model._base_manager.all()._raw_delete(using=each)
    User._base_manager.all()._raw_delete(using="default")


@contextmanager
def queries() -> Iterator[list[str]]:
    """The statements that are executed in the block, but for those of transactions."""
    made: list[str] = []

    def note(execute: Any, sql: str, *others: Any) -> Any:
        made.append(sql)
        return execute(sql, *others)

    with connection.execute_wrapper(note):
        yield made


def hello(_: Any, number: int = 0) -> HttpResponse:
    audit_emit.emit(None, "invoice.seen", {"number": number})
    return HttpResponse("hello")


async def hello_async(request: Any) -> HttpResponse:
    user = await request.auser()
    await asyncio.sleep(0)
    audit_emit.emit(None, "invoice.seen", {"user": str(user.pk)})
    return HttpResponse("hello")


def who(request: Any) -> HttpResponse:
    return HttpResponse(str(request.user.pk))


def claims(_: Any) -> HttpResponse:
    return HttpResponse(headers={"Audit-Receipt": "forged"})


def fail(_: Any) -> HttpResponse:
    raise ValueError("a secret")


def deny(_: Any) -> HttpResponse:
    raise PermissionDenied


def stream(_: Any) -> StreamingHttpResponse:
    def body() -> Any:
        for number in range(3):
            audit_emit.emit(None, "part.sent", {"part": number})
            yield b"part"

    return StreamingHttpResponse(body())


async def quiet_async(_: Any) -> HttpResponse:
    """Looks at no user."""
    return HttpResponse("quiet")


async def stream_async(_: Any) -> StreamingHttpResponse:
    async def body() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            audit_emit.emit(None, "part.sent", {"part": number})
            yield b"part"

    return StreamingHttpResponse(body())


def sign_in(request: Any) -> HttpResponse:
    from django.contrib.auth import authenticate

    user = authenticate(request, username=request.GET["name"], password=request.GET["pw"])
    if user is None:
        return HttpResponse(status=401)
    login(request, user)
    return HttpResponse("welcome")


def sign_out(request: Any) -> HttpResponse:
    logout(request)
    return HttpResponse("bye")


urlpatterns = [
    path("invoices/<int:number>/", hello),
    path("async/", hello_async),
    path("quiet-async/", quiet_async),
    path("who/", who),
    path("claims/", claims),
    path("fail/", fail),
    path("deny/", deny),
    path("stream/", stream),
    path("stream-async/", stream_async),
    path("sign-in/", sign_in),
    path("sign-out/", sign_out),
]
