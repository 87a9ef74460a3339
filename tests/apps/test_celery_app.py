"""The example on Celery, with a real broker and prefork workers that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from support.host_server import running
from support.plain_log_reader import records
from support.redis_server import redis_url
from support.requirements import package
from support.waiting import PATIENCE, until

import audit_emit
from audit_emit import bind

package("celery")
package("redis")

import celery_app  # noqa: E402 - it needs Celery

from audit_emit.integrations.celery import connect  # noqa: E402

__all__ = ["redis_url"]

KEY = "a key of the tests, which is long"


class Worker:
    """A worker on a queue of its own."""

    def __init__(self, pid: int, log: Path, queue: str) -> None:
        self.pid = pid
        self.log = log
        self.queue = queue

    def send(self, task: Any, *args: Any, **options: Any) -> str:
        sent: str = task.apply_async(args, queue=self.queue, **options).id
        return sent

    def records(self) -> list[dict[str, Any]]:
        return records(self.log)

    def of(self, event_type: str) -> list[dict[str, Any]]:
        return [one for one in self.records() if one["event_type"] == event_type]

    def ends(self) -> dict[str, dict[str, Any]]:
        """The last end of each task, by its id."""
        return {one["fields"]["task_id"]: one for one in self.of("task.finished")}

    def finished(self, task_id: str) -> list[dict[str, Any]]:
        ends = self.of("task.finished")
        return [one for one in ends if one["fields"]["task_id"] == task_id]

    def end_of(self, task_id: str, count: int = 1) -> dict[str, Any]:
        """The last record of a task, of which there are as many as said."""
        until(lambda: len(self.finished(task_id)) >= count, f"the end of {task_id}")
        found = self.finished(task_id)
        assert len(found) == count
        return found[-1]

    def process_of(self, task_id: str) -> int:
        """The process that is in the middle of a slow task."""

        def begun() -> bool:
            return any(one["fields"].get("task_id") == task_id for one in self.of("report.begun"))

        until(begun, "the task's start")
        # The first answer is of the only worker there is.
        active = celery_app.app.control.inspect(timeout=PATIENCE, limit=1).active()
        tasks = [one for tasks in active.values() for one in tasks]
        return next(int(one["worker_pid"]) for one in tasks if one["id"] == task_id)


@pytest.fixture(scope="module")
def worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    place = tmp_path_factory.mktemp("celery")
    log, queue = place / "audit.jsonl", place.name
    env = {
        "BROKER": f"{redis_url}/0",
        "TASK_KEY": KEY,
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "reports",
    }
    command = ("python", "-W", "ignore", "-m", "celery", "-A", "celery_app", "worker")
    options = ("--concurrency=2", f"--queues={queue}", "--loglevel=INFO")
    output = place / "output.txt"
    celery_app.app.conf.update(broker_url=env["BROKER"], result_backend=env["BROKER"])
    connect(key=KEY)
    with running(*command, *options, log=output, env=env) as process:
        until(lambda: " ready." in output.read_text(), "the worker's start")
        yield Worker(process.pid, log, queue)
    celery_app.app.close()


@pytest.fixture(autouse=True)
def _who() -> Iterator[None]:
    with bind(user_id="u-17", correlation_id="req-1", workspace_id="acme"):
        yield


def test_a_task_acts_for_whoever_has_sent_it(worker: Worker) -> None:
    end = worker.end_of(worker.send(celery_app.make_report, "first"))
    (made,) = [one for one in worker.records() if one["fields"].get("name") == "first"]
    for record in (made, end):
        assert (record["user_id"], record["correlation_id"]) == ("u-17", "req-1")
    assert end["fields"]["outcome"] == "success"
    assert end["fields"]["context"] == "signed"


def test_each_try_is_recorded(worker: Worker) -> None:
    task_id = worker.send(celery_app.try_report, "x")
    worker.end_of(task_id, 3)
    # The next try may be over in another process before this one has its record.
    ends = sorted((one["fields"] for one in worker.finished(task_id)), key=itemgetter("retries"))
    assert [one["outcome"] for one in ends] == ["retry", "retry", "success"]
    assert [one["retries"] for one in ends] == [0, 1, 2]
    assert {one["user_id"] for one in worker.finished(task_id)} == {"u-17"}


def test_a_chain_of_tasks_has_one_actor(worker: Worker) -> None:
    last = celery_app.make_report.si("b").set(queue=worker.queue)
    first = celery_app.make_report.s("a").set(queue=worker.queue)
    assert worker.end_of((first | last).apply_async().id)["user_id"] == "u-17"


def test_an_exception_is_named_and_its_message_is_not(worker: Worker) -> None:
    end = worker.end_of(worker.send(celery_app.fail_report, "the message"))
    assert (end["fields"]["outcome"], end["fields"]["error"]) == ("failure", "ValueError")
    assert "the message" not in str(end)


def test_a_soft_time_limit_passes_through(worker: Worker) -> None:
    task_id = worker.send(celery_app.slow_report, 60, soft_time_limit=3600)
    os.kill(worker.process_of(task_id), signal.SIGUSR1)  # as Celery does after that hour
    end = worker.end_of(task_id)
    assert (end["fields"]["outcome"], end["fields"]["error"]) == (
        "failure",
        "SoftTimeLimitExceeded",
    )


def test_a_hard_time_limit_is_recorded_once_from_the_parent(worker: Worker) -> None:
    fields = worker.end_of(worker.send(celery_app.slow_report, 60, time_limit=1))["fields"]
    assert (fields["outcome"], fields["reason"]) == ("aborted", "hard_time_limit")


def test_a_lost_worker_is_recorded_once_from_the_parent(worker: Worker) -> None:
    task_id = worker.send(celery_app.kill_worker)
    end = worker.end_of(task_id)
    assert (end["fields"]["outcome"], end["fields"]["reason"]) == ("aborted", "worker_lost")
    assert end["user_id"] == "u-17"


def test_a_revoked_task_is_recorded_once(worker: Worker) -> None:
    running_id = worker.send(celery_app.slow_report, 60)
    worker.process_of(running_id)
    celery_app.app.control.revoke(running_id, terminate=True)
    fields = worker.end_of(running_id)["fields"]
    assert (fields["outcome"], fields["reason"]) == ("cancelled", "terminated")
    expired = worker.end_of(worker.send(celery_app.slow_report, 60, expires=-1))
    assert expired["fields"]["reason"] == "expired"


def test_a_context_that_somebody_else_has_signed_is_refused(worker: Worker) -> None:
    connect(key="another key, also long enough")
    try:
        end = worker.end_of(worker.send(celery_app.make_report, "forged"))
    finally:
        connect(key=KEY)
    assert (end["user_id"], end["actor_kind"]) == ("", "service")
    assert end["fields"]["context"] == "refused"


def test_nothing_is_lost_or_damaged_while_workers_are_killed(worker: Worker) -> None:
    # They are killed in the middle of a task: what Celery hands to a process that is killed while
    # it waits for work may be lost to Celery itself.
    sent = [
        worker.send(celery_app.kill_worker)
        if number % 25 == 12
        else worker.send(celery_app.make_report, str(number))
        for number in range(150)
    ]
    wanted = set(sent)
    until(lambda: wanted <= set(worker.ends()), "the end of every task")
    assert {one["user_id"] for one in map(worker.ends().get, sent) if one} == {"u-17"}
    assert not audit_emit.open_log(worker.log).verify().tampered
