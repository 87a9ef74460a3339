"""The alerts that pages show are looked for beside them, and never twice at a time."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.chain_builder import MadeChain

from audit_emit._report.recent import Recent
from audit_emit.console.access import LOCAL
from audit_emit.console.alerts import Alerts
from audit_emit.console.source import Source


def test_nobody_looks_while_another_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MadeChain().add(1).write(tmp_path / "audit.jsonl").parent
    began, may_end = threading.Semaphore(0), threading.Event()

    def slow(*_: object) -> Recent:
        began.release()
        may_end.wait()
        return Recent([], cut=False)

    monkeypatch.setattr("audit_emit.console.alerts.recent_alerts", slow)
    monkeypatch.setattr("audit_emit.console.alerts.FRESH_SECONDS", 0.0)
    before = {*threading.enumerate()}
    alerts = Alerts(Source(str(log)))
    for _ in range(3):
        alerts.named([], LOCAL)
    looking = [one for one in threading.enumerate() if one not in before]
    assert len(looking) == 1
    began.acquire()
    may_end.set()
    looking[0].join()
    alerts.named([], LOCAL)
    began.acquire()
