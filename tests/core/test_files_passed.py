"""How many files of the package an event passes: what somebody reads who follows it by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import audit_emit
from audit_emit import Emitter
from audit_emit._runtime import compiled

PACKAGE = Path(audit_emit.__file__).parent

HARMLESS = {"key": "STRIPE_LIVE_KEY", "n": 1, "scope": "global"}
NAMED = {"key": "STRIPE_LIVE_KEY", "password": "hunter2-hunter2"}
TOKEN = "sk_live_" + "a1B2c3D4e5F6g7H8i9J0k1L2"
TOLD_BY_ITS_FORM = {"key": "STRIPE_LIVE_KEY", "note": f"rotated {TOKEN} by hand"}
BEHIND_A_NAME = {"key": "STRIPE_LIVE_KEY", "note": f"the token is {TOKEN}"}
ASSIGNED = {"key": "STRIPE_LIVE_KEY", "note": "he set password=hunter2 in a sentence"}
IN_A_URL = {"key": "K", "note": f"https://api.example.com/v1/items?access_token={TOKEN}&x=1"}


def passed(emitter: Emitter, fields: dict[str, Any]) -> set[str]:
    """The files whose functions run in this thread when an event like those before is emitted."""
    found: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            found.add(str(Path(frame.f_code.co_filename).relative_to(PACKAGE)))

    emitter.flush()
    for _ in range(3):
        emitter.emit(None, "item.set", fields)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        receipt = emitter.emit(None, "item.set", fields)
    finally:
        sys.setprofile(before)
    assert receipt is not None
    return found


@pytest.mark.parametrize(
    ("fields", "most", "without_the_leaf"),
    [
        (HARMLESS, 6, 16),
        (NAMED, 12, 20),
        (TOLD_BY_ITS_FORM, 12, 23),
        (BEHIND_A_NAME, 20, 30),
        (ASSIGNED, 27, 37),
        (IN_A_URL, 30, 40),
    ],
    ids=[
        "harmless",
        "a secret by its name",
        "a token in a sentence",
        "a token behind a name",
        "a name with its value in a sentence",
        "a token in a URL",
    ],
)
def test_an_event_passes_few_files(
    emitter: Emitter, fields: dict[str, Any], most: int, without_the_leaf: int
) -> None:
    """6 and 12 are the goal; the other numbers are bounds a little above what is true."""
    # Every 100 ms an event looks at more, and while the thread that syncs has not had its turn each
    # one wakes it: on a busy machine that may be so for every event that is followed.
    found = min((passed(emitter, fields) for _ in range(10)), key=len)
    assert len(found) <= (without_the_leaf if compiled.append is None else most), sorted(found)
