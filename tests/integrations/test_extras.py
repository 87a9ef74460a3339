"""What an integration says where its framework is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.waiting import PATIENCE

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
try:
    __import__(f"audit_emit.integrations.{sys.argv[2]}")
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "integration"),
    [
        ("flask", "flask"),
        ("fastapi", "fastapi"),
        ("starlette", "fastapi"),
        ("django", "django"),
        ("celery", "celery"),
        ("sqlalchemy", "sqlalchemy"),
        ("grpc", "grpc"),
        ("mcp", "mcp"),
        ("langchain_core", "langchain"),
        ("dramatiq", "dramatiq"),
        ("rq", "rq"),
        ("prometheus_client", "prometheus"),
        ("opentelemetry", "opentelemetry"),
    ],
)
def test_the_extra_is_named(module: str, integration: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, integration],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert f"pip install 'audit-emit[{integration}]'" in done.stdout


def test_the_middleware_needs_no_framework() -> None:
    code = WITHOUT + "print('there')"
    done = subprocess.run(
        [sys.executable, "-c", code, "starlette", "asgi"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "there\n"
