"""The pages. They work without JavaScript; what the scripts add is live tail and progress."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audit_emit import __version__
from audit_emit._facade.exports import MODULES
from audit_emit._facade.records import head_of
from audit_emit._facade.text import visible
from audit_emit.console import actions, own_events
from audit_emit.console.access import Identity, Role
from audit_emit.console.filters import Filters
from audit_emit.console.jobs import archive_status
from audit_emit.console.outside import outside_of
from audit_emit.console.paging import Page, place_text
from audit_emit.console.place import PAGE, Records
from audit_emit.console.records import Row, detail_of, plain, row_of
from audit_emit.console.rendering import TEMPLATES, back_to, path_of, rendered, said_to
from audit_emit.console.requests import Said, catalogue_of, console_of, demand, refused
from audit_emit.console.threads import in_thread
from audit_emit.errors import AuditEmitError, FilterError

_NUMBER = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_STATIC = Path(__file__).parent / "static"
_VERIFIER = ("sha256", "signatures", "removed", "verifier", "proof", "offline")


def routes() -> list[Route]:
    """The pages about records, which a log and Loki both have."""
    return [
        Route("/", events, name="events"),
        Route("/event/{name:str}", event, name="event"),
        Route("/actor/{name:path}", about, name="actor"),
        Route("/target/{name:path}", about, name="target"),
        Route("/top", top, name="top"),
        Route("/messages.js", messages),
        Route("/settings", settings, name="settings"),
        Route("/help", help_page, name="help"),
    ]


def routes_of_a_log() -> list[Route]:
    """The pages that need a whole log, and so are missing for Loki."""
    return [
        Route("/event/{chain:str}/{seq:str}/proof", proof, name="proof"),
        Route("/integrity", integrity, name="integrity"),
        Route("/integrity/verify", start, methods=["POST"], name="verify"),
        Route("/integrity/cancel", stop, methods=["POST"], name="cancel"),
        Route("/integrity/checkpoint", sign, methods=["POST"], name="sign"),
        Route("/verify", in_browser, name="in_browser"),
        Route("/verifier.html", saved_verifier, name="verifier"),
        Route("/checkpoints", checkpoints, name="checkpoints"),
        Route("/archive", archive, name="archive"),
        Route("/archive/run", run_archive, methods=["POST"], name="run_archive"),
    ]


async def events(request: Request) -> Response:
    """The records that match the filters, newest first."""
    identity = demand(request, Role.VIEWER)
    console = console_of(request)
    try:
        filters = Filters.of(request.query_params)
        page, rows = await in_thread(_rows, console.records, filters, identity)
    except FilterError as error:
        given = dict(request.query_params)
        problem = catalogue_of(request).text("error.filter", why=error)
        return rendered(
            request, "events.html", 400, rows=[], given=given, query="", older="",
            problem=problem, formats=list(MODULES), exports=[], first=True,
            alerted={}, stream="", page="events",
        )  # fmt: skip
    console.events.tell(own_events.VIEWED, identity, page="events", query=filters.query())
    return rendered(
        request,
        "events.html",
        rows=rows,
        given=filters.given,
        query=filters.query(),
        older=filters.query(before=str(page.next)) if page.next else "",
        first=filters.before is None,
        stream=filters.query(after=place_text(page.newest) if page.newest else ""),
        problem="",
        formats=list(MODULES),
        exports=[one.told(whole=identity.whole) for one in console.exports.of(identity.name)[:3]],
        alerted=console.alerts.named((row.place for row in rows), identity),
        page="events",
    )


def _rows(source: Records, filters: Filters, identity: Identity) -> tuple[Page, list[Row]]:
    page = source.page(filters, identity)
    return page, [row_of(line) for line in page.lines]


async def event(request: Request) -> Response:
    """One record: its members, what changed, its exact bytes, its neighbours."""
    identity = demand(request, Role.VIEWER)
    console = console_of(request)
    name = request.path_params["name"]
    found = await in_thread(console.records.find, name, identity)
    if found is None:
        raise refused(404, "error.no_record")
    console.events.tell(own_events.VIEWED, identity, page="event", record=name)
    if request.query_params.get("raw"):
        return Response(
            found.line + b"\n",
            media_type="application/x-ndjson",
            headers={"content-disposition": 'attachment; filename="record.jsonl"'},
        )
    detail = detail_of(found.line)
    head = head_of(found.line)
    members = detail.raw_members
    links = {
        one: f"?{Filters({key: members[one]}).query()}"
        for one, key in (
            ("workspace_id", "workspace"),
            ("correlation_id", "correlation"),
            ("event_type", "type"),
        )
        if members.get(one) and plain(members[one])
    }
    if plain(members.get("user_id", "")):
        links["user_id"] = f"actor/{quote(members['user_id'])}"
    return rendered(
        request,
        "event.html",
        detail=detail,
        head=head,
        previous=row_of(found.before) if found.before else None,
        following=row_of(found.after) if found.after else None,
        links=links,
        target=quote(detail.target) if plain(detail.target) else "",
        grafana=console.grafana if members.get("trace_id", "").isalnum() else "",
        title=detail.row.type,
    )


async def proof(request: Request) -> Response:
    """The proof of a record, for ``audit-emit verify-proof``."""
    identity = demand(request, Role.AUDITOR, whole=True)
    console = console_of(request)
    chain, number = request.path_params["chain"], request.path_params["seq"]
    if not _NUMBER.fullmatch(number):
        raise refused(404, "error.no_such_record")
    seq = int(number)
    try:
        head = await in_thread(console.source.head)
        if head is None or head.chain != chain:
            raise refused(404, "error.other_chain")
        found = await in_thread(console.source.proof, seq)
    except (LookupError, ValueError, AuditEmitError) as error:
        raise refused(409, "error.no_proof", why=error) from None
    console.events.tell(own_events.PROVED, identity, seq=seq)
    return Response(
        found,
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="record-{seq}.proof.json"'},
    )


async def about(request: Request) -> Response:
    """Everything about one actor, or one thing that was acted on."""
    identity = demand(request, Role.VIEWER)
    console = console_of(request)
    name = request.path_params["name"]
    kind = "actor" if path_of(request).startswith("/actor/") else "target"
    if not plain(name):
        raise refused(404, "error.no_name")
    filters = Filters({"actor": name} if kind == "actor" else {"where": f"key={name}"})
    tops, lines = await in_thread(console.records.tops, filters, identity, PAGE)
    rows = await in_thread(lambda: [row_of(line) for line in lines])
    console.events.tell(own_events.VIEWED, identity, page=kind, query=filters.query())
    return rendered(
        request,
        "about.html",
        kind=kind,
        rows=rows,
        tops=tops,
        query=filters.query(),
        older=tops.cut or tops.records > len(rows),
        title=name,
    )


async def top(request: Request) -> Response:
    """The most frequent values among the records that match."""
    identity = demand(request, Role.VIEWER)
    console = console_of(request)
    filters = Filters.of(request.query_params)
    tops, _ = await in_thread(console.records.tops, filters, identity)
    console.events.tell(own_events.VIEWED, identity, page="top", query=filters.query())
    return rendered(request, "top.html", page="top", tops=tops, query=filters.query())


async def integrity(request: Request) -> Response:
    """The state of the log, the last verdict, and the buttons."""
    identity = demand(request, Role.VIEWER, whole=True)
    console = console_of(request)
    standing = await in_thread(console.source.standing)
    outside = await in_thread(outside_of, console.source)
    console.events.tell(own_events.VIEWED, identity, page="integrity")
    return rendered(
        request,
        "integrity.html",
        standing=standing,
        outside=outside,
        job=console.verification.progress(),
        said=said_to(request),
        page="integrity",
    )


async def start(request: Request) -> Response:
    """Begin a verification."""
    await actions.start_verification(request)
    return back_to(request, "integrity")


async def stop(request: Request) -> Response:
    """End the running verification."""
    await actions.cancel_verification(request)
    return back_to(request, "integrity")


async def sign(request: Request) -> Response:
    """Sign a checkpoint over the log as it is now."""
    return back_to(request, "integrity", (await actions.sign(request)).said)


async def in_browser(request: Request) -> Response:
    """The page that verifies in the browser."""
    identity = demand(request, Role.AUDITOR, whole=True)
    console = console_of(request)
    console.events.tell(own_events.VIEWED, identity, page="verify")
    return rendered(request, "verify.html", page="verify")


async def saved_verifier(request: Request) -> Response:
    """The verifier as one file that works offline."""
    demand(request, Role.VIEWER)
    texts = catalogue_of(request)
    script = _verifier(texts.module)
    text = TEMPLATES.get_template("verifier.html").render(
        t=texts.markup,
        language=texts.language,
        style=(_STATIC / "console.css").read_text("utf-8"),
        script=script,
        digest=sha256(script.encode()).hexdigest(),
        version=__version__,
    )
    return Response(
        text,
        media_type="text/html; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="audit-emit-verifier.html"'},
    )


async def messages(request: Request) -> Response:
    """The texts of the modules."""
    found = catalogue_of(request).module
    return Response(found, media_type="text/javascript", headers={"vary": "Accept-Language"})


def _verifier(messages: str) -> str:
    """The modules of the verifier as one script."""
    texts = [messages, *((_STATIC / f"{name}.js").read_text("utf-8") for name in _VERIFIER)]
    lines = [line for text in texts for line in text.split("\n") if not line.startswith("import ")]
    return "\n".join(line.removeprefix("export ") for line in lines)


async def checkpoints(request: Request) -> Response:
    """The newest checkpoints; they are not verified."""
    identity = demand(request, Role.VIEWER, whole=True)
    console = console_of(request)
    found = await in_thread(console.source.checkpoints)
    console.events.tell(own_events.VIEWED, identity, page="checkpoints")
    return rendered(request, "checkpoints.html", page="checkpoints", checkpoints=found)


async def archive(request: Request) -> Response:
    """The batches of the log that are in the archive."""
    identity = demand(request, Role.VIEWER, whole=True)
    console = console_of(request)
    found = await in_thread(archive_status, console.source.where)
    console.events.tell(own_events.VIEWED, identity, page="archive")
    return rendered(
        request,
        "archive.html",
        archive=found,
        said=said_to(request),
        page="archive",
    )


async def run_archive(request: Request) -> Response:
    """Archive the closed and signed segments."""
    return back_to(request, "archive", (await actions.archive(request)).said)


async def settings(request: Request) -> Response:
    """The settings of this console, without secrets."""
    identity = demand(request, Role.VIEWER, whole=True)
    console = console_of(request)
    console.events.tell(own_events.VIEWED, identity, page="settings")
    say, log = catalogue_of(request).text, console.records.is_log
    keys = [visible(key) for key in console.source.keys] if log else []
    rows = [
        ("log", console.records.shown),
        ("keys", ", ".join(keys) or say("settings.no_keys")),
        ("you", f"{identity.name}, {identity.role.name.lower()}"),
        ("workspaces", ", ".join(identity.workspaces) or say("settings.all")),
        ("grafana", console.grafana or say("settings.not_given")),
        ("version", __version__),
    ]
    return rendered(request, "settings.html", page="settings", rows=rows)


async def help_page(request: Request) -> Response:
    """The filters, the keyboard shortcuts, and the words of the console."""
    demand(request, Role.VIEWER)
    return rendered(request, "help.html", page="help")


OTHERWISE = "error.otherwise"
_OF_STATUS = {404: "error.no_page", 405: OTHERWISE}
"""The texts for errors of the framework, which no page has raised."""


async def _failed(request: Request, error: Exception) -> Response:
    texts = catalogue_of(request)
    if isinstance(error, HTTPException) and isinstance(error.detail, Said):
        status, said = error.status_code, texts.text(error.detail.name, **error.detail.values)
    elif isinstance(error, HTTPException):
        status, said = error.status_code, texts.text(_OF_STATUS.get(error.status_code, OTHERWISE))
    elif isinstance(error, FilterError):
        status, said = 400, texts.text("error.filter", why=error)
    else:
        status, said = 503, texts.text("error.unreadable", why=error)
    if path_of(request).startswith("/api/"):
        from audit_emit.console.requests import json_of  # noqa: PLC0415 - of programs only

        return Response(json_of({"error": said}), status, media_type="application/json")
    return rendered(request, "error.html", status, said=visible(said), title=f"{status}")


HANDLERS: Mapping[Any, Any] = {
    HTTPException: _failed,
    FilterError: _failed,
    OSError: _failed,
    AuditEmitError: _failed,
}
"""The handlers that show an error page."""
