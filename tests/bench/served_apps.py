"""Three applications that do nothing, and take 5 ms; with the middleware if BENCH_AUDIT says so."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

AUDITED = os.environ.get("BENCH_AUDIT") == "1"
SECONDS = 0.005


def fastapi_app() -> Any:
    """FastAPI, for uvicorn."""
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/nothing")
    async def nothing() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/slow")
    async def slow() -> dict[str, bool]:
        await asyncio.sleep(SECONDS)
        return {"ok": True}

    if AUDITED:
        from audit_emit.integrations.asgi import AuditMiddleware

        app.add_middleware(AuditMiddleware)
    return app


def flask_app() -> Any:
    """Flask, for gunicorn."""
    from flask import Flask, jsonify

    app = Flask(__name__)

    @app.get("/nothing")
    def nothing() -> Any:
        return jsonify(ok=True)

    @app.get("/slow")
    def slow() -> Any:
        time.sleep(SECONDS)
        return jsonify(ok=True)

    if AUDITED:
        from audit_emit.integrations.flask import AuditEmit

        AuditEmit(app)
    return app


def django_app() -> Any:
    """Django, for gunicorn."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import path

    def nothing(_: Any) -> Any:
        return JsonResponse({"ok": True})

    def slow(_: Any) -> Any:
        time.sleep(SECONDS)
        return JsonResponse({"ok": True})

    ours = ["audit_emit.integrations.django.AuditMiddleware"] if AUDITED else []
    settings.configure(
        ALLOWED_HOSTS=["*"],
        # What ``startproject`` gives to a service without pages.
        MIDDLEWARE=[
            *ours,
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
        ],
        ROOT_URLCONF=type(
            "Urls", (), {"urlpatterns": [path("nothing", nothing), path("slow", slow)]}
        ),
        SECRET_KEY="of the benchmark",
    )
    return get_wsgi_application()
