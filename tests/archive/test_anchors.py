"""A checkpoint in a bucket with a lock: put once, kept, and the log is held against it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.object_store import Store
from support.witnesses import WitnessedLog

from audit_emit._checkpoints.anchoring import Anchors, notes_in


def test_it_is_put_once_and_locked(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = WitnessedLog(tmp_path / "log", 100)
    store.use(monkeypatch, lock="governance", lock_days="1")
    place = f"s3://{store.settings().bucket}/{store.settings().prefix}".rstrip("/")
    assert Anchors(str(log.path), [place]).bring(log.newest) == {place: ""}
    key = f"anchors/{log.newest.chain}/{100:020d}.note"
    with store.opened() as bucket:
        kept = bucket.small(key)
        stored = bucket.look_at(key)
    assert stored is not None
    assert stored.mode == "governance"
    assert log.verify(anchors=notes_in(kept), anchor_required=False).outside_seq == 100
    (log.path / "anchors.jsonl").unlink()
    assert Anchors(str(log.path), [place]).bring(log.newest) == {place: ""}, "it is there already"
