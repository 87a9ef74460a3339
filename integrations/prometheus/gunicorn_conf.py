"""Settings of gunicorn for services with metrics: ``gunicorn -c gunicorn_conf.py …``."""

from __future__ import annotations

from typing import Any

from prometheus_client.multiprocess import mark_process_dead


def child_exit(_server: Any, worker: Any) -> None:
    """Of a worker that is gone the gauges go, too; what it has counted stays."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
