"""One host with one variant, measured in this process; prints its numbers as JSON.

python tests/bench/hosts.py django ours FILE
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import audit_emit

ROWS = 10_000


def asgi(_: str) -> dict[str, float]:
    """µs of a request without a middleware, with ours that writes nothing, and with theirs."""
    from asgi_correlation_id import CorrelationIdMiddleware

    from audit_emit.integrations.asgi import AuditMiddleware

    headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]
    asked = [(b"host", b"127.0.0.1:8000"), (b"user-agent", b"x"), (b"accept", b"*/*")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> Any: ...

    async def send(_: Any) -> None: ...

    async def us(app: Any) -> float:
        began = time.process_time()
        for _ in range(1000):
            scope: dict[str, Any] = {
                "type": "http",
                "method": "GET",
                "path": "/x",
                "root_path": "",
                "state": {},
            }
            scope |= {"query_string": b"", "headers": asked, "client": ("127.0.0.1", 1234)}
            await app(scope, receive, send)
        return (time.process_time() - began) * 1000

    apps = {
        "none": app,
        "ours": AuditMiddleware(app, requests=False),
        "theirs": CorrelationIdMiddleware(app),
    }

    async def all_of_them() -> dict[str, float]:
        rounds = [{name: await us(app) for name, app in apps.items()} for _ in range(20)]
        return {name: min(one[name] for one in rounds) for name in apps}

    return asyncio.run(all_of_them())


def django(variant: str) -> dict[str, float]:
    """µs and queries of one ``save``."""
    import django
    from django.conf import settings

    installed = ["django.contrib.contenttypes", "django.contrib.auth", "support.django_shop"]
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[*installed, *(["auditlog"] if variant == "auditlog" else [])],
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from support.django_shop.models import Invoice, Label, Owner

    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in (Owner, Label, Invoice):
            editor.create_model(model)
    fields = ["number", "amount", "password", "details"]
    if variant == "auditlog":
        from auditlog.registry import auditlog

        auditlog.register(Invoice, include_fields=fields)
    elif variant == "ours":
        from audit_emit.integrations.django import track

        track(Invoice, fields=fields)
    Invoice.objects.create(number="A", amount=0)
    invoice = Invoice.objects.get()
    queries = 0

    def count(execute: Any, *given: Any) -> Any:
        nonlocal queries
        queries += 1
        return execute(*given)

    def save() -> None:
        invoice.amount += 1
        invoice.save()

    spent = p50(save)
    with connection.execute_wrapper(count):
        save()
    return {"us": spent, "queries": queries}


def sqlalchemy(variant: str) -> dict[str, float]:
    """µs for each row that one commit inserts, updates, deletes."""
    from sqlalchemy import Integer, String, create_engine
    from sqlalchemy.orm import DeclarativeBase, Session, mapped_column

    class Base(DeclarativeBase):
        pass

    class Row(Base):
        __tablename__ = "rows"
        id = mapped_column(Integer, primary_key=True)
        number = mapped_column(String)
        amount = mapped_column(Integer)

    if variant == "ours":
        from audit_emit.integrations.sqlalchemy import track

        track(Row)
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)

    def us(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return (time.process_time() - began) / ROWS * 1e6

    with Session(engine, expire_on_commit=False) as session:
        rows = [Row(number=str(number), amount=number) for number in range(ROWS)]
        session.add_all(rows)
        found = {"insert": us(session.commit)}
        for row in rows:
            row.amount += 1
        found["update"] = us(session.commit)
        for row in rows:
            session.delete(row)
        found["delete"] = us(session.commit)
    return found


def metrics(variant: str) -> dict[str, float]:
    """µs of one ``emit`` without metrics, with a collector, and with the thread that shares them.

    A scrape and a move come twenty times a second, more often than anywhere.
    """
    if variant != "off":
        import tempfile
        import threading

        if variant == "several processes":
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
        from prometheus_client import CollectorRegistry, generate_latest

        from audit_emit.integrations.prometheus import AuditCollector, MovingThread

        audit_emit.emit(None, "secret.set", {})
        registry = CollectorRegistry()
        if variant == "several processes":
            MovingThread(registry=registry, seconds=0.05).start()
        else:
            registry.register(AuditCollector())

            def scrape() -> None:
                while True:
                    generate_latest(registry)
                    time.sleep(0.05)

            threading.Thread(target=scrape, daemon=True).start()
    fields = {"key": "STRIPE", "version": 7}
    return {"us": p50(lambda: audit_emit.emit(None, "secret.set", fields), 20_000)}


def p50(work: Callable[[], object], count: int = 3000) -> float:
    """The median of several calls, in µs."""
    for _ in range(200):
        work()
    times = []
    for _ in range(count):
        began = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - began)
    return median(times) / 1000


def main(what: str, variant: str, log: str) -> None:
    """Measure, and print."""
    audit_emit.configure(service="bench", jsonl=log, stdout=False)
    measures = {"asgi": asgi, "django": django, "sqlalchemy": sqlalchemy, "metrics": metrics}
    print(json.dumps(measures[what](variant)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
