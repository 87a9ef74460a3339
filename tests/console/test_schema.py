"""The interface for programs answers as it is described, whatever it is asked (schemathesis)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.console_client import hostile_log
from support.served_console import Served
from support.tiers import starts_a_server

from audit_emit.console import application

SLOW = re.compile("/api/audit/(archive|archives|checkpoint|verify)(/run|/cancel)?")
"""What begins a process of its own."""

OPERATIONS = [
    (path, method)
    for path, methods in json.loads((application.STATIC.parent / "openapi.json").read_bytes())[
        "paths"
    ].items()
    for method in methods
]


def bounded(examples: int) -> Any:
    """Few examples, and the same in every run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
@starts_a_server
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(hostile_log(tmp_path_factory.mktemp("console") / "log"))
    yield found
    found.stop()


@pytest.fixture(scope="module")
def described(served: Served) -> Any:
    import schemathesis  # takes a second, which every run of any test would wait for

    return schemathesis.openapi.from_url(f"{served.address}/api/openapi.json")


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda one: one)
def test_whatever_is_asked_the_answer_is_one_of_those_described(
    described: Any, path: str, method: str
) -> None:
    """As a test of hypothesis; the plugin of schemathesis for pytest is not needed for it."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.unsupported_method,
    ]

    def asked(case: Any) -> None:
        case.call_and_validate(checks=wanted, timeout=120)

    cases = described[path][method.upper()].as_strategy()
    bounded(2 if SLOW.fullmatch(path) else 25)(given(case=cases)(asked))()
