"""What was refused, or failed: by the outcome that a record states, else by the type of its event.

Pure.
"""

from __future__ import annotations

import re

from audit_emit._export.event_types import kind_of
from audit_emit._export.record import outcome as outcome_failed
from audit_emit._format.record import RESERVED

_FAILING = re.compile(r".*[._](?:denied|failed|rejected|refused)")


def is_refused(event_type: str, outcome: str) -> bool:
    """Whether records of a type, with an outcome, tell of something that was refused or failed.

    What the log says of itself is none of these.
    """
    if event_type.startswith(RESERVED):
        return False
    failing = kind_of(event_type).failed or _FAILING.fullmatch(event_type) is not None
    return outcome_failed({"outcome": outcome}, failed=failing)
