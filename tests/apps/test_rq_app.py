"""The example on RQ, with a real broker and jobs whose processes are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.host_server import children, running
from support.plain_log_reader import records
from support.redis_server import redis_url
from support.requirements import package
from support.waiting import until

import audit_emit
from audit_emit import bind

package("rq")

import rq_app  # noqa: E402 - it needs RQ
from rq import Retry  # noqa: E402
from rq.command import send_stop_job_command  # noqa: E402

from audit_emit.integrations.rq import connect  # noqa: E402

__all__ = ["redis_url"]

KEY = "a key of the tests, which is long"


class Worker:
    """A worker on a queue of its own."""

    def __init__(self, pid: int, queue: Any, log: Path) -> None:
        self.pid = pid
        self.queue = queue
        self.log = log

    def send(self, name: str, *args: Any, **options: Any) -> str:
        with bind(user_id="u-17", correlation_id="req-1", workspace_id="acme"):
            return str(self.queue.enqueue(f"rq_app.{name}", *args, **options).id)

    def begun(self, **options: Any) -> str:
        """A slow job, in the middle of which its process is."""
        job_id = self.send("slow_report", 60, **options)
        until(
            lambda: [one["event_type"] for one in self.records()][-1:] == ["report.begun"],
            "the job's start",
        )
        return job_id

    def records(self) -> list[dict[str, Any]]:
        return records(self.log)

    def ends(self, job_id: str, count: int = 1) -> list[dict[str, Any]]:
        """The records of a job's ends, of which there are as many as said."""

        def found() -> list[dict[str, Any]]:
            ends = [one for one in self.records() if one["event_type"] == "task.finished"]
            return [one for one in ends if one["fields"]["task_id"] == job_id]

        until(lambda: len(found()) >= count, f"the end of {job_id}")
        assert len(found()) == count
        return found()


@pytest.fixture(scope="module")
def worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    place = tmp_path_factory.mktemp("rq")
    log = place / "audit.jsonl"
    env = {
        "BROKER": f"{redis_url}/1",
        "QUEUE": place.name,
        "TASK_KEY": KEY,
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "reports",
    }
    connect(key=KEY)
    rq_app.QUEUE = place.name
    queue = rq_app.reports(env["BROKER"])
    command = ("python", "-W", "ignore", rq_app.__file__, "worker")
    with running(*command, log=place / "output.txt", env=env) as process:
        yield Worker(process.pid, queue, log)
    queue.connection.close()


def test_a_job_acts_for_whoever_has_enqueued_it(worker: Worker) -> None:
    (end,) = worker.ends(worker.send("make_report", "first"))
    (made,) = [one for one in worker.records() if one["fields"].get("name") == "first"]
    for record in (made, end):
        assert (record["user_id"], record["correlation_id"]) == ("u-17", "req-1")
    assert end["fields"]["outcome"] == "success"
    assert end["fields"]["context"] == "signed"


def test_each_try_is_recorded_and_no_message_of_an_exception(worker: Worker) -> None:
    ends = worker.ends(worker.send("fail_report", "the message", retry=Retry(max=1)), 2)
    assert [one["fields"]["outcome"] for one in ends] == ["retry", "failure"]
    assert {one["fields"]["error"] for one in ends} == {"ValueError"}
    assert "the message" not in str(ends)


def test_a_time_limit_passes_through(worker: Worker) -> None:
    job_id = worker.begun(job_timeout=3600)
    (job_process,) = children(worker.pid)
    os.kill(job_process, signal.SIGALRM)  # as the system does after that hour
    (end,) = worker.ends(job_id)
    assert (end["fields"]["outcome"], end["fields"]["error"]) == ("failure", "JobTimeoutException")


def test_a_killed_process_is_recorded_by_the_worker(worker: Worker) -> None:
    (end,) = worker.ends(worker.send("kill_process"))
    assert (end["fields"]["outcome"], end["fields"]["reason"]) == ("aborted", "worker_lost")
    assert end["user_id"] == "u-17"


def test_a_stopped_job_is_recorded_by_the_worker(worker: Worker) -> None:
    job_id = worker.begun()
    send_stop_job_command(worker.queue.connection, job_id)
    (end,) = worker.ends(job_id)
    assert (end["fields"]["outcome"], end["fields"]["reason"]) == ("cancelled", "terminated")


def test_a_context_that_somebody_else_has_signed_is_refused(worker: Worker) -> None:
    connect(key="another key, also long enough")
    try:
        job_id = worker.send("make_report", "forged")
    finally:
        connect(key=KEY)
    (end,) = worker.ends(job_id)
    assert (end["user_id"], end["actor_kind"]) == ("", "service")
    assert end["fields"]["context"] == "refused"


def test_the_chain_of_all_the_processes_is_whole(worker: Worker) -> None:
    for number in range(10):
        job_id = worker.send("make_report", str(number))
    worker.ends(job_id)
    assert not audit_emit.open_log(worker.log).verify().tampered
