"""``audit-emit witness`` and ``verify --witness``, end to end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.program import PROGRAM
from support.waiting import PATIENCE
from support.witnesses import KEYS, PAIR, WitnessedLog, answering, witness_of

from audit_emit._checkpoints.notes import HANDOVER
from audit_emit._format.checkpoint import parse_text
from audit_emit._format.signed_note import Note
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key, KeyRing, private_pem
from audit_emit._verify import others
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


@pytest.fixture
def log(tmp_path: Path) -> WitnessedLog:
    return WitnessedLog(tmp_path / "log", 100)


@pytest.fixture
def url(log: WitnessedLog, tmp_path: Path) -> Iterator[str]:
    with answering(witness_of(tmp_path / "w", log)) as where:
        yield where


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key.pem"
    path.write_text(private_pem(b"l" * 32))
    path.chmod(0o600)
    return str(path)


def asked_long_ago(log: WitnessedLog) -> None:
    """As if the last attempt with each witness were more than a minute ago."""
    replaced = {
        one: msgspec.structs.replace(last, tried_at=0) for one, last in log.kept.attempts().items()
    }
    log.kept.tell(replaced)


def sign(log: WitnessedLog, key: str) -> int:
    log.append("audit.started", {"pid": 3})
    return main(["checkpoint", str(log.path), "--key", key, "--origin", "audit.example/shop"])


def test_who_signs_asks_the_witness_and_verify_wants_it(
    log: WitnessedLog, url: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, vkey = str(log.path), KEYS[0].to_vkey()
    assert main(["witness", "status", where]) == Exit.NOTHING
    assert main(["witness", "add", url, where, "--key", vkey]) == Exit.OK
    assert main(["witness", "status", where]) == Exit.INCOMPLETE
    assert sign(log, key) == Exit.OK
    assert f"cosigned by {KEYS[0].key_id}" in capsys.readouterr().out
    assert main(["witness", "status", where, "--json"]) == Exit.OK
    (row,) = json.loads(capsys.readouterr().out)["witnesses"]
    assert (row["witness"], row["state"]) == ("w1.example.com", "cosigned")
    verify = ["verify", where, "--key", key, "--no-anchor-required"]
    assert main([*verify, "--witness", vkey]) == Exit.OK
    assert "witnessed     up to record" in capsys.readouterr().out
    assert main([*verify, "--witness", vkey, "--witness", KEYS[1].to_vkey()]) == Exit.FINDINGS
    two = ["--witness", vkey, "--witness", KEYS[1].to_vkey(), "--quorum", "1"]
    assert main([*verify, *two]) == Exit.OK
    policy = tmp_path / "policy"
    policy.write_text(
        f"log {PAIR.to_vkey(log.newest.origin)}\n" + (log.path / "witness.policy").read_text()
    )
    assert main(["verify", where, "--policy", str(policy), "--no-anchor-required"]) == Exit.OK


def test_status_and_doctor_say_since_when_somebody_else_knows_and_what_nobody_would_notice(
    log: WitnessedLog, url: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told() -> tuple[str, str]:
        main(["status", str(log.path)])
        out = capsys.readouterr().out
        main(["doctor", str(log.path / "audit.jsonl"), "--json"])
        return out, json.loads(capsys.readouterr().out)["file"]["outside"]

    for text in told():
        assert "nobody else has a checkpoint: who has the key can write another past" in text
    log.kept.add("w1", KEYS[0].to_vkey(), url)
    size = log.collect()[KEYS[0].key_id].cosigned_size
    for text in told():
        assert re.search(rf"cosigned up to record {size} at 20[0-9T:.-]+Z", text)
        assert f"who has the key can write another past after record {size}, unnoticed" in text


def test_while_a_key_is_replaced_the_note_is_signed_by_both(
    log: WitnessedLog, url: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A witness that knows the old key alone goes on with both, and not with the new one."""
    vkey, old = KEYS[0].to_vkey(), log.vkey
    successor = Ed25519Key.from_seed(b"n" * 32)
    path = tmp_path / "successor.pem"
    path.write_text(private_pem(b"n" * 32))
    path.chmod(0o600)
    assert main(["witness", "add", url, str(log.path), "--key", vkey]) == Exit.OK
    words = [str(log.path), "--key", key, "--origin", "audit.example/shop"]
    assert main(["checkpoint", *words]) == Exit.OK  # asked a moment ago, and again all the same
    assert main(["checkpoint", *words, "--rotate-to", str(path)]) == Exit.OK
    assert f"cosigned by {KEYS[0].key_id}" in capsys.readouterr().out
    note = Note.from_bytes((log.path / "checkpoint").read_bytes())
    new = Ed25519Key.from_vkey(successor.to_vkey(log.newest.origin))
    for one in (KeyRing([old]), KeyRing([new]), KeyRing([old, new])):
        assert note.check(one) == "ok"
    assert main(["verify", str(log.path), "--key", key, "--witness", vkey]) == Exit.OK
    words[2] = str(path)
    log.append("audit.started", {"pid": 3})
    asked_long_ago(log)
    assert main(["checkpoint", *words]) == Exit.OK
    assert "did not cosign: it answered 403" in capsys.readouterr().err


