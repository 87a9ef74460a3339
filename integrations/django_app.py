"""Invoices on Django: the middleware, who signs in and out, and each change of an invoice.

    pip install 'audit-emit[django]' gunicorn
    gunicorn django_app:application

One file, so that it can be read at one sitting; in a project the settings, the models and
``AppConfig.ready`` are where they always are.
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    AUDIT_EMIT={"skip_paths": ["/health"]},
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("INVOICES_DB", "invoices.db"),
            "OPTIONS": {"timeout": 20},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_app"],
    MIDDLEWARE=[
        "audit_emit.integrations.django.AuditMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("INVOICES_KEY", "only for the example"),
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import authenticate, login  # noqa: E402 - Django is set up first
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db import models, transaction  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402

import audit_emit  # noqa: E402
from audit_emit.integrations.django import connect, track  # noqa: E402


class Invoice(models.Model):
    """What is tracked."""

    number = models.CharField(max_length=40, unique=True)
    amount = models.IntegerField()
    card_number = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return str(self.number)


connect()
track(Invoice)


@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    """Records ``auth.login`` or ``auth.login_failed``."""
    given = json.loads(request.body)
    user = authenticate(request, username=given["name"], password=given["password"])
    if user is None:
        return HttpResponse(status=401)
    login(request, user)
    return HttpResponse(status=204)


@require_POST
def invoices(request: HttpRequest) -> HttpResponse:
    """Records ``model.created`` once the transaction has committed."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    given: dict[str, Any] = json.loads(request.body)
    with transaction.atomic():
        made = Invoice.objects.create(**given)
        if made.amount < 0:
            transaction.set_rollback(True)
            audit_emit.emit(None, "invoice.refused", {"number": made.number})
            return HttpResponse(status=422)
    return JsonResponse({"pk": made.pk}, status=201)


def health(_: HttpRequest) -> HttpResponse:
    """Leaves no record."""
    return HttpResponse("ok")


urlpatterns = [
    path("sign-in/", sign_in),
    path("invoices/", invoices),
    path("health", health),
]

application = WSGIHandler()
