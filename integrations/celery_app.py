"""Reports on Celery: who has asked for one is who acts in the task.

pip install 'audit-emit[celery]' 'celery[redis]'
BROKER=redis://localhost TASK_KEY=... celery -A celery_app worker
BROKER=redis://localhost TASK_KEY=... python celery_app.py
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from celery import Celery

from audit_emit import bind, emit
from audit_emit.integrations.celery import connect

app = Celery("reports", broker=os.environ.get("BROKER"), backend=os.environ.get("BROKER"))
app.conf.broker_connection_retry_on_startup = True
app.conf.task_send_sent_event = False
connect(key=os.environ.get("TASK_KEY"))


class TooEarly(Exception):  # noqa: N818 - it is no error
    """The numbers are not there yet."""


@app.task(acks_late=True, reject_on_worker_lost=True)
def make_report(name: str) -> str:
    """Emits with the context of whoever has sent the task; runs again if its process is lost."""
    emit(None, "report.made", {"name": name})
    return name


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def try_report(self: Any, name: str) -> str:
    """Succeeds at the third try."""
    if self.request.retries < 2:
        raise self.retry(exc=TooEarly(name))
    return name


@app.task
def fail_report(name: str) -> None:
    """Fails."""
    raise ValueError(name)


@app.task(bind=True)
def slow_report(self: Any, seconds: float) -> None:
    """Takes its time."""
    emit(None, "report.begun", {"task_id": self.request.id})
    time.sleep(seconds)


@app.task
def kill_worker() -> None:
    """Takes its process with it, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with bind(user_id="u-17", correlation_id="of-the-request"):
        make_report.delay("monthly")
