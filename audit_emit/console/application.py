"""The console as one ASGI application, below any prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from audit_emit.console.access import Access
from audit_emit.console.guard import Application, Guard
from audit_emit.console.loki import LokiSource
from audit_emit.console.own_events import SIGNED_IN, Emits, OwnEvents
from audit_emit.console.shared import Console
from audit_emit.console.source import Source
from audit_emit.errors import ConfigError

STATIC = Path(__file__).parent / "static"


def app(
    log: str = "",
    *,
    loki: str = "",
    tenant: str | None = None,
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
        loki: instead of a log, the address of a Loki (extra ``loki``): its records are shown, but
            not verified.
        tenant: of Loki (``X-Scope-OrgID``).
        keys: the keys that are trusted, as for ``open_log``.
        archive: ``s3://…`` where older segments of the log are; both are shown as one log.
        access: the users. Without it only requests from loopback under the name ``localhost`` are
            answered, and whoever sends them may do everything.
        emitter: writes the console's own events. It must not be the one whose log is shown.
        signing_keys: files or names of variables with the keys for checkpoints that an operator
            asks for; by default those of the environment, as for ``audit-emit checkpoint``.
        grafana: the address of a Grafana, for links by trace id.

    Returns:
        An ASGI application, to be mounted below any prefix or served alone.

    Raises:
        ConfigError: a key or an address cannot be used, or both a log and Loki are named.
        FileNotFoundError: there is no such log.
    """
    events = OwnEvents(emitter)
    if bool(log) == bool(loki):
        raise ConfigError(
            "log", "a console shows one, or Loki (audit-emit reconcile compares them)"
        )
    records = LokiSource(loki, tenant) if loki else Source(log, tuple(keys), archive)
    console = Console(records, events, signing_keys=tuple(signing_keys), grafana=grafana)

    return Guard(_pages_of(console), access, events.refused, partial(events.tell, SIGNED_IN))


def _pages_of(console: Console) -> Application:
    """All pages and the API, without the checks of ``Guard``."""
    from starlette.applications import Starlette  # noqa: PLC0415 - an extra
    from starlette.routing import Mount  # noqa: PLC0415
    from starlette.staticfiles import StaticFiles  # noqa: PLC0415

    from audit_emit.console import api, downloads, over_time, pages, reporting  # noqa: PLC0415

    of_a_log = [
        *(pages.routes_of_a_log() + api.routes_of_a_log()),
        *(downloads.routes() + reporting.routes()),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        console.close()

    inner = Starlette(
        routes=[
            *pages.routes(),
            *over_time.routes(),
            *api.routes(),
            *(of_a_log if console.records.is_log else ()),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        exception_handlers=pages.HANDLERS,
        lifespan=lifespan,
    )
    inner.state.console = console
    return inner
