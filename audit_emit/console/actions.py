"""The actions behind the buttons and the API: check the right and the form, act, record it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from starlette.requests import Request

from audit_emit._facade.reports import LONGEST_NOTE
from audit_emit.console import own_events
from audit_emit.console.access import Role
from audit_emit.console.jobs import archive_now, force_checkpoint
from audit_emit.console.requests import checked_form, console_of, demand, refused
from audit_emit.console.threads import in_thread
from audit_emit.errors import AuditError


class Done(NamedTuple):
    """The result of an action.

    Attributes:
        good: whether it was done.
        said: the output of the command, for people.
    """

    good: bool
    said: str = ""


async def start_verification(request: Request) -> Done:
    """Begin a verification, unless one is running.

    Raises:
        HTTPException: the user may not, or the form is from another site.
    """
    identity = demand(request, Role.AUDITOR, whole=True)
    await checked_form(request)
    return Done(await in_thread(console_of(request).verification.start, identity.name))


async def cancel_verification(request: Request) -> Done:
    """End the running verification, if there is one; raises as ``start_verification``."""
    demand(request, Role.AUDITOR, whole=True)
    await checked_form(request)
    return Done(console_of(request).verification.cancel())


async def sign(request: Request) -> Done:
    """Sign a checkpoint over the log as it is now; raises as ``start_verification``."""
    return await _commanded(request, force_checkpoint, own_events.CHECKPOINTED)


async def archive(request: Request) -> Done:
    """Archive the closed and signed segments; raises as ``start_verification``."""
    return await _commanded(request, archive_now, own_events.ARCHIVED)


async def acknowledge(request: Request) -> Done:
    """Record that a user acknowledges an alert; the form has its id (``alert``) and a ``note``.

    Raises:
        HTTPException: as for ``start_verification``; or there is no such alert, the note is too
            long, or the console keeps no log of its own.
    """
    identity = demand(request, Role.OPERATOR, whole=True)
    form = await checked_form(request)
    console = console_of(request)
    alert, note = form.get("alert", ""), form.get("note", "").strip()
    if len(note) > LONGEST_NOTE:
        raise refused(400, "error.longest", name="note", most=LONGEST_NOTE)
    if not console.events.trail.where:
        raise refused(409, "error.no_log")
    found, _ = await in_thread(console.alerts.look)
    named = next((one for one in found if alert and one.id == alert), None)
    if named is None:
        raise refused(404, "error.no_alert")
    if named.acknowledged:
        return Done(good=False, said=named.state)
    try:
        await in_thread(console.events.acknowledge, identity, named.chain, alert, note)
    except AuditError as error:
        raise refused(503, "error.not_recorded", why=error) from None
    await in_thread(console.alerts.look)
    return Done(good=True)


async def _commanded(
    request: Request, command: Callable[[str, tuple[str, ...]], tuple[bool, str]], event_type: str
) -> Done:
    identity = demand(request, Role.OPERATOR, whole=True)
    await checked_form(request)
    console = console_of(request)
    done = Done(*await in_thread(command, console.source.where, console.signing_keys))
    console.events.tell(event_type, identity, outcome="success" if done.good else "failure")
    return done
