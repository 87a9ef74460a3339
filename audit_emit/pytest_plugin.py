"""The fixture ``audit_events``: what the code under test emitted.

    def test_rotation_is_audited(client, audit_events):
        client.put("/secrets/API", json={"value": "…"})
        audit_events.assert_emitted("secret.set", key="API")

Every pytest run of whoever has the package installed loads this module, so it imports nothing
that pytest has not imported; the fixture does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from audit_emit.testing import Captured

__all__ = ["audit_events"]


@pytest.fixture
def audit_events() -> Iterator[Captured]:
    """Events emitted during the test, in a private log; see ``audit_emit.testing.capture``."""
    from audit_emit.testing import capture  # noqa: PLC0415 - only tests that ask for it pay

    with capture() as captured:
        yield captured
