"""The alerts of the log, and reports on it, for pages and programs."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audit_emit._facade.reports import FORMATS, MEDIA
from audit_emit._facade.text import visible
from audit_emit.console import actions, own_events
from audit_emit.console.access import Role
from audit_emit.console.alerts import DAYS, MOST
from audit_emit.console.jobs import run_report
from audit_emit.console.rendering import back_to, rendered, said_to
from audit_emit.console.requests import (
    catalogue_of,
    checked_form,
    console_of,
    demand,
    json_of,
    refused,
)
from audit_emit.console.threads import in_thread

_ORDER = ("html", "md", "csv", "json")
_DAYS = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/alerts", alerts, name="alerts"),
        Route("/report", ask, name="report"),
        Route("/report", make, methods=["POST"], name="make_report"),
        Route("/api/audit/alerts", all_alerts),
        Route("/alerts/acknowledge", acknowledge, methods=["POST"], name="acknowledge"),
        Route("/api/audit/alerts/acknowledge", acknowledge_one, methods=["POST"]),
    ]


async def alerts(request: Request) -> Response:
    """The newest alerts, and who looked at them."""
    identity = demand(request, Role.VIEWER, whole=True)
    console = console_of(request)
    found, cut = await in_thread(console.alerts.look)
    console.events.tell(own_events.VIEWED, identity, page="alerts")
    return rendered(
        request,
        "alerts.html",
        rows=found,
        still=sum(not one.acknowledged for one in found),
        days=DAYS,
        most=MOST if cut else 0,
        said=said_to(request),
        can_be_kept=bool(console.events.trail.where),
        page="alerts",
    )


async def all_alerts(request: Request) -> Response:
    """The same for programs."""
    demand(request, Role.VIEWER, whole=True)
    found, cut = await in_thread(console_of(request).alerts.look)
    body = json_of({"days": DAYS, "cut": cut, "alerts": [one._asdict() for one in found]})
    return Response(body, media_type="application/json")


async def acknowledge(request: Request) -> Response:
    """Record that somebody looked at an alert."""
    done = await actions.acknowledge(request)
    return back_to(request, "alerts", "" if done.good else done.said)


async def acknowledge_one(request: Request) -> Response:
    """The same for programs."""
    done = await actions.acknowledge(request)
    body = json_of({"acknowledged": done.good, "said": done.said})
    return Response(body, 200 if done.good else 409, media_type="application/json")


async def ask(request: Request) -> Response:
    """The form that asks for a report."""
    identity = demand(request, Role.VIEWER, whole=True)
    console_of(request).events.tell(own_events.VIEWED, identity, page="report")
    return _form(request)


def _form(request: Request, said: str = "", status: int = 200) -> Response:
    formats = sorted(FORMATS, key=_ORDER.index)
    return rendered(
        request, "report.html", status, page="report", formats=formats, said=visible(said)[:500]
    )


async def make(request: Request) -> Response:
    """A report, as a file.

    The form has ``days``, ``format`` (one of ``FORMATS``) and ``anomalies`` (``no`` leaves them
    out).
    """
    identity = demand(request, Role.AUDITOR, whole=True)
    form = await checked_form(request)
    name, days = form.get("format", "html"), form.get("days", "30")
    if name not in FORMATS:
        raise refused(400, "error.one_of", name="format", known=", ".join(FORMATS))
    if not _DAYS.fullmatch(days):
        raise refused(400, "error.number", name="days", most=9999)
    console = console_of(request)
    words = ["--days", days, "--format", name]
    if form.get("anomalies") == "no":
        words.append("--no-anomalies")
    console.events.tell(
        own_events.EXPORTED, identity, format=f"report.{name}", query=f"days={days}"
    )
    done = await in_thread(run_report, console.source.parts, console.source.keys, words)
    if done.body is None:
        return _form(request, catalogue_of(request).text("report.no_report", why=done.said), 409)
    return Response(
        done.body,
        media_type=f"{MEDIA[name]}; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="audit-report.{name}"'},
    )
