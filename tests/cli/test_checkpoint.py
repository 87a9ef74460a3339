"""``audit-emit checkpoint``, ``keygen``, ``prove`` and ``verify-proof``, end to end."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.plain_log_reader import chain_ok, of_type, whole_lines
from support.program import PROGRAM
from support.waiting import PATIENCE, until

from audit_emit import Emitter
from audit_emit._core import own_records
from audit_emit._format.checkpoint import Checkpoint, check
from audit_emit._format.signed_note import Note
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import SinkError


class Place:
    """A log with ten events, and the two halves of a key."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log" / "audit.jsonl"
        self.key = directory / "key.pem"
        self.vkey = directory / "vkey"
        self.emitter = Emitter(service="shop", jsonl=self.log, stdout=False)
        self.emit(10)

    def emit(self, count: int) -> None:
        for number in range(count):
            self.emitter.emit(None, "shop.sold", {"n": number})
        assert self.emitter.flush(PATIENCE)  # whoever else has the log now is waited for

    def checkpoints(self) -> list[Checkpoint]:
        lines = whole_lines(self.log.parent / "checkpoints.jsonl")
        return [Checkpoint.from_line(line) for line in lines]


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    made = Place(tmp_path)
    arguments = ["--out", str(made.key), "--origin", "a.example/shop"]
    assert main(["keygen", *arguments]) == Exit.OK
    made.vkey.write_text(capsys.readouterr().out)
    yield made
    made.emitter.close()


def sign(place: Place, *options: str) -> int:
    origin = ["--origin", "a.example/shop"]
    return main(["checkpoint", str(place.log.parent), "--key", str(place.key), *origin, *options])


