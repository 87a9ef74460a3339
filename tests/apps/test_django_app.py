"""The example on Django, under gunicorn, with workers that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.host_server import children, running
from support.plain_log_reader import records
from support.ports import free_port
from support.requirements import package
from support.waiting import PATIENCE, until

import audit_emit

package("django")

SET_UP = """
from django.core.management import call_command
import django_app
from django.db import connection
from django.contrib.auth.models import User
call_command("migrate", verbosity=0)
with connection.schema_editor() as editor:
    editor.create_model(django_app.Invoice)
User.objects.create_user("ann", password="of ann")
"""


class Site:
    """The example, served."""

    def __init__(self, process: Any, port: int, log: Path) -> None:
        self.master = process.pid
        self.log = log
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)

    def post(self, path: str, **body: Any) -> int:
        return self.client.post(path, json=body).status_code

    def records(self, event_type: str | None = None) -> list[dict[str, Any]]:
        return [one for one in records(self.log) if event_type in (None, one["event_type"])]


@pytest.fixture(
    params=[["--workers=2"], ["--workers=2", "--threads=4"], ["--workers=2", "--preload"]]
)
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    log, port = tmp_path / "site.jsonl", free_port()
    variables = {
        "INVOICES_DB": str(tmp_path / "invoices.db"),
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "invoices",
        "AUDIT_EMIT_STDOUT": "0",
    }
    output = tmp_path / "output.txt"
    with running("python", "-c", SET_UP, log=output, env=variables) as made:
        assert made.wait(PATIENCE) == 0, output.read_text()
    gunicorn = ("python", "-m", "gunicorn", "django_app:application", f"--bind=127.0.0.1:{port}")
    with running(*gunicorn, *request.param, port=port, log=output, env=variables) as process:
        site = Site(process, port, log)
        yield site
        site.client.close()


def test_each_request_is_recorded_once_while_workers_are_killed(site: Site) -> None:
    assert site.post("/sign-in/", name="ann", password="wrong") == 401
    assert site.post("/sign-in/", name="ann", password="of ann") == 204
    answered = 0
    for number in range(60):
        if number % 20 == 10:
            os.kill(until(lambda: children(site.master))[0], signal.SIGKILL)
        try:
            answered += site.post("/invoices/", number=str(number), amount=number) == 201
        except httpx.TransportError:
            continue  # its worker was killed
    assert site.post("/invoices/", number="n", amount=-1) == 422

    created = site.records("model.created")
    invoices = [one for one in created if one["fields"]["model"] == "django_app.invoice"]
    assert answered <= len(invoices) <= 60
    assert len({one["fields"]["changes"]["number"]["after"] for one in invoices}) == len(invoices)
    assert {one["user_id"] for one in invoices} == {"1"}
    requests = [one for one in site.records("http.request") if one["fields"]["status"] == 201]
    assert answered <= len(requests) <= len(invoices)
    assert len(site.records("auth.login")) == len(site.records("auth.login_failed")) == 1
    assert len(site.records("invoice.refused")) == 1
    assert not audit_emit.open_log(site.log).verify().tampered
