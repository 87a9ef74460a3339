"""dramatiq: the context of a message, and its record."""

from __future__ import annotations

from typing import Any

from support.requirements import package

package("dramatiq")

import dramatiq  # noqa: E402
from dramatiq.brokers.stub import StubBroker  # noqa: E402

import audit_emit  # noqa: E402
from audit_emit.integrations.dramatiq import AuditMiddleware  # noqa: E402


def test_a_message_acts_for_whoever_has_sent_it_and_each_try_is_recorded(records: Any) -> None:
    broker = StubBroker()
    broker.add_middleware(AuditMiddleware(key="sixteen bytes and more"))

    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=1, max_backoff=1)
    def work(name: str) -> None:
        audit_emit.emit(None, "work.done", {"name": name})
        if name == "fails":
            raise KeyError("the message")

    with audit_emit.bind(user_id="u-17", correlation_id="req-1"):
        work.send("works")
        work.send("fails")
    worker = dramatiq.Worker(broker, worker_timeout=100)
    worker.start()
    broker.join(work.queue_name, timeout=30_000, fail_fast=False)
    worker.join()
    worker.stop()
    broker.close()
    ends = [one["fields"] for one in records("task.finished")]
    assert sorted((one["outcome"], one["retries"]) for one in ends) == [
        ("failure", 0),
        ("failure", 1),
        ("success", 0),
    ]
    assert {one.get("error", "KeyError") for one in ends} == {"KeyError"}
    assert {(one["user_id"], one["correlation_id"]) for one in records()} == {("u-17", "req-1")}
    assert {one["context"] for one in ends} == {"signed"}
