"""The example on dramatiq, with a real broker, its own worker program, and a forged message."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.host_server import EXAMPLES, running
from support.plain_log_reader import records
from support.redis_server import redis_url
from support.requirements import package
from support.waiting import PATIENCE, until

import audit_emit

package("dramatiq")
package("redis")

__all__ = ["redis_url"]

SEND = """
import dramatiq_app
from audit_emit import bind
with bind(user_id="u-17", correlation_id="req-1"):
    dramatiq_app.make_report.send(NAME)
"""


def test_messages_act_for_their_sender_and_every_end_is_recorded(
    redis_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    env = {
        "BROKER": f"{redis_url}/2",
        "QUEUE": tmp_path.name,
        "TASK_KEY": "a key of the tests, which is long",
        "AUDIT_EMIT_JSONL": str(log),
        "AUDIT_EMIT_SERVICE": "reports",
        "AUDIT_EMIT_STDOUT": "0",
        "PYTHONPATH": os.pathsep.join((EXAMPLES, os.environ.get("PYTHONPATH", ""))),
    }

    def send(name: str, **other: str) -> None:
        command = [sys.executable, "-W", "ignore", "-c", SEND.replace("NAME", repr(name))]
        subprocess.run(command, env={**os.environ, **env, **other}, check=True, timeout=PATIENCE)

    def ends() -> list[dict[str, Any]]:
        found = records(log) if log.exists() else []
        return [one for one in found if one["event_type"] == "task.finished"]

    worker = ("python", "-W", "ignore", "-m", "dramatiq", "dramatiq_app")
    with running(*worker, "--processes", "2", "--threads", "1", log=tmp_path / "o.txt", env=env):
        send("monthly")
        send("")
        send("forged", TASK_KEY="another key, also long enough")
        until(lambda: len(ends()) >= 4, "the ends")
    outcomes = sorted((one["fields"]["outcome"], one["fields"]["retries"]) for one in ends())
    assert outcomes == [("failure", 0), ("failure", 1), ("success", 0), ("success", 0)]
    made = {one["fields"]["name"]: one for one in records(log) if "name" in one["fields"]}
    assert (made["monthly"]["user_id"], made["monthly"]["correlation_id"]) == ("u-17", "req-1")
    assert (made["forged"]["user_id"], made["forged"]["actor_kind"]) == ("", "service")
    trusts = sorted(one["fields"]["context"] for one in ends())
    assert trusts == ["refused", "signed", "signed", "signed"]
    assert not audit_emit.open_log(log).verify().tampered
