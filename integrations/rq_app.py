"""Reports on RQ: who has asked for one is who acts in the job.

pip install 'audit-emit[rq]'
BROKER=redis://localhost TASK_KEY=... python rq_app.py worker
BROKER=redis://localhost TASK_KEY=... python rq_app.py
"""

from __future__ import annotations

import os
import signal
import sys
import time

from redis import Redis
from rq import Queue

from audit_emit import bind, emit
from audit_emit.integrations.rq import AuditJob, AuditWorker, connect

connect(key=os.environ.get("TASK_KEY"))
QUEUE = os.environ.get("QUEUE", "reports")


def reports(address: str) -> Queue:
    """The queue of this service."""
    return Queue(QUEUE, connection=Redis.from_url(address), job_class=AuditJob)


def make_report(name: str) -> str:
    """Emits with the context of whoever has enqueued the job."""
    emit(None, "report.made", {"name": name})
    return name


def fail_report(name: str) -> None:
    """Fails."""
    raise ValueError(name)


def slow_report(seconds: float) -> None:
    """Takes its time."""
    emit(None, "report.begun", {})
    time.sleep(seconds)


def kill_process() -> None:
    """Takes its process with it, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    queue = reports(os.environ.get("BROKER", "redis://localhost"))
    if sys.argv[1:] == ["worker"]:
        AuditWorker([queue], connection=queue.connection, job_class=AuditJob).work()
    else:
        with bind(user_id="u-17", correlation_id="of-the-request"):
            queue.enqueue("rq_app.make_report", "monthly")
