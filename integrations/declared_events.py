"""Invitations whose events are declared: a typo is found by a type checker, a test, or a command.

    python integrations/declared_events.py                  # what the records look like
    mypy integrations/declared_events.py                    # a wrong name or type at a call
    audit-emit schema check --source integrations           # the same for plain calls
    audit-emit schema docs --module declared_events         # a page of the events, for people
    audit-emit schema export --module declared_events --to schemas/

``tests/apps/test_declared_events.py`` shows how its tests look.
"""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Literal

import msgspec

from audit_emit import Event, Field, bind, configure, emit, flush
from audit_emit.testing import capture

Role = Literal["member", "admin"]


class _About(Event):
    """What all events of this service have; it has no type, and is never emitted."""

    invitation: Annotated[str, msgspec.Meta(description="The id of the invitation.")]


class Invited(_About, type="user.invited"):
    """Somebody was asked to join the workspace."""

    email: Annotated[str, Field(personal=True, subject=True, retention_days=90)]
    role: Role = "member"
    days: Annotated[int, msgspec.Meta(ge=1, le=30, description="How long it can be accepted.")] = 7


class Accepted(_About, type="user.joined"):
    """An invitation was accepted."""

    role: Role


class Withdrawn(_About, type="user.invitation_withdrawn"):
    """An invitation was taken back before anybody had accepted it."""

    reason: str | msgspec.UnsetType = msgspec.UNSET


EVENTS = [Invited, Accepted, Withdrawn]


class Invitations:
    """The invitations of one workspace, by their ids."""

    def __init__(self) -> None:
        self._open: dict[str, Role] = {}

    def invite(self, email: str, role: Role = "member") -> str:
        """Ask somebody to join; the id of the invitation."""
        made = f"inv_{secrets.token_hex(4)}"
        self._open[made] = role
        Invited(invitation=made, email=email, role=role).emit()
        return made

    def accept(self, invitation: str) -> None:
        """Let somebody join, or record that this was tried.

        Raises:
            KeyError: there is no such invitation.
        """
        if invitation not in self._open:
            # The plain call stays beside the classes; what is not declared is not compared.
            emit(None, "user.join_refused", {"invitation": invitation})
            raise KeyError(invitation)
        Accepted(invitation=invitation, role=self._open.pop(invitation)).emit()

    def withdraw(self, invitation: str, reason: str = "") -> None:
        """Take an invitation back."""
        del self._open[invitation]
        Withdrawn(invitation=invitation, reason=reason or msgspec.UNSET).emit()


def main() -> None:
    """Emit one event of each kind, and one that does not fit, and print what was recorded."""
    configure(service="invitations", schemas=EVENTS)
    invitations = Invitations()
    with capture() as events, bind(user_id="u-17", workspace_id="acme"):
        invitations.accept(invitations.invite("kim@example.com", "admin"))
        invitations.withdraw(invitations.invite("lee@example.com"), reason="a wrong address")
        emit(None, "user.invited", {"invitation": "inv_1", "mail": "max@example.com"})
        flush()
    for record in events:
        print(record["event_type"], json.dumps(record["fields"]))  # noqa: T201 - a demonstration


if __name__ == "__main__":
    main()
