"""Reports on dramatiq: who has sent a message acts in it.

pip install 'audit-emit[dramatiq]' 'dramatiq[redis]'
BROKER=redis://localhost TASK_KEY=... dramatiq dramatiq_app
BROKER=redis://localhost TASK_KEY=... python dramatiq_app.py
"""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from audit_emit import bind, emit
from audit_emit.integrations.dramatiq import AuditMiddleware

QUEUE = os.environ.get("QUEUE", "reports")

broker = RedisBroker(url=os.environ.get("BROKER", "redis://localhost"))  # type: ignore[no-untyped-call]
broker.add_middleware(AuditMiddleware(key=os.environ.get("TASK_KEY")))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=QUEUE, max_retries=1, min_backoff=1, max_backoff=1)
def make_report(name: str) -> None:
    """Emits with the context of whoever has sent the message."""
    if not name:
        raise ValueError("a report has a name")
    emit(None, "report.made", {"name": name})


if __name__ == "__main__":
    with bind(user_id="u-17", correlation_id="of-the-request"):
        make_report.send("monthly")
