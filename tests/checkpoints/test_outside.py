"""The newest checkpoint goes outside in a thread of its own, and never stands in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.waiting import until
from support.witnesses import KEYS, WitnessedLog, answering, witness_of

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.outside import Outside, in_words, standing_of
from audit_emit._checkpoints.witnessing.kept import Attempt
from audit_emit._signing.trusted_keys import private_pem


def signer(log: WitnessedLog) -> Checkpointer:
    return Checkpointer(
        str(log.active), log.ring, origin="audit.example/shop", record=lambda *_: None
    )


@pytest.fixture
def log(tmp_path: Path) -> WitnessedLog:
    return WitnessedLog(tmp_path / "log", 100)


def test_nobody_is_asked_where_nobody_is_configured(log: WitnessedLog) -> None:
    made = Outside(signer(log), {})
    assert not made.is_configured
    made.look()
    assert made.report()["last_error"] is None
    assert "nobody else has a checkpoint" in made.report()["unnoticed"]


def test_a_look_starts_a_round_and_another_one_a_minute_later(
    log: WitnessedLog, tmp_path: Path
) -> None:
    with answering(witness_of(tmp_path / "w", log)) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        made = Outside(signer(log), {"AUDIT_EMIT_ANCHORS": f"file:{tmp_path / 'kept'}"})
        made.look()
        until((tmp_path / "kept").exists)
        until(lambda: made.report()["anchored_seq"] == 100)
        assert made.report()["cosigned_seq"] == 100
        (tmp_path / "kept").unlink()
        (log.path / "anchors.jsonl").unlink()
        made.look()
        assert not (tmp_path / "kept").exists(), "not within the minute"
        made.reset()  # as if the minute were over
        made.look()
        until((tmp_path / "kept").exists)


def test_a_place_that_fails_is_told_and_stands_in_nobody_s_way(log: WitnessedLog) -> None:
    made = Outside(signer(log), {"AUDIT_EMIT_ANCHORS": "file:/nowhere/at/all"})
    done = made.bring()
    assert "No such file" in done.anchors["file:/nowhere/at/all"]
    assert "file:/nowhere/at/all" in made.report()["last_error"]


def test_a_setting_that_cannot_be_used_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_ANCHORS", "bogus")
    emitter = Emitter(
        jsonl=str(tmp_path / "audit.jsonl"), stdout=False, signing_key=private_pem(b"k" * 32)
    )
    try:
        assert emitter.emit(None, "a.b") is not None
        health = emitter.health()
        assert "anchors" in health["checkpoint"]["outside"]["last_error"]
        assert any("not everywhere outside" in note for note in health["notes"])
    finally:
        emitter.close()


def test_a_cosignature_of_which_no_time_is_kept_is_told_without_one(log: WitnessedLog) -> None:
    """The file lies beside the log, where anybody may have written it."""
    log.kept.add("w1", KEYS[0].to_vkey(), "http://127.0.0.1:1")
    log.kept.tell({KEYS[0].key_id: Attempt("cosigned", 1, cosigned_size=5)})
    assert in_words(standing_of(str(log.path))).startswith("cosigned up to record 5; who has")
