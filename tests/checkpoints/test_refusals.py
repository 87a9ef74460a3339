"""A refusal to sign is told to the chain, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.plain_log_reader import of_type

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._checkpoints.refusals import RECORD, Refusals
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit.errors import CheckpointError, SinkError

KEY = HmacKey(b"k" * 32)


class Signed:
    """A log that was signed once."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "audit.jsonl"
        self.emitter = Emitter(service="tests", jsonl=self.path, stdout=False, durability="os")
        self.emitter.emit(None, "a.b", {"n": 1})
        self.signer().run("manual")

    def signer(self, record: Any = None) -> Checkpointer:
        record = record or self.emitter.record_own
        return Checkpointer(str(self.path), KeyRing([KEY]), origin="a.example/t", record=record)

    def rewrite(self) -> None:
        """As somebody would who has the key of nothing: the whole log, with other records."""
        self.emitter.close()
        for file in self.path.parent.glob("audit*"):
            file.unlink()
        self.emitter = Emitter(service="tests", jsonl=self.path, stdout=False, durability="os")
        self.emitter.emit(None, "a.b", {"n": 2})

    def refused(self, signer: Checkpointer | None = None) -> None:
        with pytest.raises(CheckpointError):
            (signer or self.signer()).run("manual")

    def told(self) -> list[dict[str, Any]]:
        return [one["fields"] for one in of_type(self.path, RECORD)]


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_a_refusal_is_a_record(signed: Signed) -> None:
    assert signed.told() == []
    signed.rewrite()
    signed.refused()
    (fields,) = signed.told()
    assert fields["origin"] == "a.example/t"
    assert fields["reason"] in {"another-chain", "not-extended", "hash-mismatch", "truncated"}


def test_a_signer_that_tries_again_and_again_tells_it_once(signed: Signed) -> None:
    signed.rewrite()
    signer = signed.signer()
    for _ in range(3):
        signed.emitter.emit(None, "a.b")
        signed.refused(signer)
    assert len(signed.told()) == 1


def test_a_signer_of_another_process_does_not_tell_it_again(signed: Signed) -> None:
    signed.rewrite()
    for _ in range(3):
        signed.emitter.emit(None, "a.b", {"event_type": "audit.checkpoint"})
        signed.refused()
    assert len(signed.told()) == 1


def test_the_next_refusal_after_a_signature_is_a_new_one() -> None:
    lines: list[bytes] = []

    def record(event_type: str, fields: dict[str, Any]) -> None:
        lines.append(
            json.dumps({"event_type": event_type, "fields": fields}, separators=(",", ":")).encode()
        )

    refusals = Refusals(record, lambda: reversed(lines))
    error = CheckpointError("not-extended", "")
    refusals.tell(error, "o")
    with refusals.told("o"):
        pass
    refusals.tell(error, "o")
    assert len(lines) == 1, "nothing was signed since"
    record("audit.checkpoint", {})
    with refusals.told("o"):
        pass
    refusals.tell(error, "o")
    assert len(lines) == 3


def test_another_reason_is_told_as_well(signed: Signed) -> None:
    signed.rewrite()
    signed.refused()
    state = signed.path.with_name("checkpoints.state")
    state.write_text(json.dumps({"v": 1}))
    signed.refused()
    assert len({one["reason"] for one in signed.told()}) == 2


def test_another_signer_at_work_is_no_refusal(signed: Signed, monkeypatch: Any) -> None:
    from audit_emit._checkpoints import checkpointer

    monkeypatch.setattr(checkpointer, "LOCK_SECONDS", 0)
    signed.emitter.emit(None, "a.b")
    with signed.signer()._locked(None):
        signed.refused()
    assert signed.told() == []


def test_a_log_that_cannot_be_written_to_does_not_hide_the_refusal(signed: Signed) -> None:
    def full(event_type: str, fields: dict[str, Any]) -> None:
        raise SinkError("ENOSPC")

    signed.rewrite()
    signed.refused(signed.signer(full))
    signed.refused()
    assert len(signed.told()) == 1
