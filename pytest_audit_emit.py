"""The pytest plugin of audit_emit: the fixture ``audit_events``, and no test in the real log.

    def test_rotation_is_audited(client, audit_events):
        client.put("/secrets/API", json={"value": "…"})
        audit_events.assert_emitted("secret.set", key="API")

Every pytest run of whoever has the package installed loads this module. It is no part of the
package, which would be loaded with it, and imports nothing that pytest has not imported; the
fixture does.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["audit_events"]

VARIABLE = "AUDIT_EMIT_JSONL"
"""Where an emitter writes that nobody has configured. Not imported: see above."""

_made = pytest.StashKey[str]()


@pytest.fixture
def audit_events() -> Iterator[Any]:
    """Events emitted during the test, in a private log; see ``audit_emit.testing.capture``.

    One that does not fit the schema of its type, where one is configured, fails the test.
    """
    from audit_emit.testing import capture  # noqa: PLC0415 - only tests that ask for it pay

    with capture() as captured:
        yield captured
    captured.assert_fits_schemas()


def pytest_configure(config: pytest.Config) -> None:
    """Give tests that emit without the fixture a log, unless the environment names one.

    Nothing is made here: a directory comes with the first event. Child processes inherit it.
    """
    if os.environ.get(VARIABLE):
        return
    name = f"audit_emit-pytest-{secrets.token_hex(8)}"
    config.stash[_made] = os.path.join(os.path.realpath(tempfile.gettempdir()), name)
    os.environ[VARIABLE] = os.path.join(config.stash[_made], "audit.jsonl")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take away what ``pytest_configure`` has set, and what came of it."""
    directory = config.stash.get(_made, None)
    if directory is None:
        return
    del config.stash[_made]
    if os.environ.get(VARIABLE) == os.path.join(directory, "audit.jsonl"):
        del os.environ[VARIABLE]
    process = sys.modules.get("audit_emit._core.default")
    emitter = getattr(process, "_current", None)
    if emitter is not None and str(emitter.settings.jsonl).startswith(directory):
        emitter.close()
    shutil.rmtree(directory, ignore_errors=True)
