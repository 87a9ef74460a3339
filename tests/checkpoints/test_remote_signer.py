"""A signer whose key is elsewhere: what fails leaves nothing behind, and is made up for later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.plain_log_reader import of_type
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._signing.remote import Held, RemoteKey
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit.errors import SignerError

KEY = Ed25519Key.from_seed(bytes(range(32)))
OTHER = Ed25519Key.from_seed(bytes(range(1, 33)))


class Service:
    """Signs until it is told otherwise."""

    name = "the service"

    def __init__(self) -> None:
        self.answer: Callable[[bytes], bytes] = KEY.sign
        self.left = 1000

    def sign(self, public: bytes, text: bytes, timeout: float) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ConnectionRefusedError(111, "Connection refused")
        return self.answer(text)

    def keys(self, timeout: float) -> list[Held]:
        return []


class Place:
    """A log, and who signs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "audit.jsonl"
        self.service = Service()
        self.emitter = Emitter(service="tests", jsonl=self.path, stdout=False, durability="os")
        self.emitter.emit(None, "a.b")
        # What the clock says moves on by an hour with each look, so that nothing backs off.
        hours = iter(range(0, 3600 * 1000, 3600))
        key = RemoteKey(
            self.service, KEY.public, timeout=PATIENCE, clock=lambda: float(next(hours))
        )
        record = self.emitter.record_own
        self.signer = Checkpointer(
            str(self.path), KeyRing([key]), origin="a.example", record=record
        )

    def files(self) -> set[str]:
        return {one.name for one in self.directory.glob("checkpoints.*")} - {
            "checkpoints.jsonl.lock"
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("signatures", [0, 1, 2])
def test_a_service_that_fails_before_the_end_leaves_nothing_behind(
    place: Place, signatures: int
) -> None:
    place.service.left = signatures
    with pytest.raises(SignerError, match="Connection refused"):
        place.signer.run("manual")
    assert place.files() == set()
    place.service.left = 1000
    made = place.signer.run("manual")
    assert made is not None
    assert made.head_seq == 2
    assert place.files() == {"checkpoints.jsonl", "checkpoints.state"}
    assert of_type(place.path, "audit.checkpoint_refused") == []


def test_a_service_that_signs_with_another_key_is_told_of_in_the_log(place: Place) -> None:
    place.service.answer = OTHER.sign
    for _ in range(2):
        with pytest.raises(SignerError, match="pinned key"):
            place.signer.run("manual")
    (told,) = of_type(place.path, "audit.checkpoint_refused")
    assert told["fields"] == {"reason": "bad-signature", "origin": "a.example"}
    assert place.files() == set()
