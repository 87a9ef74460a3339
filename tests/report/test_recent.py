"""The newest alerts of a log."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chain_builder import BEGIN, SECOND, MadeChain

from audit_emit._report.recent import recent_alerts


@pytest.mark.parametrize("kind", ["anomaly.acknowledged", "shop.anomaly_seen"])
def test_a_flood_of_other_events_pushes_no_alert_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("audit_emit._report.recent.MOST", 5)
    chain = MadeChain().add(event_type="audit.anomaly", fields={"id": "a-1"})
    log = chain.add(9, event_type=kind).write(tmp_path / "audit.jsonl").parent
    found = recent_alerts(str(log), BEGIN + 60 * SECOND)
    assert [one.id for one in found.alerts] == ["a-1"]
    assert found.cut is (kind == "anomaly.acknowledged")


@pytest.mark.parametrize("most", [2, 3])
def test_more_than_are_looked_at_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("audit_emit._report.recent.MOST", most)
    log = MadeChain().add(3, event_type="audit.anomaly").write(tmp_path / "audit.jsonl").parent
    found = recent_alerts(str(log), BEGIN + 60 * SECOND)
    assert (len(found.alerts), found.cut) == (most, most < 3)
