"""A service that has no change without its record: FastAPI, SQLAlchemy, and the outbox.

    pip install 'audit-emit[fastapi,postgres]' 'sqlalchemy>=2'
    audit-emit db migrate "$DATABASE_URL"
    DATABASE_URL=postgresql://shop@localhost/shop uvicorn outbox_app:made --factory

The order and its record are one transaction: if either cannot be written, neither is. A refusal
changes nothing, so it goes through ``emit``, which no rollback takes away.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from audit_emit import configure, emit, flush
from audit_emit.integrations.asgi import AuditMiddleware, health_app
from audit_emit.outbox import emit_in, start_sealer

MOST = 100
"""Pieces of one order."""


def made(url: str | None = None) -> FastAPI:
    """The application; its tables are made if they are not there.

    Args:
        url: ``postgresql://…``; the variable ``DATABASE_URL`` by default.
    """
    url = url or os.environ["DATABASE_URL"]
    configure(service="shop", store=url)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE IF NOT EXISTS orders (article text NOT NULL, pieces int NOT NULL)"
                )
            )
        sealer = start_sealer(url)
        yield
        sealer.stop()
        flush()  # uvicorn runs no exit handlers
        engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(AuditMiddleware, skip_paths=["/audit/health", "/audit/health/ready"])
    app.mount("/audit", health_app(max_lag=60))

    @app.post("/orders", status_code=201)
    def order(article: str, pieces: int) -> dict[str, str]:
        if not 1 <= pieces <= MOST:
            emit(None, "order.refused", {"article": article, "pieces": pieces})
            raise HTTPException(422, f"1 to {MOST} pieces")
        with Session(engine) as session, session.begin():
            session.execute(
                text("INSERT INTO orders (article, pieces) VALUES (:article, :pieces)"),
                {"article": article, "pieces": pieces},
            )
            receipt = emit_in(session, None, "order.placed", {"article": article, "pieces": pieces})
        return {"record": receipt.id}

    return app
