"""The HTTP API: what the pages show, as JSON, lines or server-sent events; see ``openapi.json``."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from audit_emit._facade.exports import Record
from audit_emit._facade.records import Head, head_of, ts_of
from audit_emit.console import actions, own_events
from audit_emit.console.access import Role
from audit_emit.console.filters import Filters
from audit_emit.console.jobs import archive_status
from audit_emit.console.outside import outside_of
from audit_emit.console.paging import place_of, place_text
from audit_emit.console.place import PAGE, Records
from audit_emit.console.records import row_of
from audit_emit.console.requests import console_of, demand, json_of, refused
from audit_emit.console.threads import in_thread
from audit_emit.errors import AuditEmitError

_MOST = 1000
"""Records that one page of events may have."""

_STREAMS = 20
"""How many live tails one user may have open; each looks at the log twice a second."""

_ALIVE_SECONDS = 15


def routes() -> list[Route]:
    """The routes about records, which a log and Loki both have."""
    return [
        Route("/api/audit/events", events),
        Route("/api/openapi.json", description),
        Route("/events/stream", stream),
    ]


def routes_of_a_log() -> list[Route]:
    """The routes that need a whole log, and so are missing for Loki."""
    return [
        Route("/api/audit/verify", verify, methods=["GET", "POST"]),
        Route("/api/audit/verify/cancel", cancel, methods=["POST"]),
        Route("/api/audit/checkpoint", checkpoint, methods=["POST"]),
        Route("/api/audit/checkpoint/latest", latest_checkpoint),
        Route("/api/audit/checkpoints", all_checkpoints),
        Route("/api/audit/archives", archives),
        Route("/api/audit/archive/run", archive, methods=["POST"]),
        Route("/api/audit/status", status),
    ]


def _answer(value: Any, status: int = 200) -> Response:
    return Response(json_of(value), status, media_type="application/json")


async def events(request: Request) -> Response:
    """The records that match, newest first, with their exact bytes; ``next`` is the next page."""
    identity = demand(request, Role.VIEWER)
    filters = Filters.of(request.query_params)
    size = _number(request, "limit", PAGE)
    console = console_of(request)
    page = await in_thread(console.records.page, filters, identity, size)
    console.events.tell(own_events.VIEWED, identity, page="api", query=filters.query())
    follows = f"?{filters.query(before=str(page.next), limit=size)}" if page.next else None
    # Lines that are no record are only on the HTML page: here they would break the JSON.
    sound = [line for line in page.lines if _is_json(line)]
    more = json_of({"left_out": len(page.lines) - len(sound), "next": follows})
    body = b'{"records":[' + b",".join(sound) + b"]," + more[1:]
    return Response(body, media_type="application/json")


def _is_json(line: bytes) -> bool:
    """Whether any JSON parser accepts a line: one that is refused would spoil the whole answer.

    It must be UTF-8 without a byte order mark, and have no number with more digits and no deeper
    nesting than Python's own parser accepts.
    """
    if not line.lstrip().startswith(b"{") or Record.of(line) is None:
        return False
    try:
        json.loads(line.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _number(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and 0 < int(text) <= _MOST):
        raise refused(400, "error.number", name=name, most=_MOST)
    return int(text)


async def verify(request: Request) -> Response:
    """GET: the last verdict, and the progress of a running verification. POST: begin one."""
    if request.method == "POST":
        begun = await actions.start_verification(request)
        return _answer({"started": begun.good}, 202 if begun.good else 409)
    demand(request, Role.AUDITOR, whole=True)
    return _answer(console_of(request).verification.progress()._asdict())


async def cancel(request: Request) -> Response:
    """End the running verification."""
    return _answer({"cancelled": (await actions.cancel_verification(request)).good})


async def checkpoint(request: Request) -> Response:
    """Sign a checkpoint over the log as it is now."""
    done = await actions.sign(request)
    return _answer({"signed": done.good, "said": done.said}, 200 if done.good else 409)


async def latest_checkpoint(request: Request) -> Response:
    """The newest checkpoint, with its members; ``trusted``: a pinned key signed it."""
    demand(request, Role.AUDITOR, whole=True)
    standing = await in_thread(console_of(request).source.standing)
    if standing.signed is None:
        raise refused(404, "error.no_checkpoint")
    return _answer({**msgspec.to_builtins(standing.signed), "trusted": standing.trusted})


async def all_checkpoints(request: Request) -> Response:
    """The newest checkpoints with their members, oldest first; they are not verified."""
    demand(request, Role.AUDITOR, whole=True)
    found = await in_thread(console_of(request).source.checkpoints)
    return _answer({"checkpoints": found[::-1]})


async def archives(request: Request) -> Response:
    """The batches of the log that are in the archive."""
    demand(request, Role.AUDITOR, whole=True)
    found = await in_thread(archive_status, console_of(request).source.where)
    return _answer(found, 404 if "error" in found else 200)


async def archive(request: Request) -> Response:
    """Archive the closed and signed segments."""
    done = await actions.archive(request)
    return _answer({"archived": done.good, "said": done.said}, 200 if done.good else 409)


async def status(request: Request) -> Response:
    """The state of the log, as its files have it; nothing is verified."""
    demand(request, Role.VIEWER, whole=True)
    source = console_of(request).source
    standing = await in_thread(source.standing)
    outside = await in_thread(outside_of, source)
    head = standing.head
    return _answer(
        {
            "head": None if head is None else head._asdict(),
            "signed_seq": standing.signed.head_seq if standing.signed else 0,
            "trusted": standing.trusted,
            "unsigned": standing.unsigned,
            "outside": None if outside is None else outside.standing,
            "looked_at": ts_of(time.time_ns()),
        }
    )


async def description(_: Request) -> Response:
    """This interface, described (OpenAPI 3.1)."""
    return FileResponse(Path(__file__).parent / "openapi.json", media_type="application/json")


async def stream(request: Request) -> Response:
    """Records as they are written (server-sent events).

    The stream begins after the record that ``Last-Event-ID``, else ``after`` in the address, names.
    """
    identity = demand(request, Role.VIEWER)
    question = Filters.of(request.query_params)._replace(before=None).question(identity.workspaces)
    console = console_of(request)
    source = console.records
    if console.streams[identity.name] >= _STREAMS:
        raise refused(429, "error.tails", most=_STREAMS)
    last = request.headers.get("last-event-id") or request.query_params.get("after", "")
    after = await in_thread(_place, source, last)

    async def pieces() -> AsyncIterator[bytes]:
        end = after
        yield b"retry: 2000\n\n"
        for turn in itertools.count():
            if await request.is_disconnected():
                return
            try:
                lines = await in_thread(source.lines_after, end)
            except (LookupError, OSError, AuditEmitError):
                yield b"event: lost\ndata: {}\n\n"
                return
            for line in lines:
                end = head_of(line) or end
                if question.match(line) is not None and end is not None:
                    row = json_of(row_of(line)._asdict()).rstrip()
                    yield f"id: {place_text(end)}\n".encode()
                    yield b"data: " + row + b"\n\n"
            if lines:
                continue
            if turn % int(_ALIVE_SECONDS / source.poll_seconds) == 0:
                yield b": alive\n\n"
            await asyncio.sleep(source.poll_seconds)

    told = _counted(pieces(), console.streams, identity.name)
    # Else nginx would delay events until they fill its buffer.
    headers = {"x-accel-buffering": "no"}
    return StreamingResponse(told, media_type="text/event-stream", headers=headers)


async def _counted(
    pieces: AsyncIterator[bytes], streams: Counter[str], name: str
) -> AsyncIterator[bytes]:
    """Count a live tail while it runs; empty where the user has opened too many meanwhile."""
    if streams[name] >= _STREAMS:
        return
    streams[name] += 1
    try:
        async for piece in pieces:
            yield piece
    finally:
        streams[name] -= 1


def _place(source: Records, last: str) -> Head | None:
    """Where a stream begins: after the last record that was seen, or at the end of the log.

    Raises:
        HTTPException: 400, this names no record.
    """
    if not last:
        return source.head()
    try:
        return place_of(last)
    except ValueError as error:
        raise refused(400, "error.place", why=error) from None
