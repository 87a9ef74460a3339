"""A page out of its template, with what every page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit_emit import __version__
from audit_emit._facade.text import visible
from audit_emit.console.access import Role
from audit_emit.console.requests import catalogue_of, console_of, identity_of
from audit_emit.console.spelled import spelled

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["visible"] = spelled
TEMPLATES.filters["moment"] = lambda ts: (
    str(ts)[:23].removesuffix("Z").removesuffix(".000").replace("T", " ")
)
TEMPLATES.filters["grouped"] = lambda number: f"{number:,}"


def rendered(
    request: Request, name: str, status: int = 200, *, page: str = "", **values: Any
) -> Response:
    """The page of a template.

    Args:
        name: of the template.
        page: what it is, as the catalogue names it; else ``title`` is one of the values.
        values: that it shows besides what all of them do.
    """
    identity, source = identity_of(request), console_of(request).records
    texts = catalogue_of(request)
    if page:
        values["title"] = texts.text(f"page.{page}")
    text = TEMPLATES.get_template(name).render(
        t=texts.markup,
        language=texts.language,
        root=root_of(request),
        here=request.url.path,
        identity=identity,
        may_audit=source.is_log and identity.may(Role.AUDITOR, whole=True),
        may_export=source.is_log and identity.may(Role.AUDITOR),
        may_operate=identity.may(Role.OPERATOR, whole=True),
        token=request.state.token,
        session=request.state.session,
        log=source.shown,
        is_log=source.is_log,
        version=__version__,
        **values,
    )
    more = {"vary": "Accept-Language"}
    return Response(text, status, media_type="text/html; charset=utf-8", headers=more)


def said_to(request: Request) -> str:
    """The result of the button that led to this page; empty for none."""
    number = request.query_params.get("said", "")
    return visible(console_of(request).notes.of(number, identity_of(request).name))


def path_of(request: Request) -> str:
    """The path below the prefix of this console."""
    path = request.url.path
    return path.removeprefix(root_of(request))


def root_of(request: Request) -> str:
    """The prefix of this console, without a slash at its end."""
    found: str = request.scope.get("root_path", "").rstrip("/")
    return found


def back_to(request: Request, page: str, said: str = "") -> Response:
    """To a page, from what one of its buttons has done.

    Args:
        said: about that, for the page to show.
    """
    number = console_of(request).notes.keep(said, identity_of(request).name) if said else ""
    more = f"?said={number}" if number else ""
    return RedirectResponse(f"{root_of(request)}/{page}{more}", 303)
