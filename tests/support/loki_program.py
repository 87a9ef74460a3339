"""The real Loki, for the tests that are marked ``loki``: one for all workers of a test run.

``AUDIT_EMIT_TEST_LOKI_URL`` names one that runs already; else the program ``loki`` on the path is
started with ``vector/loki.yaml`` on free ports and a temporary directory (``loki_supervisor.py``).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from support import requirements
from support.tiers import starts_a_server
from support.waiting import PATIENCE, until

from audit_emit._format.record import ns_of

CONFIG = Path(__file__).parents[2] / "vector" / "loki.yaml"
GIVEN = os.environ.get("AUDIT_EMIT_TEST_LOKI_URL", "").rstrip("/")
"""Read once: within a test there is no variable of ours."""

NONE_THERE = "no Loki: set AUDIT_EMIT_TEST_LOKI_URL, or put a program `loki` on the path"
NO_TENANTS = (
    f"the Loki at {GIVEN} puts what tests push into one heap: start it with -auth.enabled=true"
)


class RealLoki:
    """A tenant of its own in a real Loki.

    Attributes:
        url: without a path and without a slash at its end.
        tenant: for ``X-Scope-OrgID``; nobody else has it.
        rules_directory: of all tenants; ``None`` when the Loki was not started by us.
    """

    def __init__(self, url: str, tenant: str, rules_directory: Path | None) -> None:
        self.url = url
        self.tenant = tenant
        self.rules_directory = rules_directory
        self._client = httpx.Client(
            base_url=url, headers={"X-Scope-OrgID": tenant}, timeout=PATIENCE
        )

    def close(self) -> None:
        self._client.close()

    def push(
        self,
        lines: Iterable[bytes | str],
        at: str = "",
        metadata: Iterable[str] = (),
        **labels: str,
    ) -> None:
        """Records as the pipeline ships them: its three labels, the time and bytes of the record.

        Args:
            lines: without a newline.
            at: the time in nanoseconds, for lines that are no records.
            metadata: members that go along as structured metadata.
            labels: further labels, or other values.
        """
        streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        for line in lines:
            text = line.decode() if isinstance(line, bytes) else line
            record = {} if at else json.loads(text)
            kind = (
                {"service": record["service"], "event_type": record["event_type"]} if record else {}
            )
            stream = {"job": "audit", **kind, **labels}
            when = at or str(ns_of(record["ts"]))
            extra = {name: str(record[name]) for name in metadata}
            streams.setdefault(tuple(stream.items()), []).append([when, text, extra])
        made = [{"stream": dict(names), "values": values} for names, values in streams.items()]
        answer = self._client.post("/loki/api/v1/push", json={"streams": made})
        assert answer.status_code == 204, answer.text

    def get(self, path: str, **parameters: Any) -> Any:
        """The answer to a GET as JSON."""
        answer = self._client.get(path, params=parameters)
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return answer.json()

    def lines(self, logql: str, **parameters: Any) -> list[str]:
        """What a log query returns of the last day, oldest first."""
        asked = {"since": "24h", "direction": "forward", "limit": 5000, **parameters}
        found = self.get("/loki/api/v1/query_range", query=logql, **asked)
        streams = found["data"]["result"]
        values = [value for stream in streams for value in stream["values"]]
        return [line for _, line in sorted(values, key=lambda value: int(value[0]))]

    def series(self, logql: str, **parameters: Any) -> dict[tuple[tuple[str, str], ...], float]:
        """What a metric query returns now: the value by its sorted labels."""
        found = self.get("/loki/api/v1/query", query=logql, **parameters)["data"]
        assert found["resultType"] == "vector", found["resultType"]
        return {
            tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in found["result"]
        }

    def rules(self) -> list[dict[str, Any]]:
        """Every rule of the tenant, with its state and health."""
        groups = self.get("/prometheus/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def load_rules(self, name: str, text: str) -> None:
        """Give the ruler a file, which it reads within a second.

        Skips the test where the files of the ruler cannot be reached.
        """
        if self.rules_directory is None:
            requirements.missing("loki", "only a Loki that the tests have started takes rules")
        directory = self.rules_directory / self.tenant
        directory.mkdir(exist_ok=True)
        hidden = directory.with_name(f".{self.tenant}")  # the ruler never sees half a file
        hidden.write_text(text, encoding="utf-8")
        hidden.replace(directory / name)


class Server(NamedTuple):
    """A Loki that runs, and where its rules are, if we may write them."""

    url: str
    rules_directory: Path | None


def start_once(program: str, directory: Path) -> str:
    """Where Loki listens; the first worker to come here starts it.

    Raises:
        RuntimeError: it did not start.
    """
    url, complaints = directory / "url", directory / "guard.log"
    complaints.touch()
    if not url.exists():
        guard = [sys.executable, "-m", "support.loki_supervisor"]
        guard += [program, str(CONFIG), str(directory)]
        # In the background of a shell that ends at once: a guard is nobody's child.
        command = [
            *("sh", "-c", '"$@" <&- >/dev/null 2>"$0" &', str(directory / "guard.log")),
            *guard,
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        subprocess.run(command, check=True, timeout=PATIENCE, env=environment)
    until(lambda: url.exists() or complaints.read_text(encoding="utf-8"), "the start of Loki")
    if not url.exists():
        raise RuntimeError(complaints.read_text(encoding="utf-8"))
    return url.read_text(encoding="ascii")


def has_tenants(url: str) -> bool:
    """Whether the Loki refuses a question that names no tenant."""
    return httpx.get(f"{url}/loki/api/v1/labels", timeout=PATIENCE).status_code == 401


@pytest.fixture(scope="session")
@starts_a_server
def loki_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The Loki of this test run; skips where there is none."""
    program = shutil.which("loki")
    if GIVEN:
        if not has_tenants(GIVEN):
            requirements.missing("loki", NO_TENANTS)
        yield Server(GIVEN, None)
        return
    if program is None:
        requirements.missing("loki", NONE_THERE)
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "loki"
    directory.mkdir(exist_ok=True)
    with (directory / "users").open("ab") as users, (directory / "starters").open("ab") as starters:
        fcntl.flock(starters, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        server = Server(start_once(program, directory), directory / "rules")
        fcntl.flock(starters, fcntl.LOCK_UN)
        yield server


@pytest.fixture
def loki(loki_server: Server) -> Iterator[RealLoki]:
    """A tenant of its own in a real Loki; skips where there is none."""
    made = RealLoki(loki_server.url, f"test-{uuid.uuid4().hex}", loki_server.rules_directory)
    yield made
    made.close()