def test_a_witness_that_was_away_while_a_key_was_replaced_gets_the_note_of_both_later(
    log: WitnessedLog, url: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It cosigns what the old key vouches for, once, and says no to what came after it."""
    vkey, successor = KEYS[0].to_vkey(), tmp_path / "successor.pem"
    successor.write_text(private_pem(b"n" * 32))
    successor.chmod(0o600)
    words = [str(log.path), "--key", key, "--origin", "audit.example/shop"]
    assert main(["checkpoint", *words, "--rotate-to", str(successor)]) == Exit.OK
    changed = parse_text(Note.from_bytes((log.path / HANDOVER).read_bytes()).text.encode())[1]
    words[2] = str(successor)
    log.append("audit.started", {"pid": 3})
    assert main(["witness", "add", url, str(log.path), "--key", vkey]) == Exit.OK
    assert main(["checkpoint", *words]) == Exit.OK
    told = capsys.readouterr()
    assert f"cosigned by {KEYS[0].key_id}: {changed} records" in told.out
    assert "it knows the old key alone: tell it the new one" in told.err
    assert main(["verify", str(log.path), "--key", key, "--witness", vkey]) == Exit.OK
    asked_long_ago(log)
    log.append("audit.started", {"pid": 4})
    assert main(["checkpoint", *words]) == Exit.OK
    told = capsys.readouterr()
    assert "did not cosign: it answered 403" in told.err
    assert "cosigned by" not in told.out


@pytest.mark.parametrize("records", [50, 101])
def test_a_log_that_is_not_the_one_that_was_cosigned_is_a_finding_before_anybody_is_asked(
    log: WitnessedLog, url: str, tmp_path: Path, records: int
) -> None:
    log.kept.add("w1", KEYS[0].to_vkey(), url)
    log.grow()
    log.collect()
    assert main(["witness", "status", str(log.path)]) == Exit.OK
    other = WitnessedLog(tmp_path / "other", records)
    for name in ("witness.policy", "witness.json", "cosignatures.jsonl"):
        shutil.copy(log.path / name, other.path / name)
    assert main(["witness", "status", str(other.path)]) == Exit.FINDINGS


def test_without_a_checkpoint_of_a_key_that_is_given_nothing_was_cosigned(
    log: WitnessedLog, url: str
) -> None:
    log.kept.add("w1", KEYS[0].to_vkey(), url)
    log.collect()
    stranger = Ed25519Key.from_seed(b"x" * 32).to_vkey(log.newest.origin)
    assert main(["witness", "status", str(log.path), "--key", stranger]) == Exit.INCOMPLETE


def test_a_witness_that_is_ahead_is_a_finding(
    log: WitnessedLog, url: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = log.copy(tmp_path / "longer")
    main(["witness", "add", url, str(longer.path), "--key", KEYS[0].to_vkey()])
    for _ in range(3):
        longer.append("audit.started", {"pid": 4})
    assert main(
        ["checkpoint", str(longer.path), "--key", key, "--origin", "audit.example/shop"]
    ) == Exit.OK  # fmt: skip
    main(["witness", "add", url, str(log.path), "--key", KEYS[0].to_vkey()])
    assert sign(log, key) == Exit.FINDINGS
    assert "has cosigned more than is signed here" in capsys.readouterr().err
    assert main(["witness", "status", str(log.path)]) == Exit.FINDINGS


@pytest.mark.parametrize(
    "words",
    [
        ["--quorum", "1"],
        ["--witness", KEYS[0].to_vkey(), "--quorum", "2"],
        ["--witness", KEYS[0].to_vkey(), "--policy", "x"],
        ["--witness", "a+b+c"],
        ["--witness", KEYS[0].to_vkey(), "--from-seq", "2"],
        ["--witness", KEYS[0].to_vkey(), "--until", "2026-01-01"],
        ["--anchor", __file__, "--since", "2026-01-01"],
        ["--key", PAIR.to_vkey("x"), "--witness", Cosigner.of_pair("x", PAIR).to_vkey()],
    ],
)
def test_demands_that_cannot_be_are_refused(log: WitnessedLog, words: list[str]) -> None:
    assert main(["verify", str(log.path), *words]) == Exit.USAGE


def test_a_policy_that_demands_no_witness_is_told(
    log: WitnessedLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"log {PAIR.to_vkey(log.newest.origin)}\nquorum none\n")
    words = ["verify", str(log.path), "--policy", str(policy), "--no-anchor-required"]
    assert main(words) == Exit.OK
    assert "demands no witness" in capsys.readouterr().err


def test_a_file_of_anchors_of_which_a_part_would_not_count_is_refused(
    log: WitnessedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "MOST_KEPT", 100)
    assert main(["verify", str(log.path), "--anchor", __file__]) == Exit.USAGE


@pytest.mark.parametrize("what", ["a+b+c", "w.example+00000000+BA=="])
def test_a_witness_that_is_none_is_refused(log: WitnessedLog, what: str) -> None:
    words = ["witness", "add", "https://w.example", str(log.path), "--key", what]
    assert main(words) == Exit.USAGE
    words = ["witness", "add", "ftp://w.example", str(log.path), "--key", KEYS[0].to_vkey()]
    assert main(words) == Exit.USAGE


def test_our_own_is_served_until_a_signal_comes(
    log: WitnessedLog, key: str, tmp_path: Path
) -> None:
    vkey = PAIR.to_vkey(log.newest.origin)
    words = [
        *("witness", "serve", "--name", "w.example", "--key", key, "--log", vkey),
        *("--state", str(tmp_path / "state"), "--port", "0"),
    ]
    with subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            own = process.stdout.readline().removeprefix("verifier key ").strip()
            said = process.stdout.readline()
            assert said.startswith("witness of 1 log at http://127.0.0.1:")
            where = said.split()[-1]
            assert main(["witness", "add", where, str(log.path), "--key", own]) == Exit.OK
            assert sign(log, key) == Exit.OK
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == Exit.OK
    assert b"\xe2\x80\x94 w.example " in (log.path / "checkpoint").read_bytes()


def test_a_key_that_is_none_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, why in (("", "Is a directory"), ("none", "No such file"), ("binary", "no text")):
        words = ["--key", f"{tmp_path}/{name}", "https://witness.example.com", str(tmp_path)]
        assert main(["witness", "add", *words]) == Exit.USAGE
        told = " ".join(capsys.readouterr().err.split())
        assert why in told
        assert "Errno" not in told