def test_a_chain_that_cannot_be_written_is_told(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SinkError("ENOSPC")

    monkeypatch.setattr(own_records, "append", full)
    assert sign(place) == Exit.INCOMPLETE
    assert "signed and in checkpoints.jsonl, but" in capsys.readouterr().err
    assert len(place.checkpoints()) == 1


def test_a_directory_that_cannot_be_listed_is_not_taken_for_tampering(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: str) -> list[str]:
        raise OSError(errno.EIO, "Input/output error")

    assert sign(place) == Exit.OK
    place.emit(1)
    monkeypatch.setattr(os, "listdir", unreadable)
    assert sign(place) == Exit.NOTHING
    assert "Input/output error" in capsys.readouterr().err


def test_a_log_is_signed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(place) == Exit.OK
    (made,) = place.checkpoints()
    assert f"checkpoint 11 of {made.origin}" in capsys.readouterr().out
    assert made.reason == "manual"
    assert check(made, KeyRing.from_sources([str(place.vkey)])) == "ok"
    records = chain_ok(place.log)
    (told,) = of_type(place.log, "audit.checkpoint")
    assert told["service"] == "shop"
    assert len(of_type(place.log, "audit.started")) == 1, "signing is no start of the service"
    assert records[-1] == told
    assert sign(place) == Exit.OK
    assert "nothing new since checkpoint 11" in capsys.readouterr().out
    assert len(place.checkpoints()) == 1


def test_the_note_verifies(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert sign(place, "--note") == Exit.OK
        note = Note.from_bytes(capsys.readouterr().out.encode())
        assert note.text.splitlines()[1] == "11"
        assert note.check(KeyRing.from_sources([str(place.vkey)])) == "ok"


def test_an_hmac_key_makes_no_note(place: Place, tmp_path: Path) -> None:
    key = tmp_path / "hmac"
    assert main(["keygen", "--hmac", "--out", str(key)]) == Exit.OK
    assert main(["checkpoint", str(place.log), "--key", str(key), "--note"]) == Exit.USAGE
    assert place.checkpoints()[0].sig_alg == "hmac-sha256"


def test_a_changed_log_is_not_signed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(place) == Exit.OK
    content = place.log.read_bytes()
    place.log.write_bytes(content.replace(b'"n":9', b'"n":8'))
    place.emitter.emit(None, "a.b")
    assert sign(place) == Exit.OK, "what was signed before is not read again"
    place.emitter.emit(None, "a.c", {"n": 77})
    place.log.write_bytes(place.log.read_bytes().replace(b'"n":77', b'"n":78'))
    assert sign(place) == Exit.FINDINGS
    assert "was changed" in capsys.readouterr().err
    assert len(place.checkpoints()) == 2


def test_no_key_and_no_log(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["checkpoint", str(place.log)]) == Exit.USAGE
    assert "AUDIT_EMIT_SIGNING_KEY_FILE" in capsys.readouterr().err
    assert main(["checkpoint", str(tmp_path), "--key", str(place.key)]) == Exit.NOTHING
    assert not (tmp_path / "audit.jsonl").exists()
    assert not (tmp_path / "checkpoints.jsonl").exists()
    place.log.write_bytes(b"")
    assert sign(place) == Exit.NOTHING
    assert main(["checkpoint", "--watch", "--note"]) == Exit.USAGE


def test_the_environment_configures_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(place.log))
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY_FILE", str(place.key))
    monkeypatch.setenv("AUDIT_EMIT_ORIGIN", "b.example/shop")
    assert main(["checkpoint"]) == Exit.OK
    assert place.checkpoints()[0].origin.startswith("b.example/shop/")


def test_watch_signs_as_the_log_grows_and_at_its_end(place: Place) -> None:
    command = [*PROGRAM, "checkpoint", str(place.log), "--key", str(place.key), "--watch"]
    environ = {**os.environ, "AUDIT_EMIT_STDOUT": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        try:
            until(lambda: [one.reason for one in place.checkpoints()] == ["startup"])
            place.emit(120)
            until(lambda: [one.reason for one in place.checkpoints()] == ["startup", "threshold"])
            place.emit(3)
        finally:
            process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == Exit.OK
    assert [one.reason for one in place.checkpoints()] == ["startup", "threshold", "shutdown"]
    ring = KeyRing.from_sources([str(place.vkey)])
    assert {check(one, ring) for one in place.checkpoints()} == {"key-unavailable"}
    lines = [line for line in out.splitlines() if line.startswith(b"audit: ")]
    assert len(lines) == 3, "Loki gets them, too"
    chain_ok(place.log)


def test_watch_waits_for_a_first_record_that_is_torn_as_on_an_empty_log(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = tmp_path / "torn" / "audit.jsonl"
    torn.parent.mkdir()
    torn.write_bytes(whole_lines(place.log)[0][:40])
    signed = torn.parent / "checkpoints.jsonl"

    def go_on(told: list[int], _: float) -> None:
        assert not signed.exists()
        emitter = Emitter(service="shop", jsonl=torn, stdout=False)
        emitter.emit(None, "shop.sold", {})
        emitter.close()
        told.append(signal.SIGTERM)

    monkeypatch.setattr("audit_emit.cli.checkpoint.pause", go_on)
    assert main(["checkpoint", str(torn), "--key", str(place.key), "--watch"]) == Exit.OK
    assert len(whole_lines(signed)) == 1


def test_a_key_file_is_for_its_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ([], ["--hmac"]):
        path = tmp_path / f"key{len(option)}"
        assert main(["keygen", "--out", str(path), *option]) == Exit.OK
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = path.read_bytes()
        assert main(["keygen", "--out", str(path), *option]) == Exit.USAGE
        assert "never overwritten" in capsys.readouterr().err
        assert path.read_bytes() == before
        assert len(KeyRing.from_sources([str(path)]).keys) == 1


def test_a_full_disk_leaves_no_part_of_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        status = main(["keygen", "--hmac", "--out", str(path)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert status == Exit.NOTHING
    assert f"{path}: File too large" in capsys.readouterr().err
    assert not path.exists()


def test_a_key_on_standard_output_is_alone_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen"]) == Exit.OK
    shown = capsys.readouterr()
    assert shown.out.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert shown.err.startswith("audit_emit/app+")
    assert main(["keygen", "--hmac"]) == Exit.OK
    shown = capsys.readouterr()
    assert len(bytes.fromhex(shown.out)) == 32
    assert shown.err.startswith("key id ")
    assert main(["keygen", "--origin", "two words"]) == Exit.USAGE


def test_a_record_is_proved_without_the_log(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(place) == Exit.OK
    proof = tmp_path / "proof.json"
    record = chain_ok(place.log)[4]
    for which in ("5", record["id"]):
        arguments = ["prove", which, str(place.log.parent), "--out", str(proof), "--force"]
        assert main(arguments) == Exit.OK
        assert json.loads(json.loads(proof.read_bytes())["record"]) == record
    place.log.unlink()
    capsys.readouterr()
    assert main(["verify-proof", str(proof), "--key", str(place.vkey)]) == Exit.OK
    assert "proved: record 5 is in a.example/shop/" in capsys.readouterr().out
    assert main(["verify-proof", str(proof), "--key", str(place.vkey), "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out)["verdict"] == "ok"


def test_a_proof_is_refused_or_left_open(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(place) == Exit.OK
    proof = tmp_path / "proof.json"
    assert main(["prove", "5", str(place.log), "--out", str(proof)]) == Exit.OK
    assert main(["verify-proof", str(proof)]) == Exit.INCOMPLETE
    assert "--key" in capsys.readouterr().out
    text = proof.read_text()
    proof.write_text(text.replace("shop.sold", "shop.sole"))
    assert main(["verify-proof", str(proof), "--key", str(place.vkey)]) == Exit.FINDINGS
    assert "not proved" in capsys.readouterr().out
    proof.write_text(text[:-5])
    assert main(["verify-proof", str(proof), "--key", str(place.vkey)]) == Exit.NOTHING
    assert main(["verify-proof", str(tmp_path / "none")]) == Exit.NOTHING


def test_a_proof_that_does_not_hold_is_the_status_when_nobody_reads_it(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_up(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    assert sign(place) == Exit.OK
    proof = tmp_path / "proof.json"
    assert main(["prove", "5", str(place.log), "--out", str(proof)]) == Exit.OK
    proof.write_text(proof.read_text().replace("shop.sold", "shop.sole"))
    monkeypatch.setattr("click.echo", hang_up)
    assert main(["verify-proof", str(proof), "--key", str(place.vkey)]) == Exit.FINDINGS


def test_what_cannot_be_proved(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "5", str(place.log)]) == Exit.INCOMPLETE, "no checkpoint"
    assert sign(place) == Exit.OK
    for which in ("0", "13", "01890000-0000-7000-8000-000000000000"):
        assert main(["prove", which, str(place.log)]) == Exit.NOTHING
    assert main(["prove", "12", str(place.log)]) == Exit.INCOMPLETE, "after the checkpoint"
    assert main(["prove", "five", str(place.log)]) == Exit.USAGE
    place.log.write_bytes(place.log.read_bytes().replace(b'"n":3', b'"n":4'))
    assert main(["prove", "5", str(place.log)]) == Exit.FINDINGS
    assert capsys.readouterr().out.count('"record"') == 0


def test_a_key_is_rotated_from_end_to_end(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.pem"
    assert main(["keygen", "--out", str(new), "--origin", "a.example/shop"]) == Exit.OK
    new_vkey = capsys.readouterr().out.strip()
    assert sign(place) == Exit.OK
    place.emit(3)
    assert sign(place, "--rotate-to", str(new)) == Exit.OK
    shown = capsys.readouterr().out
    assert "which can sign no more" in shown
    name, _, rest = new_vkey.partition("+")
    full = shown.splitlines()[-1]
    last = place.checkpoints()[-1]
    assert full.startswith(f"{name}/{last.chain}+{last.key_id}+")
    assert full.endswith(rest.partition("+")[2]), "the same key under the log's full name"
    place.emit(3)
    assert sign(place) == Exit.USAGE, "the old key is retired"
    assert "put the newest key last" in capsys.readouterr().err
    place.key = new
    assert sign(place) == Exit.OK
    old, *_, last = place.checkpoints()
    assert old.key_id != last.key_id
    capsys.readouterr()
    for vkey in (str(place.vkey), new_vkey, full):
        status = main(["verify", str(place.log), "--key", vkey, "--json"])
        report = json.loads(capsys.readouterr().out)
        if vkey != str(place.vkey):
            assert status == Exit.INCOMPLETE, "the old key's own checkpoints need the old key"
        else:
            assert status == Exit.OK
        assert report["anchored_seq"] == last.head_seq
    (told,) = of_type(place.log, "audit.key_rotated")
    assert told["fields"]["old_key_id"] == old.key_id


class TestVkey:
    def test_is_the_key_under_the_full_name(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--key", str(place.key), "--origin", "a.example/shop"]
        assert main(["vkey", str(place.log), *arguments]) == Exit.OK
        before = capsys.readouterr().out.strip()
        assert sign(place) == Exit.OK
        assert capsys.readouterr().out.splitlines()[-1] == f"verifier key {before}"
        (made,) = place.checkpoints()
        # What every other implementation of C2SP notes does with it.
        name, key_id, data = before.split("+", 2)
        assert (name, key_id) == (made.origin, made.key_id)
        public = base64.b64decode(data)
        assert hashlib.sha256(name.encode() + b"\n" + public).hexdigest()[:8] == key_id
        (signature, cosignature) = made.to_note(cosigned=True).signatures
        assert (signature.name, signature.key_id) == (name, key_id)
        assert cosignature.name == name
        for pinned in (before, str(place.vkey)):
            assert check(made, KeyRing.from_sources([pinned])) == "ok"
            assert main(["verify", str(place.log), "--key", pinned]) == Exit.OK

    def test_of_the_public_half_and_of_a_directory(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--key", str(place.vkey), "--origin", "a.example/shop"]
        assert main(["vkey", str(place.log.parent), *arguments]) == Exit.OK
        assert capsys.readouterr().out.startswith("a.example/shop/")

    def test_is_nothing_that_a_shared_key_has(
        self, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        key = tmp_path / "hmac"
        assert main(["keygen", "--hmac", "--out", str(key)]) == Exit.OK
        assert main(["vkey", str(place.log), "--key", str(key)]) == Exit.USAGE
        assert "shared key" in capsys.readouterr().err

    def test_wants_a_record_and_a_key_that_is_meant(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        elsewhere = ["--key", str(place.vkey), "--origin", "b.example"]
        assert main(["vkey", str(place.log), *elsewhere]) == Exit.USAGE
        assert "a.example/shop" in capsys.readouterr().err
        assert main(["vkey", str(place.log)]) == Exit.USAGE
        place.log.write_bytes(b"no record\n")
        assert main(["vkey", str(place.log), "--key", str(place.key)]) == Exit.NOTHING


@pytest.mark.parametrize("kind", [[], ["--hmac"]])
def test_the_id_that_keygen_prints_is_found_in_the_verdict(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: list[str]
) -> None:
    key = tmp_path / "made"
    origin = ["--origin", "a.example/shop"]
    assert main(["keygen", "--out", str(key), *origin, *kind]) == Exit.OK
    told = capsys.readouterr().out.strip()
    printed = told.removeprefix("key id ") if kind else told.split("+")[1]
    assert main(["checkpoint", str(place.log), "--key", str(key), *origin]) == Exit.OK
    full = place.checkpoints()[0].key_id
    pins = [str(key), *([] if kind else [told])]
    proof = tmp_path / "proof"
    assert main(["prove", "3", str(place.log), "--out", str(proof)]) == Exit.OK
    for pin in pins:
        capsys.readouterr()
        assert main(["verify", str(place.log), "--key", pin]) == Exit.OK
        assert main(["verify-proof", str(proof), "--key", pin]) == Exit.OK
        for verdict in capsys.readouterr().out.split("proved: "):
            assert printed in verdict
            assert full in verdict


def test_the_second_verifier_reads_what_keygen_writes(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).parents[2] / "docs" / "verify_chain.py"
    shared = tmp_path / "shared"
    assert main(["keygen", "--hmac", "--out", str(shared)]) == Exit.OK
    assert main(["checkpoint", str(place.log), "--key", str(shared)]) == Exit.OK

    def judged(key: Path) -> tuple[int, str]:
        command = [sys.executable, str(script), str(place.log.parent), str(key)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
        return done.returncode, done.stdout + done.stderr

    assert judged(shared) == (0, "")
    for other in (place.key, place.vkey):
        status, shown = judged(other)
        assert status == Exit.INCOMPLETE
        assert "key-unavailable" in shown
        assert "no HMAC key" in shown
    status, shown = judged(tmp_path / "none")
    assert (status, "Traceback" in shown) == (2, False)


class TestTheState:
    def test_elsewhere_keeps_a_forged_log_from_being_signed(
        self, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        state = tmp_path / "signer.state"
        assert sign(place, "--state", str(state)) == Exit.OK
        assert state.exists()
        place.emitter.close()
        for name in ("checkpoints.jsonl", "audit.jsonl", "audit.jsonl.lock"):
            (place.log.parent / name).unlink()
        forged = tmp_path / "forged.jsonl"
        place.emitter = Emitter(service="shop", jsonl=forged, stdout=False)
        place.emit(40)
        place.emitter.close()
        forged.rename(place.log)
        assert sign(place, "--state", str(state)) == Exit.FINDINGS
        assert "is not in the log as it was" in capsys.readouterr().err
        assert place.checkpoints() == []

    def test_that_is_lost_is_replaced_only_by_the_first(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert sign(place) == Exit.OK
        (place.log.parent / "checkpoints.state").unlink()
        place.emit(1)
        assert sign(place) == Exit.FINDINGS
        assert "--first" in capsys.readouterr().err
        assert sign(place, "--first") == Exit.OK
        place.emit(1)
        assert sign(place) == Exit.OK
        assert len(place.checkpoints()) == 3

    def test_of_the_environment(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AUDIT_EMIT_CHECKPOINT_STATE", str(tmp_path / "signer.state"))
        assert sign(place) == Exit.OK
        assert (tmp_path / "signer.state").exists()

    def test_in_no_directory_is_a_usage_error(
        self, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert sign(place, "--state", str(tmp_path / "no" / "state")) == Exit.USAGE
        assert "not there" in capsys.readouterr().err
        assert sign(place, "--state", str(tmp_path)) == Exit.USAGE


def test_what_cannot_be_rotated(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    assert main(["keygen", "--hmac", "--out", str(other)]) == Exit.OK
    assert sign(place, "--rotate-to", str(other), "--watch") == Exit.USAGE
    assert sign(place, "--rotate-to", str(place.vkey)) == Exit.USAGE
    assert "the same" in capsys.readouterr().err
    assert sign(place, "--rotate-to", str(tmp_path / "none")) == Exit.USAGE
    assert place.checkpoints() == [], "nothing was signed before that was known"
    assert sign(place, "--rotate-to", str(other)) == Exit.OK
    assert [one.sig_alg for one in place.checkpoints()] == ["ed25519", "hmac-sha256"]


def test_a_change_of_key_that_cannot_be_told_signs_nothing(
    place: Place,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sign(place) == Exit.OK
    new = tmp_path / "new.pem"
    assert main(["keygen", "--out", str(new)]) == Exit.OK

    def full(*_: object, **__: object) -> None:
        raise SinkError("ENOSPC")

    monkeypatch.setattr(own_records, "append", full)
    assert sign(place, "--rotate-to", str(new)) == Exit.INCOMPLETE
    assert "the new key signs nothing" in capsys.readouterr().err
    assert len(place.checkpoints()) == 1
