"""Downloads: exports in a format, the exact bytes of the log, and the results of exports."""

from __future__ import annotations

import errno
import time
from collections.abc import Generator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from audit_emit._facade.exports import MODULES, chosen, exported
from audit_emit._facade.queries import MISSING, Flaw, Question
from audit_emit._facade.records import ts_of
from audit_emit.console import own_events
from audit_emit.console.access import Role
from audit_emit.console.exporting import noted
from audit_emit.console.filters import Filters
from audit_emit.console.requests import console_of, demand, json_of, refused
from audit_emit.console.threads import each_in_thread

_TYPES = {"csv": "text/csv; charset=utf-8"}


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/export", export),
        Route("/log", exact),
        Route("/api/audit/exports", exports),
    ]


async def export(request: Request) -> Response:
    """All records that match, in a format of ``audit-emit export``.

    The file cannot say which parts of the log are missing, nor that lines are no records:
    ``/api/audit/exports`` and the console's own events do.
    """
    identity = demand(request, Role.AUDITOR)
    name = request.query_params.get("format", "jsonl")
    if name not in MODULES:
        raise refused(400, "error.one_of", name="format", known=", ".join(MODULES))
    filters = Filters.of(request.query_params)
    question = filters.question(identity.workspaces)
    # Without a filter everything is exported, also lines that no filter can match.
    wanted = None if question == Question() else question
    console = console_of(request)
    kept = console.exports.begin(identity.name, name, filters.query(), ts_of(time.time_ns()))
    console.events.tell(
        own_events.EXPORTED, identity, format=name, query=kept.query, export=kept.id
    )

    def pieces() -> Generator[bytes, None, None]:
        form = chosen(name)
        try:
            with noted(kept), console.source.reader() as reader:
                yield form.head
                for piece in exported(reader, form, None, wanted):
                    kept.add(piece.events, piece.foreign, piece.missing)
                    yield piece.data
        finally:
            console.events.tell(own_events.EXPORT_ENDED, identity, **kept.outcome())

    ending = "csv" if name == "csv" else "jsonl"
    return StreamingResponse(
        each_in_thread(pieces()),
        media_type=_TYPES.get(name, "application/x-ndjson"),
        headers={
            "content-disposition": f'attachment; filename="audit.{name}.{ending}"',
            "x-audit-export": str(kept.id),
        },
    )


async def exports(request: Request) -> Response:
    """The results of the user's newest exports, newest first."""
    identity = demand(request, Role.AUDITOR)
    found = console_of(request).exports.of(identity.name)
    told = [one.told(whole=identity.whole) for one in found]
    return Response(json_of({"exports": told}), media_type="application/json")


async def exact(request: Request) -> Response:
    """The bytes of the log as they are, records or not, for users who verify them themselves."""
    identity = demand(request, Role.AUDITOR, whole=True)
    console = console_of(request)
    console.events.tell(own_events.EXPORTED, identity, format="exact")

    def pieces() -> Generator[bytes, None, None]:
        with console.source.reader() as reader:
            for item in reader.blocks():
                if not isinstance(item, Flaw):
                    yield item.data
                elif item.kind != MISSING:
                    raise OSError(errno.EIO, item.note, item.part)

    return StreamingResponse(each_in_thread(pieces()), media_type="application/x-ndjson")
