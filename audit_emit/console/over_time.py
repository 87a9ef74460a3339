"""How many records there were when, as a picture and as a page.

The picture is SVG that the server draws: without JavaScript it is an image that leads to the page,
where each bar is a link and a row of a table. With it, ``static/over_time.js`` puts the same bars
into the page of the events.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audit_emit.console import own_events
from audit_emit.console.access import Role
from audit_emit.console.filters import Filters
from audit_emit.console.histogram import HEIGHT, WIDTH, Histogram, histogram_of
from audit_emit.console.rendering import TEMPLATES, rendered, root_of
from audit_emit.console.requests import catalogue_of, console_of, demand
from audit_emit.console.threads import in_thread

COUNTED = 5000
"""How many records are counted, the newest ones; the picture names that number."""

_SIZE = {"width": WIDTH, "height": HEIGHT}


def routes() -> list[Route]:
    """The routes of this module."""
    return [
        Route("/over-time", page, name="over_time"),
        Route("/events/histogram.svg", picture),
    ]


async def _histogram(request: Request) -> tuple[Histogram, Filters]:
    identity = demand(request, Role.VIEWER)
    filters = Filters.of(request.query_params)
    times, cut = await in_thread(console_of(request).records.times, filters, identity, COUNTED)
    return histogram_of(times, filters, cut=cut), filters


async def picture(request: Request) -> Response:
    """The picture; with ``links=1`` each bar leads to its records, for a page to take it in."""
    found, _ = await _histogram(request)
    links = bool(request.query_params.get("links"))
    template = TEMPLATES.get_template("_histogram.svg")
    drawn = template.render(
        histogram=found, root=root_of(request), links=links, t=catalogue_of(request).markup, **_SIZE
    )
    return Response(drawn, media_type="image/svg+xml")


async def page(request: Request) -> Response:
    """The picture with its figures."""
    found, filters = await _histogram(request)
    console = console_of(request)
    identity = demand(request, Role.VIEWER)
    console.events.tell(own_events.VIEWED, identity, page="over_time", query=filters.query())
    return rendered(
        request,
        "over_time.html",
        histogram=found,
        query=filters.query(),
        **_SIZE,
        page="over_time",
    )
