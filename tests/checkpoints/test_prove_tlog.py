"""A proof in the form of C2SP tlog-proof: what other programs read, and ours takes back."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from support.prunable_log import PrunableLog
from support.witnesses import KEYS, ORIGIN, PAIR, RING, WitnessedLog, answering, witness_of

from audit_emit._checkpoints.prove_tlog import prove_tlog
from audit_emit._format.chain import leaf_hash
from audit_emit._format.cosignature import cosigned_at
from audit_emit._format.merkle_proofs import verify_inclusion
from audit_emit._format.tlog_proof import TlogProof
from audit_emit._readers.opening import open_reader
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing
from audit_emit.cli import main

OTHER = Ed25519Key.from_seed(b"o" * 32)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> WitnessedLog:
    """A log of 300 records, cosigned by one witness."""
    place = tmp_path_factory.mktemp("made")
    log = WitnessedLog(place / "log")
    with answering(witness_of(place / "w", log)) as url:
        log.kept.add("w", KEYS[0].to_vkey(), url)
        log.collect(now=4e9)
    return log


def proof_of(log: PrunableLog, seq: int) -> TlogProof:
    with open_reader(str(log.path)) as reader:
        return prove_tlog(reader, seq, RING)


def test_it_is_what_the_specification_says(log: WitnessedLog) -> None:
    """Read here without any of the code that wrote it."""
    header, extra, index, *rest = proof_of(log, 17).to_bytes().decode().split("\n")
    assert header == "c2sp.org/tlog-proof@v1"
    assert index == "index 16"
    path, note = rest[: rest.index("")], rest[rest.index("") + 1 :]
    origin, size, root, *under = note
    assert (origin, size) == (log.newest.origin, "300")
    entry = base64.b64decode(extra.removeprefix("extra "), validate=True)
    assert json.loads(entry)["seq"] == 17
    hashes = [base64.b64decode(one, validate=True) for one in path]
    leaf = bytes.fromhex(leaf_hash(entry))
    assert verify_inclusion(16, 300, leaf, hashes, base64.b64decode(root))
    assert [line.split(" ")[1] for line in under if line] == [origin, origin, "w1.example.com"]


def test_the_witness_has_signed_the_note_of_it(log: WitnessedLog) -> None:
    note = proof_of(log, 17).note
    (line,) = (one for one in note.signatures if one.name == "w1.example.com")
    assert cosigned_at(KEYS[0], note.text.encode(), line)


def test_tiles_that_are_only_in_the_cache_of_the_reader_are_enough(
    tmp_path: Path, log: WitnessedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copied = log.copy(tmp_path / "log")
    shutil.rmtree(copied.path / "tile")
    (copied.path / "tile").write_bytes(b"")  # no tiles can be made here
    names = [one.name for one in proof_of(copied, 17).note.signatures]
    assert "w1.example.com" in names


def test_a_record_that_the_newest_note_does_not_cover_is_proved_by_a_later_checkpoint(
    tmp_path: Path, log: WitnessedLog
) -> None:
    grown = log.copy(tmp_path / "log")
    for _ in range(2):
        grown.append("audit.started", {"pid": 1})
    grown.sign()
    made = proof_of(grown, 302)
    assert made.judge(RING).verdict == "ok"
    assert made.note.text.split("\n")[1] == "304"


def test_what_was_changed_does_not_verify(log: WitnessedLog) -> None:
    made = proof_of(log, 17)
    data = made.to_bytes()
    assert TlogProof.from_bytes(data) == made._replace(path=list(made.path))
    assert made.judge(RING).verdict == "ok"
    assert made.judge(KeyRing()).verdict == "key-unavailable"
    other = made.entry.replace(b'"user_id":"u-17"', b'"user_id":"u-18"')
    assert other != made.entry
    for wrong in (
        made._replace(entry=other),
        made._replace(entry=b"{}"),
        made._replace(leaf_index=17),
        made._replace(path=made.path[1:]),
    ):
        assert wrong.judge(RING).verdict == "mismatch"


def test_an_entry_of_two_lines_is_no_record_whoever_signed_it(log: WitnessedLog) -> None:
    made = proof_of(log, 17)
    two = made._replace(entry=made.entry.replace(b',"v":', b'\n,"v":'))
    assert two.entry != made.entry
    assert two.judge(RING).why == "the entry is not a record of a chain"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v1\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n\nx\n1\nAAAA\n",
        b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 01\n\nx\n",
        b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\nAAAA\n\nx\n",
        b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\nnot a checkpoint\n",
        b"c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\ntext\n\n\xe2\x80\x94 n AAAAAAAA\n",
    ],
)
def test_another_file_is_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        TlogProof.from_bytes(data)


def test_the_commands_write_and_check_it(
    log: WitnessedLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, key = str(tmp_path / "record.tlog-proof"), PAIR.to_vkey(ORIGIN)
    assert main(["prove", "17", str(log.path), "--tlog-proof", "--out", file]) == 0
    words = ["verify-proof", file, "--key", key]
    assert main(words) == 0
    assert "proved: record 17 is in" in capsys.readouterr().out
    assert main([*words, "--receipt", f"{'0' * 16}:17:{'0' * 64}"]) == 1
    assert main([*words[:2], "--key", OTHER.to_vkey(ORIGIN), "--json"]) == 4
    assert main(["prove", "--from", "1", str(log.path), "--tlog-proof"]) == 2


def test_a_log_with_a_shared_key_has_no_such_proof(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = PrunableLog(tmp_path / "log", records=20, part=20)
    assert main(["prove", "3", str(shared.path), "--tlog-proof"]) == 2
    assert "Ed25519" in capsys.readouterr().err
