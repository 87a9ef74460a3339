"""The newest alerts of a log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import BEGIN, SECOND, MadeChain

from audit_emit._query.search import Answer, ask_log
from audit_emit._report.recent import Trail, recent_alerts
from audit_emit._settings.settings import settings
from audit_emit.cli._standing import trail_of_console


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


def test_a_log_with_alerts_of_many_chains_is_not_one_search_of_the_trail_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [MadeChain(f"{at:016x}").add(event_type="audit.anomaly") for at in range(50)]
    (tmp_path / "audit.jsonl").write_bytes(b"".join(one.lines[0] + b"\n" for one in made))
    searches: list[object] = []

    def counted(*asked: Any, **more: Any) -> Answer:
        searches.append(asked)
        return ask_log(*asked, **more)

    monkeypatch.setattr("audit_emit._report.recent.ask_log", counted)
    trail = Trail(str(tmp_path / "own.jsonl"), "audit-console")
    found = recent_alerts(str(tmp_path), BEGIN + 60 * SECOND, trail)
    assert (len(found.alerts), found.cut) == (50, True)
    assert len(searches) < 20


DATABASE = "postgresql://audit@db.invalid/audit"


@pytest.mark.parametrize(
    ("kept", "where"),
    [
        ({"jsonl": "/srv/audit.jsonl"}, "/srv/audit.jsonl"),
        ({"store": DATABASE}, f"{DATABASE}#service=audit-console"),
        # The database gets it later: who has just acknowledged something would not find it there.
        ({"jsonl": "/srv/audit.jsonl", "store": DATABASE}, "/srv/audit.jsonl"),
        ({"jsonl": "off"}, ""),
    ],
)
def test_a_trail_is_read_where_the_console_writes_it(
    kept: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_JSONL", raising=False)
    assert Trail.of(settings({"service": "audit-console", **kept})).where == where
    for name, value in kept.items():
        monkeypatch.setenv(f"AUDIT_EMIT_{name.upper()}", value)
    assert trail_of_console() == (where, "audit-console")  # as audit-emit status looks for it
