"""The newest checkpoint of a log goes to its witnesses, and what they say is kept."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec import structs
from support.http_served import serving
from support.witnesses import KEYS, RING, WitnessedLog, answering, witness_of

from audit_emit._checkpoints.notes import hand_over
from audit_emit._checkpoints.witnessing.collect import collect
from audit_emit._checkpoints.witnessing.serve import LONGEST, Witness
from audit_emit._format.cosignature import cosign, cosigned_at
from audit_emit._format.signed_note import Note
from audit_emit._readers.opening import open_reader
from audit_emit._runtime import http_client
from audit_emit._runtime.http_server import Answer, Request
from audit_emit._signing.trusted_keys import Ed25519Key, HmacKey, KeyRing

ID = KEYS[0].key_id


@pytest.fixture
def log(tmp_path: Path) -> WitnessedLog:
    return WitnessedLog(tmp_path / "log")


@contextmanager
def saying(answer: Answer, seen: list[Request] | None = None) -> Iterator[str]:
    """A witness that says always the same."""

    def respond(request: Request) -> Answer:
        if seen is not None:
            seen.append(request)
        return answer

    with serving(respond, most=1 << 20) as server:
        yield server.url


def test_a_witness_cosigns_and_the_note_has_it(log: WitnessedLog, tmp_path: Path) -> None:
    with answering(witness_of(tmp_path / "w", log)) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        assert log.collect()[ID].state == "cosigned"
        log.grow()
        assert log.collect(now=4e9)[ID].cosigned_size == log.newest.head_seq
    note = Note.from_bytes((log.path / "checkpoint").read_bytes())
    assert note.text.encode() == log.newest.text()
    assert note.check(RING) == "ok"
    assert cosigned_at(KEYS[0], log.newest.text(), note.signatures[-1]) is not None
    assert [one.size for one in log.kept.cosigned()] == [log.newest.head_seq, 300]


def test_a_log_without_tiles_makes_the_proof_all_the_same(
    log: WitnessedLog, tmp_path: Path
) -> None:
    with answering(witness_of(tmp_path / "w", log)) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        log.collect()
        log.grow()
        shutil.rmtree(log.path / "tile")
        assert log.collect(now=4e9)[ID].state == "cosigned"


def test_two_witnesses_are_both_in_the_note(log: WitnessedLog, tmp_path: Path) -> None:
    first = witness_of(tmp_path / "w1", log)
    second = witness_of(tmp_path / "w2", log, KEYS[1])
    with answering(first) as one, answering(second) as two:
        log.kept.add("w1", KEYS[0].to_vkey(), one)
        policy = log.kept.add("w2", KEYS[1].to_vkey(), two)
        assert policy.demand == "2 of 2 witnesses"
        assert set(log.collect()) == {KEYS[0].key_id, KEYS[1].key_id}
    note = Note.from_bytes((log.path / "checkpoint").read_bytes())
    assert {line.name for line in note.signatures} == {
        log.newest.origin,
        "w1.example.com",
        "w2.example.com",
    }


def test_of_one_answer_one_signature_is_kept(log: WitnessedLog) -> None:
    """Else a witness could fill the file in which those of others are looked for."""
    line = Note("x\n", (cosign(KEYS[0], 1_800_000_000, log.newest.text()),)).to_bytes()
    with saying(Answer(200, line.partition(b"\n\n")[2] * 50)) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        log.collect()
    assert len(list(log.kept.cosigned())) == 1


def test_one_that_has_signed_it_is_not_asked_again_and_others_once_a_minute(
    log: WitnessedLog,
) -> None:
    seen: list[Request] = []
    with saying(Answer(500, b""), seen) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        attempt = log.collect()[ID]
        assert (attempt.state, attempt.note) == ("failed", "it answered 500")
        assert log.collect(now=attempt.tried_at + 59) == {}
        assert log.collect(now=attempt.tried_at + 60) != {}
        assert log.collect(now=attempt.tried_at - 999) != {}, "the clock was set back"
    assert {request.path for request in seen} == {"/add-checkpoint"}
    assert len(seen) == 3


def test_one_that_knows_more_is_a_finding_and_not_asked_twice(log: WitnessedLog) -> None:
    seen: list[Request] = []
    with saying(Answer(409, b"301\n", "text/x.tlog.size"), seen) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        attempt = log.collect()[ID]
    assert (attempt.state, attempt.size, attempt.is_finding) == ("ahead", 301, True)
    assert len(seen) == 1
    assert log.kept.attempts()[ID] == attempt


def test_one_that_saw_another_history_is_a_finding(log: WitnessedLog, tmp_path: Path) -> None:
    other = WitnessedLog(tmp_path / "other", 200)
    # The same chain and origin: the lines of the two differ in their times.
    assert other.newest.origin == log.newest.origin
    with answering(witness_of(tmp_path / "w", log)) as url:
        other.kept.add("w1", KEYS[0].to_vkey(), url)
        assert other.collect()[ID].state == "cosigned"
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        attempt = log.collect()[ID]
    assert attempt.state == "disagrees"
    assert "200 records is not the beginning" in attempt.note


def test_another_tree_of_the_same_size_is_a_finding(log: WitnessedLog, tmp_path: Path) -> None:
    other = WitnessedLog(tmp_path / "other")
    with answering(witness_of(tmp_path / "w", log)) as url:
        other.kept.add("w1", KEYS[0].to_vkey(), url)
        other.collect()
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        assert log.collect()[ID].state == "disagrees"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b""),
        Answer(200, "\u2014 w1.example.com AAAAAAAAAAAAAAAA\n".encode()),
        Answer(200, b"\xff" * 100),
        Answer(200, b"x" * 70_000),
        Answer(409, b"300\n"),
        Answer(409, b"\n", "text/x.tlog.size"),
        Answer(409, b"0x12\n", "text/x.tlog.size"),
        Answer(302, b"", "text/plain"),
        Answer(403, b"no"),
    ],
)
def test_whatever_else_one_says_is_a_failure(log: WitnessedLog, answer: Answer) -> None:
    with saying(answer) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        assert log.collect()[ID].state == "failed"
    assert not (log.path / "checkpoint").exists()


def test_one_that_is_not_there_or_says_nothing_is_a_failure(
    log: WitnessedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        http_client.ask,
        "__kwdefaults__",
        {**(http_client.ask.__kwdefaults__ or {}), "seconds": 0.2},
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        log.kept.add("w1", KEYS[0].to_vkey(), f"http://127.0.0.1:{silent.getsockname()[1]}")
        attempt = log.collect()[ID]
    assert attempt.state == "failed"
    assert "no answer in time" in attempt.note


@contextmanager
def refusing(witness: Witness, text: bytes, status: int) -> Iterator[str]:
    """A witness that does not take the checkpoint of that text."""

    def respond(request: Request) -> Answer:
        return Answer(status, b"") if text in request.body else witness.answer(request)

    with serving(respond, most=LONGEST) as server:
        yield server.url


def test_a_witness_that_was_away_while_a_key_was_replaced_does_not_set_the_note_back(
    log: WitnessedLog, tmp_path: Path
) -> None:
    """It cosigns what both keys signed; another one has cosigned what came after that."""
    changed = log.newest
    hand_over(str(log.path), changed, Ed25519Key.from_seed(b"o" * 32))
    log.grow()
    away = witness_of(tmp_path / "w2", log, KEYS[1])
    with (
        answering(witness_of(tmp_path / "w1", log)) as one,
        refusing(away, log.newest.text(), 403) as two,
    ):
        log.kept.add("w1", KEYS[0].to_vkey(), one)
        log.collect()
        before = (log.path / "checkpoint").read_bytes()
        log.kept.add("w2", KEYS[1].to_vkey(), two)
        (attempt,) = log.collect().values()
    assert (attempt.state, attempt.cosigned_size) == ("cosigned", changed.head_seq)
    assert [one.size for one in log.kept.cosigned()] == [changed.head_seq, log.newest.head_seq]
    assert (log.path / "checkpoint").read_bytes() == before


def test_a_witness_that_is_down_is_not_taken_for_one_that_knows_no_newer_key(
    log: WitnessedLog, tmp_path: Path
) -> None:
    hand_over(str(log.path), log.newest, Ed25519Key.from_seed(b"o" * 32))
    log.grow()
    with refusing(witness_of(tmp_path / "w", log), log.newest.text(), 503) as url:
        log.kept.add("w1", KEYS[0].to_vkey(), url)
        attempt = log.collect()[ID]
    assert (attempt.state, attempt.note) == ("failed", "it answered 503")


def test_a_shared_key_has_no_notes(tmp_path: Path) -> None:
    log = WitnessedLog(tmp_path / "log", 100)
    log.kept.add("w1", KEYS[0].to_vkey(), "http://127.0.0.1:1")
    shared = KeyRing([HmacKey(b"h" * 32)])
    newest = structs.replace(log.newest, sig_alg="hmac-sha256")
    with open_reader(str(log.path)) as reader, pytest.raises(ValueError, match="shared key"):
        collect(log.kept, reader, newest, shared)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://w",
        "http://u:p@w",
        "http://w/?a",
        "http://",
        "file:///etc/passwd",
        "http://w\n",
        "http://w:x",
    ],
)
def test_an_address_that_is_none_is_not_taken(url: str) -> None:
    with pytest.raises(ValueError):
        http_client.check_url(url)


def test_the_same_witness_is_not_added_twice(log: WitnessedLog) -> None:
    log.kept.add("w1", KEYS[0].to_vkey(), "http://w1")
    before = (log.path / "witness.policy").read_bytes()
    with pytest.raises(ValueError, match="named twice"):
        log.kept.add("w9", KEYS[0].to_vkey(), "http://w9")
    assert (log.path / "witness.policy").read_bytes() == before


def test_a_policy_that_was_edited_and_has_no_quorum_is_told(log: WitnessedLog) -> None:
    (log.path / "witness.policy").write_text("# of ours\n")
    with pytest.raises(ValueError, match="has a line quorum"):
        log.kept.add("w1", KEYS[0].to_vkey(), "http://w1")
    assert (log.path / "witness.policy").read_text() == "# of ours\n"
