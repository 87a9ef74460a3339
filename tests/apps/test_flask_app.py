"""The secrets service on Flask keeps the contract of both services."""

from __future__ import annotations

from pathlib import Path

import pytest
from apps.service_contract import Answer, Service, ServiceContract
from flask_app import create_app
from secrets_store import Store


@pytest.fixture
def service(log: Path, store: Store) -> Service:
    app = create_app(store)

    def send(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        response = app.test_client().open(path, method=method, data=body, headers=headers)
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, response.get_json(silent=True), lowered)

    return Service(send, log)


class TestFlask(ServiceContract):
    pass
