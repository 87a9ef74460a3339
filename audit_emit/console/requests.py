"""What a page needs from a request: the user, whether the user may do this, and the form."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from audit_emit.console.access import Identity, Role
from audit_emit.console.messages import Catalogue, chosen, text
from audit_emit.console.shared import Console

_LARGEST_FORM = 10_000


class Said(str):
    """A text of the catalogue in English, which can be looked up in another language later.

    Attributes:
        name: in the catalogue; ``values``: the values in the text.
    """

    __slots__ = ("name", "values")
    name: str
    values: dict[str, object]


def refused(status: int, name: str, /, **values: object) -> HTTPException:
    """The error that a page raises; it is shown in the language of the user.

    Args:
        status: of HTTP.
        name: of the text in the catalogue; ``values``: the values in it.
    """
    said = Said(text(name, **values))
    said.name, said.values = name, values
    return HTTPException(status, said)


def catalogue_of(request: Request) -> Catalogue:
    """The texts in the language that the request prefers."""
    return chosen(request.headers.get("accept-language", ""))


def console_of(request: Request) -> Console:
    """What all pages share."""
    found: Console = request.app.state.console
    return found


def identity_of(request: Request) -> Identity:
    """Who sent it."""
    found: Identity = request.state.identity
    return found


def demand(request: Request, role: Role, *, whole: bool = False) -> Identity:
    """The user, if he has the rights.

    Args:
        role: the role that is needed.
        whole: the request is about the whole log.

    Raises:
        HTTPException: 403, the user may not; this is recorded in the console's own events.
    """
    identity = identity_of(request)
    if not identity.may(role, whole=whole):
        console_of(request).events.refused(identity.name, request.url.path)
        wanted = "error.role_whole" if whole else "error.role"
        raise refused(403, wanted, role=role.name.lower())
    return identity


async def checked_form(request: Request) -> dict[str, str]:
    """The form of a request that changes something.

    A browser sends the token that the page had; a program, which no other site can make send
    anything, sends no ``Origin`` and needs none.

    Raises:
        HTTPException: 403, the token is another one; 413, it is too long.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_FORM:
            raise refused(413, "error.form_too_long")
    values: dict[str, list[str]] = {}
    if "application/x-www-form-urlencoded" in request.headers.get("content-type", ""):
        values = parse_qs(body.decode("utf-8", "replace"))
    form = {name: found[-1] for name, found in values.items()}
    token = request.headers.get("x-csrf-token") or form.get("token", "")
    from_browser = "origin" in request.headers or "sec-fetch-site" in request.headers
    if from_browser and not hmac.compare_digest(token.encode(), request.state.token.encode()):
        raise refused(403, "error.page_too_old")
    return form


def json_of(value: Any) -> bytes:
    """JSON for a program."""
    import json  # noqa: PLC0415 - what answers programs only

    return json.dumps(value).encode() + b"\n"
