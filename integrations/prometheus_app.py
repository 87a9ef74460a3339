"""A counter of visits on WSGI, whose emitter Prometheus watches, with several workers.

pip install 'audit-emit[prometheus]' gunicorn
export PROMETHEUS_MULTIPROC_DIR=/run/visits
gunicorn --workers 3 -c prometheus/gunicorn_conf.py prometheus_app:app
curl http://127.0.0.1:8000/metrics
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from audit_emit import emit
from audit_emit.integrations.prometheus import start_multiprocess

start_multiprocess()  # in each worker, or once before the forks of --preload


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer; ``/metrics`` with the sums over all workers."""
    body = b"hello\n"
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        body = generate_latest(registry)
    else:
        emit(None, "visit.counted", {"path": environ["PATH_INFO"]})
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [body]
