"""The console as one ASGI application, below any prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from audit_emit.console.access import Access
from audit_emit.console.guard import Application, Guard
from audit_emit.console.own_events import SIGNED_IN, Emits, OwnEvents
from audit_emit.console.shared import Console
from audit_emit.console.source import Source

STATIC = Path(__file__).parent / "static"


def app(
    log: str,
    *,
    keys: Sequence[str] = (),
    archive: str = "",
    access: Access | None = None,
    emitter: Emits | None = None,
    signing_keys: Sequence[str] = (),
    grafana: str = "",
) -> Application:
    """The console of one log.

    Args:
        log: its directory, or ``postgresql://…`` of one chain, or ``s3://…`` of one that is
            archived.
        keys: the keys that are trusted, as for ``open_log``.
        archive: ``s3://…`` where older segments of the log are; both are shown as one log.
        access: who is let in. Without it only requests from loopback under the name ``localhost``
            are answered, and whoever sends them may do everything.
        emitter: writes the console's own events. It must not be the one whose log is shown.
        signing_keys: files or variables with the keys that a forced checkpoint is signed with; by
            default those of the environment, as for ``audit-emit checkpoint``.
        grafana: the address of a Grafana, for links by trace id.

    Returns:
        An ASGI application, to be mounted below any prefix or served alone.

    Raises:
        ConfigError: a key or the address cannot be used.
        FileNotFoundError: there is no such log.
    """
    events = OwnEvents(emitter)
    console = Console(
        Source(log, tuple(keys), archive), events, signing_keys=tuple(signing_keys), grafana=grafana
    )

    return Guard(_pages_of(console), access, events.refused, partial(events.tell, SIGNED_IN))


def _pages_of(console: Console) -> Application:
    """Every page and every answer to a program, behind no door."""
    from starlette.applications import Starlette  # noqa: PLC0415 - an extra
    from starlette.routing import Mount  # noqa: PLC0415
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415

    from audit_emit.console import api, downloads, pages, reporting  # noqa: PLC0415

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        console.verification.close()
        console.events.close()

    inner = Starlette(
        routes=[
            *pages.routes(),
            *api.routes(),
            *downloads.routes(),
            *reporting.routes(),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        exception_handlers=pages.HANDLERS,
        lifespan=lifespan,
    )
    inner.state.console = console
    return inner
