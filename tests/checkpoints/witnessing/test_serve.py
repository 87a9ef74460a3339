"""Our own witness, word for word as C2SP tlog-witness says."""

from __future__ import annotations

import base64
import hashlib
import threading
from pathlib import Path

import pytest
from support import merkle_rfc6962
from support.witnesses import KEYS, PAIR, WitnessedLog, witness_of

from audit_emit._checkpoints.witnessing.serve import Witness
from audit_emit._checkpoints.witnessing.submit import request_of
from audit_emit._format.checkpoint import text_of
from audit_emit._format.cosignature import cosigned_at
from audit_emit._format.merkle_proofs import consistency_proof
from audit_emit._format.signed_note import Note, Signature, parse_line
from audit_emit._runtime.http_server import Answer, Request
from audit_emit._signing.trusted_keys import Ed25519Key, note_key_id

ORIGIN = "log.example/shop/0123456789abcdef"
LOG = Ed25519Key.from_vkey(PAIR.to_vkey(ORIGIN))
LEAVES = [hashlib.sha256(b"\0%d" % number).digest() for number in range(20)]


def root(size: int, leaves: list[bytes] = LEAVES) -> bytes:
    return merkle_rfc6962.root(leaves[:size])


def note(
    size: int, *, origin: str = ORIGIN, tree: bytes | None = None, key: Ed25519Key = PAIR
) -> Note:
    text = text_of(origin, size, root(size) if tree is None else tree)
    line = Signature(origin, note_key_id(origin, key.public), key.sign(text))
    return Note(text.decode(), (line,))


def body(old: int, size: int, proof: list[bytes] | None = None, made: Note | None = None) -> bytes:
    if proof is None:
        proof = consistency_proof(old, size, LEAVES) if 0 < old <= size else []
    hashes = "".join(f"{base64.b64encode(node).decode()}\n" for node in proof)
    return f"old {old}\n{hashes}\n".encode() + (made or note(size)).to_bytes()


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return again(tmp_path)


def again(directory: Path) -> Witness:
    """The same witness, started anew."""
    return Witness(str(directory), [KEYS[0]], [LOG], lambda: 1_700_000_000.9)


def post(witness: Witness, data: bytes) -> Answer:
    return witness.answer(Request("POST", "/add-checkpoint", data))


def test_it_cosigns_what_it_sees_first_and_what_continues_it(witness: Witness) -> None:
    for old, size in ((0, 5), (5, 5), (5, 8), (8, 20)):
        answer = post(witness, body(old, size))
        assert answer.status == 200
        lines = answer.body.decode().splitlines()
        (line,) = map(parse_line, lines)
        assert cosigned_at(KEYS[0], note(size).text.encode(), line) == 1_700_000_000
        assert answer.body.endswith(b"\n")


def test_another_old_size_is_a_conflict_that_tells_the_size(witness: Witness) -> None:
    assert post(witness, body(5, 8)).body == b"0\n"
    post(witness, body(0, 8))
    for old in (0, 5, 9):
        answer = post(witness, body(old, 10))
        assert (answer.status, answer.body) == (409, b"8\n")
        assert answer.kind == "text/x.tlog.size"


def test_another_tree_of_the_same_size_is_a_conflict(witness: Witness) -> None:
    post(witness, body(0, 8))
    answer = post(witness, body(8, 8, made=note(8, tree=b"x" * 32)))
    assert (answer.status, answer.body) == (409, b"8\n")


def test_a_proof_that_does_not_hold_cannot_be_processed(witness: Witness) -> None:
    assert post(witness, body(0, 5, [LEAVES[0]])).status == 422
    post(witness, body(0, 5))
    assert post(witness, body(5, 8, [])).status == 422
    assert post(witness, body(5, 8, [LEAVES[0]] * 3)).status == 422
    assert post(witness, body(5, 5, [LEAVES[0]])).status == 422
    fork = [LEAVES[1], *LEAVES[1:]]
    forged = note(8, tree=root(8, fork))
    assert post(witness, body(5, 8, consistency_proof(5, 8, fork), forged)).status == 422


def test_a_log_that_it_does_not_know_is_not_found(witness: Witness) -> None:
    assert post(witness, body(0, 5, made=note(5, origin="log.example/other"))).status == 404


