"""RQ: the context travels with a job, and the end of each job is recorded.

    connect(key=os.environ["TASK_KEY"])
    Queue(connection=redis, job_class=AuditJob).enqueue(make_report, "sales")

The worker takes both classes (``rq worker --job-class audit_emit.integrations.rq.AuditJob
--worker-class audit_emit.integrations.rq.AuditWorker``). ``task.finished`` is that of Celery: it is
written by the process that RQ forks for a job, and by the worker when that process was killed.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

try:
    from rq import Worker
    from rq.job import Job
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError(
        "audit_emit.integrations.rq needs rq: pip install 'audit-emit[rq]'", name=_missing.name
    ) from _missing

import audit_emit
from audit_emit._facade.adapters import let_through
from audit_emit.integrations._common import Emits, report_failure
from audit_emit.integrations._tasks import (
    HEADER,
    Carrier,
    RunningTask,
    context_of,
    emit_finished,
)

__all__ = ["AuditJob", "AuditWorker", "connect"]

_FLUSH = 5.0
"""Seconds to wait for unwritten events: RQ ends the process of a job without any clean-up."""


class _Settings:
    """Those of ``connect``; RQ makes jobs itself, from the name of their class."""

    carrier: ClassVar[Carrier] = Carrier(None)
    emitter: ClassVar[Emits | None] = None


def connect(*, key: str | bytes | None = None, emitter: Emits | None = None) -> None:
    """Choose how ``AuditJob`` and ``AuditWorker`` work in this process.

    Args:
        key: signs the context; at least 16 bytes, the same everywhere (docs/hosts.md).
        emitter: writes the records; the process-wide one when ``None``.

    Raises:
        ConfigError: the key cannot be used.
    """
    _Settings.carrier = Carrier(key)
    _Settings.emitter = emitter


class AuditJob(Job):
    """A job that carries the context of whoever has enqueued it, and records its end."""

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> AuditJob:
        """Make the job, with the context that is bound now in its ``meta``."""
        job: AuditJob = super().create(*args, **kwargs)  # type: ignore[assignment] # RQ says Job, and makes this class
        packed = _Settings.carrier.pack(str(job.id))
        if packed is not None:
            job.meta[HEADER] = packed
        return job

    def perform(self) -> Any:
        """Run the job with its sender's context."""
        ids, trust = _Settings.carrier.unpack(str(self.id), self.meta.get(HEADER))
        run = RunningTask(ids, trust, str(self.id))
        try:
            result = super().perform()
        except BaseException as error:
            run.error = type(error)
            self._end(run, "retry" if self.retries_left else "failure")
            raise
        self._end(run, "success")
        return result

    def _end(self, run: RunningTask, outcome: str) -> None:
        try:
            run.finish(_Settings.emitter, {**_facts(self), "outcome": outcome})
            if _Settings.emitter is None:
                audit_emit.flush(_FLUSH)
        except Exception as error:  # noqa: BLE001 - another emitter than ours may raise; the job goes on
            let_through(error)
            report_failure("jobs of RQ", error)
        finally:
            run.leave()


class AuditWorker(Worker):
    """A worker that records a job whose process was killed."""

    def handle_job_failure(self, job: Job, *args: Any, **kwargs: Any) -> Any:
        """Record what the process of the job cannot, and go on as RQ does."""
        if os.getpid() == self.pid:
            stopped = self._stopped_job_id == job.id
            try:
                _end_from_parent(job, "terminated" if stopped else "worker_lost")
            except Exception as error:  # noqa: BLE001 - another emitter than ours may raise; the worker goes on
                let_through(error)
                report_failure("jobs of RQ", error)
        return super().handle_job_failure(job, *args, **kwargs)


def _end_from_parent(job: Job, reason: str) -> None:
    fields = _facts(job)
    fields["outcome"] = "cancelled" if reason == "terminated" else "aborted"
    fields["reason"] = reason
    ids, trust = _Settings.carrier.unpack(str(job.id), job.meta.get(HEADER))
    emit_finished(_Settings.emitter, context_of(ids, str(job.id)), trust, fields)


def _facts(job: Job) -> dict[str, Any]:
    return {
        "task": str(job.func_name),
        "task_id": str(job.id),
        "queue": str(job.origin),
        "retries": job.number_of_retries,
    }
