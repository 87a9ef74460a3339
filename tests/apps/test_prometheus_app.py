"""The example with Prometheus, on gunicorn with workers of which one is killed."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

from support.host_server import EXAMPLES, running
from support.ports import free_port
from support.requirements import package
from support.waiting import PATIENCE, until

package("prometheus-client")
package("gunicorn")


def test_the_sums_of_all_workers_are_right_after_one_was_killed(tmp_path: Path) -> None:
    shared, port = tmp_path / "shared", free_port()
    shared.mkdir()
    env = {
        "PROMETHEUS_MULTIPROC_DIR": str(shared),
        "AUDIT_EMIT_JSONL": str(tmp_path / "audit.jsonl"),
        "AUDIT_EMIT_SERVICE": "visits",
        "AUDIT_EMIT_STDOUT": "0",
        "PYTHONPATH": os.pathsep.join((EXAMPLES, os.environ.get("PYTHONPATH", ""))),
    }

    def get(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def values() -> dict[str, float]:
        try:
            lines = [line for line in get("/metrics").splitlines() if not line.startswith("#")]
        except urllib.error.HTTPError:  # a file that a new worker is just making was read
            return {}
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def events() -> float:
        return values().get("audit_emit_events_total", 0)

    settings = ("-c", f"{EXAMPLES}/prometheus/gunicorn_conf.py", "--workers", "3")
    where = ("--bind", f"127.0.0.1:{port}", "prometheus_app:app")
    command = ("python", "-W", "ignore", "-m", "gunicorn", *settings, *where)
    with running(*command, port=port, log=tmp_path / "output.txt", env=env) as server:
        for number in range(30):
            assert get(f"/{number}") == "hello\n"
        until(lambda: events() == 30, "the sum")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        until(lambda: not (shared / f"gauge_livesum_{children[0]}.db").exists(), "its end")
        until(lambda: events() == 30, "the same sum")
        assert get("/after") == "hello\n"
        until(lambda: events() == 31, "the next one")
        found = until(values)

        def measured() -> bool:
            # A worker is measured once its thread has found it, which may be after these events.
            get("/more")
            return values().get("audit_emit_emit_duration_seconds_count", 0) >= 1

        until(measured, "a duration")
    assert found['audit_emit_backlog_events{sink="jsonl"}'] == 0
    assert found['audit_emit_chain_sequence{sink="jsonl"}'] >= 31