def test_what_no_key_of_the_log_signed_is_forbidden(witness: Witness) -> None:
    stranger = Ed25519Key.from_seed(b"x" * 32)
    assert post(witness, body(0, 5, made=note(5, key=stranger))).status == 403
    forged = note(5)._replace(text=note(6).text)
    assert post(witness, body(0, 6, made=forged)).status == 403


def test_signatures_of_others_are_passed_over(witness: Witness) -> None:
    made = note(5)
    other = Signature("somebody.example", "00000000", b"x" * 64)
    assert post(witness, body(0, 5, made=Note(made.text, (other, *made.signatures)))).status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 0\n",
        body(9, 5),
        body(0, 5).replace(b"old 0", b"old 00"),
        body(0, 5).replace(b"old 0", b"old -1"),
        body(0, 5).replace(b"old 0", b"new 0"),
        body(0, 5).replace(b"old 0", b"old 99999999999999999999"),
        body(0, 5, [b"x" * 31]),
        body(0, 5, [b"x" * 32] * 64),
        body(0, 5).replace(b"old 0\n", b"old 0\n*\n"),
        body(0, 5).replace("\u2014".encode(), b"-"),
        body(0, 5).replace(b"\n5\n", b"\n05\n"),
        b"\xff" + body(0, 5),
    ],
)
def test_what_is_no_request_is_a_bad_one(witness: Witness, data: bytes) -> None:
    assert post(witness, data).status == 400


def test_a_monitor_gets_the_note_with_the_log_s_and_the_witness_s_signatures(
    witness: Witness,
) -> None:
    path = f"/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert witness.answer(Request("GET", path)).status == 404
    line = post(witness, body(0, 5)).body
    answer = witness.answer(Request("GET", path))
    assert answer.body == note(5).to_bytes() + line
    for none in ("/", "/add-checkpoint", f"/{'0' * 64}/checkpoint", "/../witness.lock"):
        assert witness.answer(Request("GET", none)).status == 404
    assert witness.answer(Request("POST", path, body(0, 5))).status == 404


def test_what_it_signed_outlives_it(witness: Witness, tmp_path: Path) -> None:
    post(witness, body(0, 8))
    assert post(again(tmp_path), body(0, 5)).body == b"8\n"
    assert post(again(tmp_path), body(8, 9)).status == 200


def test_a_state_that_somebody_else_wrote_signs_nothing(witness: Witness, tmp_path: Path) -> None:
    post(witness, body(0, 8))
    (path,) = tmp_path.glob("*.checkpoint")
    path.write_bytes(note(5).to_bytes())
    with pytest.raises(ValueError, match="is not what this witness wrote"):
        post(witness, body(5, 8))


def test_nothing_is_signed_before_it_is_on_the_disk(
    witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: str, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audit_emit._checkpoints.durable.replace", full)
    with pytest.raises(OSError, match="No space"):
        post(witness, body(0, 5))
    assert list(tmp_path.glob("*.checkpoint")) == []


def test_two_at_once_never_set_it_back(tmp_path: Path) -> None:
    post(again(tmp_path), body(0, 5))
    answers: dict[int, Answer] = {}

    def ask(size: int) -> None:
        answers[size] = post(again(tmp_path), body(5, size))

    threads = [threading.Thread(target=ask, args=(size,)) for size in range(6, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (won,) = [size for size, answer in answers.items() if answer.status == 200]
    others = [answer for size, answer in answers.items() if size != won]
    assert {(answer.status, answer.body) for answer in others} == {(409, b"%d\n" % won)}


def test_the_request_of_our_client_is_one(tmp_path: Path) -> None:
    log = WitnessedLog(tmp_path / "log", 120)
    witness = witness_of(tmp_path / "w", log)
    assert post(witness, request_of(log.newest.to_note(), 0, [])).status == 200


def test_a_signature_that_is_sent_many_times_is_kept_once(witness: Witness) -> None:
    many = note(5)._replace(signatures=note(5).signatures * 100)
    assert post(witness, body(0, 5, made=many)).status == 200
    assert post(witness, body(5, 8)).status == 200, "what it kept can be read again"
