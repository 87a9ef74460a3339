"""What somebody else has of the log: witnesses, anchors, and what nobody would notice."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.console_client import client, console
from support.witnesses import KEYS, WitnessedLog

from audit_emit._checkpoints.anchoring import Anchors
from audit_emit._checkpoints.witnessing.kept import Attempt, Kept
from audit_emit.console.outside import outside_of
from audit_emit.console.source import Source


@pytest.fixture
def log(tmp_path: Path) -> WitnessedLog:
    return WitnessedLog(tmp_path / "log", records=200)


def test_a_log_that_nobody_else_knows_says_so(log: WitnessedLog) -> None:
    asked = client(console(log.path))
    assert "Nobody else has a checkpoint" in asked.get("/integrity").text
    assert asked.get("/api/audit/status").json()["outside"]["anchored_seq"] is None


def test_witnesses_and_anchors_are_named_with_what_they_have(log: WitnessedLog) -> None:
    place = f"file:{log.path.parent / 'kept'}"
    assert Anchors(str(log.path), [place]).bring(log.newest) == {place: ""}
    kept = Kept(str(log.path))
    good, bad, fresh = KEYS
    for name, key in (("good", good), ("bad", bad), ("fresh", fresh)):
        kept.add(name, key.to_vkey(), f"http://{name}.example.com/")
    kept.tell({
        good.key_id: Attempt("cosigned", 1_779_220_800, 100, "", 1_779_220_800, 100),
        bad.key_id: Attempt("disagrees", 1_779_220_800, 100, "of 100 records"),
    })  # fmt: skip
    found = outside_of(Source(str(log.path)))
    assert found is not None
    assert [(one.kind, one.name, one.seq, one.bad) for one in found.keepers] == [
        ("witness", good.name, 100, False),
        ("witness", bad.name, 0, True),
        ("witness", fresh.name, 0, False),
        ("anchor", place, 200, False),
    ]
    text = client(console(log.path)).get("/integrity").text
    assert "Who has the key can write another past after record 200, unnoticed." in text
    assert f"witness {bad.name}: it has cosigned another history" in text
    status = client(console(log.path)).get("/api/audit/status").json()["outside"]
    assert (status["anchored_seq"], status["cosigned_seq"], status["witnesses"]) == (200, 100, 3)
