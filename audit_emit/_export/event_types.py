"""What kind of thing each event type is, in the terms of OCSF and of ECS. Data.

A type that is not here takes ``OTHER``: nothing is left out because nobody described it. ECS names
its categories after the field set ``event``; OCSF its classes by number (``formats/ocsf.py`` says
what each class needs, and where from).
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of event.

    Attributes:
        ocsf: the number of the class in OCSF 1.8.0.
        activity: of that class; 99 stands for one that it does not have, and then ``name`` is ours.
        name: of the activity; empty stands for the event type.
        category, type: ``event.category`` and ``event.type`` in ECS 9.4.0, by Elastic's list of
            values that go together.
        failed: the event says that something failed, whatever its fields say of the outcome.
        severe: OCSF severity High instead of Low for a failure.
        kind: ``event.kind`` in ECS.
    """

    ocsf: int
    activity: int
    name: str
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ("info",)
    failed: bool = False
    severe: bool = False
    kind: str = "event"


OTHER = Kind(6003, 99, "", ("api",))
"""OCSF's API Activity, of which nothing but the operation is known."""

_OF_LOG = 1008
OF_LOG = Kind(_OF_LOG, 99, "")
"""Records that the log writes of itself, and that have no row of their own."""

_API = ("api",)
_AUTHENTICATION = ("authentication",)
_IAM = ("iam",)

KINDS = {
    "secret.set": Kind(3004, 1, "Create", _API, ("creation",)),
    "secret.rotate": Kind(3004, 3, "Update", _API, ("change",)),
    "secret.rotated": Kind(3004, 3, "Update", _API, ("change",)),
    "secret.read": Kind(3004, 2, "Read", _API, ("access",)),
    "secret.delete": Kind(3004, 4, "Delete", _API, ("deletion",)),
    "secret.deleted": Kind(3004, 4, "Delete", _API, ("deletion",)),
    "secret.denied": Kind(3004, 99, "Denied", _API, ("access", "denied"), failed=True),
    "secret.rejected": Kind(3004, 99, "Denied", _API, ("access", "denied"), failed=True),
    "auth.login": Kind(3002, 1, "Logon", _AUTHENTICATION, ("start",)),
    "auth.login_failed": Kind(3002, 1, "Logon", _AUTHENTICATION, ("start",), failed=True),
    "auth.logout": Kind(3002, 2, "Logoff", _AUTHENTICATION, ("end",)),
    "role.granted": Kind(3005, 1, "Assign Privileges", _IAM, ("admin", "change")),
    "role.revoked": Kind(3005, 2, "Revoke Privileges", _IAM, ("admin", "change")),
    "user.created": Kind(3001, 1, "Create", _IAM, ("user", "creation")),
    "user.deleted": Kind(3001, 6, "Delete", _IAM, ("user", "deletion")),
    "http.request": Kind(4002, 99, "", ("web",), ("access",)),
    "audit.started": Kind(_OF_LOG, 6, "Start", ("process",), ("start",)),
    "audit.rotated": Kind(_OF_LOG, 5, "Rotate"),
    "audit.archived": Kind(_OF_LOG, 4, "Archive"),
    "audit.gap": Kind(
        _OF_LOG, 99, "Gap", (), ("error",), failed=True, severe=True, kind="pipeline_error"
    ),
    "audit.checkpoint": Kind(_OF_LOG, 99, "Checkpoint"),
    "audit.checkpoint_refused": Kind(
        _OF_LOG, 99, "Checkpoint Refused", (), ("error",), failed=True, severe=True
    ),
    "audit.anomaly": Kind(_OF_LOG, 99, "Anomaly", kind="alert"),
    "audit.recovered": Kind(_OF_LOG, 99, "Recover"),
    "audit.key_rotated": Kind(_OF_LOG, 99, "Key Rotation"),
    "audit.erased": Kind(_OF_LOG, 99, "Erase"),
}
"""The event types that are known, each with its kind."""


def kind_of(event_type: str) -> Kind:
    """The kind of an event type."""
    found = KINDS.get(event_type)
    if found is not None:
        return found
    return OF_LOG if event_type.startswith("audit.") else OTHER
