"""What the tests of the archive share."""

from __future__ import annotations

import pytest
from support.object_store import Server, Store


@pytest.fixture(params=["versions and locks", "neither"])
def bucket(
    request: pytest.FixtureRequest, seaweed: Server, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """A bucket of each kind, which the settings name."""
    made = seaweed.bucket(lock=request.param != "neither")
    made.use(monkeypatch)
    return made
