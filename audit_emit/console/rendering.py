"""A page out of its template, with what every page shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from audit_emit import __version__
from audit_emit._facade.text import visible
from audit_emit.console.access import Role
from audit_emit.console.requests import console_of, identity_of

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["visible"] = lambda value: visible(str(value))
TEMPLATES.filters["grouped"] = lambda number: f"{number:,}"


def rendered(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    """The page of a template.

    Args:
        name: of the template.
        values: that it shows besides what all of them do.
    """
    identity, source = identity_of(request), console_of(request).records
    text = TEMPLATES.get_template(name).render(
        root=request.scope.get("root_path", "").rstrip("/"),
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
    return Response(text, status, media_type="text/html; charset=utf-8")


def path_of(request: Request) -> str:
    """The path below the prefix of this console."""
    path = request.url.path
    return path.removeprefix(request.scope.get("root_path", "").rstrip("/"))


def back_to(request: Request, page: str, said: str = "") -> Response:
    """To a page, from what one of its buttons has done.

    Args:
        said: about that, for the page to show.
    """
    root = request.scope.get("root_path", "").rstrip("/")
    more = f"?{urlencode({'said': said})}" if said else ""
    return RedirectResponse(f"{root}/{page}{more}", 303)
