"""The secrets service on FastAPI keeps the contract of both services."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from apps.service_contract import Answer, Service, ServiceContract
from fastapi_app import create_app
from secrets_store import Store


@pytest.fixture
def service(log: Path, store: Store) -> Service:
    app = create_app(store)

    def send(method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        response = asyncio.run(ask(method, path, body, headers))
        answer = response.json() if response.content else None
        return Answer(response.status_code, answer, dict(response.headers))

    async def ask(
        method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, content=body, headers=headers)

    return Service(send, log)


class TestFastAPI(ServiceContract):
    pass
