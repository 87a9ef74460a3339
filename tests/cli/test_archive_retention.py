"""``audit-emit archive hold``, ``release``, ``prune`` and the worker, on a real store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.archived_log import ORIGIN, SignedLog
from support.object_store import Store
from support.program import PROGRAM
from support.waiting import PATIENCE, until

from audit_emit._archive.guard import guard_of
from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._signing.trusted_keys import private_pem
from audit_emit.cli import main
from audit_emit.cli._exit import Exit


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key.pem"
    path.write_text(private_pem(b"\7" * 32))
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def log(tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedLog]:
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY_FILE", key)
    monkeypatch.setenv("AUDIT_EMIT_ORIGIN", ORIGIN)
    made = SignedLog(tmp_path / "log").add(150)
    yield made
    made.close()


@pytest.fixture
def archived(log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]) -> SignedLog:
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    log.sign()
    capsys.readouterr()
    return log


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = main([*args, "--json"])
    return status, json.loads(capsys.readouterr().out)


def of_type(log: SignedLog, event_type: str) -> list[dict[str, Any]]:
    mark = f'"event_type":"{event_type}"'.encode()
    return [json.loads(line)["fields"] for line in log.read().splitlines() if mark in line]


def test_what_is_archived_and_old_goes_and_the_log_verifies_alone_and_with_the_archive(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, before = str(archived.directory), archived.closed()
    status, would = told(capsys, "archive", "prune", directory, "--hot-days", "0", "--dry-run")
    assert status == Exit.OK
    assert archived.closed() == before
    status, did = told(capsys, "archive", "prune", directory, "--hot-days", "0")
    assert status == Exit.OK
    assert did["files"] == would["files"] == [path.name for path in before[: len(did["files"])]]
    left = archived.closed()
    assert 0 < len(did["files"]) <= len(before)
    assert len(of_type(archived, "audit.pruned")) == 1
    archived.sign()
    assert told(capsys, "verify", directory)[0] == Exit.OK
    status, report = told(capsys, "verify", directory, f"s3://{store.name}/audit")
    assert status == Exit.OK
    assert report["archive"]["oldest_hot_seq"] == did["oldest_hot_seq"] > 1
    assert report["first_seq"] == 1
    said = told(capsys, "archive", "status", directory)[1]
    assert [one["pruned"] for one in said["batches"]].count(True) == len(before) - len(left)


def test_every_proof_of_what_was_removed_is_made_with_the_archive_without_tiles_too(
    archived: SignedLog, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its tiles stay; where they are lost they are made again of what is archived."""
    log, archive = str(archived.directory), f"s3://{store.name}/audit"
    first = told(capsys, "archive", "prune", log, "--hot-days", "0")[1]["oldest_hot_seq"]
    archived.sign()
    assert told(capsys, "tiles", "check", log)[0] == Exit.OK
    for where in ([log, archive], [archive], [log]):
        shutil.rmtree(archived.directory / "tile", ignore_errors=True)
        proof = tmp_path / f"{len(where)}-{where[0] == log}.proof"
        seq = "3" if archive in where else str(first + 1)
        assert main(["prove", seq, *where, "--out", str(proof)]) == Exit.OK
        assert main(["verify-proof", str(proof)]) == Exit.OK
        assert main(["tiles", "build", log, archive]) == Exit.OK
        assert told(capsys, "tiles", "check", log)[0] == Exit.OK
    assert main(["prove", "3", log]) == Exit.NOTHING
    assert "record 3 was removed" in capsys.readouterr().err


def test_an_erasure_finds_what_is_in_the_archive_alone(
    archived: SignedLog, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, keys = str(archived.directory), str(tmp_path / "subjects.keys")
    assert main(["archive", "prune", directory, "--hot-days", "0"]) == Exit.OK
    words = ["--subject-keys", keys, "--dry-run"]
    (here,) = told(capsys, "erase", "u-17", directory, *words)[1]["logs"]
    both = [directory, f"s3://{store.name}/audit"]
    (found,) = told(capsys, "erase", "u-17", *both, *words)[1]["logs"]
    assert here["records"] < found["records"] == 150
    assert main(["erase", "u-17", both[1], "--subject-keys", keys]) == Exit.USAGE
    assert "an archive takes no record" in capsys.readouterr().err


def test_young_records_stay_by_default(
    archived: SignedLog, capsys: pytest.CaptureFixture[str]
) -> None:
    before = archived.closed()
    assert told(capsys, "archive", "prune", str(archived.directory))[1]["files"] == []
    assert archived.closed() == before


def test_what_the_archive_cannot_give_back_is_not_removed(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = told(capsys, "archive", "status", str(archived.directory))[1]["batches"]
    one = batches[1]
    store.delete(one["object"], VersionId=one["version"])
    status, did = told(capsys, "archive", "prune", str(archived.directory), "--hot-days", "0")
    assert status == Exit.FINDINGS
    assert did["highest_proved_seq"] == batches[0]["last_seq"]
    assert did["oldest_hot_seq"] == batches[0]["last_seq"] + 1


def hold(log: SignedLog, name: str, first: int, last: int | None = None) -> int:
    ends = ["--last-seq", str(last)] if last is not None else []
    directory = str(log.directory)
    return main(["archive", "hold", name, directory, "--first-seq", str(first), *ends])


def held(store: Store, batches: list[dict[str, Any]]) -> list[bool]:
    """Which of the batches have a hold on their object."""
    with store.opened() as bucket:
        states = [bucket.look_at(one["object"], one["version"]) for one in batches]
    return [one is not None and one.hold for one in states]


def test_nothing_goes_beyond_a_hold_until_it_is_released(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(archived.directory)
    batches = told(capsys, "archive", "status", directory)[1]["batches"]
    middle = batches[1]["first_seq"]
    assert hold(archived, "case-17", middle, middle) == Exit.OK
    (said,) = of_type(archived, "audit.hold")
    assert (said["action"], said["hold"], said["first_seq"]) == ("placed", "case-17", middle)
    assert held(store, batches[:2]) == [False, True]
    assert [one["name"] for one in told(capsys, "archive", "status", directory)[1]["holds"]] == [
        "case-17"
    ]
    status, did = told(capsys, "archive", "prune", directory, "--hot-days", "0")
    assert (status, did["oldest_hot_seq"]) == (Exit.OK, middle)
    assert "case-17" in did["stopped"]
    assert main(["archive", "release", "case-17", directory]) == Exit.OK
    assert [one["action"] for one in of_type(archived, "audit.hold")] == ["placed", "released"]
    assert held(store, batches[1:2]) == [False]
    archived.sign()
    assert told(capsys, "archive", "prune", directory, "--hot-days", "0")[1]["files"]
    archived.sign()
    assert told(capsys, "verify", directory, f"s3://{store.name}/audit")[0] == Exit.OK


def test_no_file_beside_the_log_releases_a_hold(
    archived: SignedLog, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, before = str(archived.directory), archived.closed()
    assert hold(archived, "case-17", 1) == Exit.OK
    (archived.directory / "archive.jsonl").unlink()
    for content in ('{"v":1,"holds":[]}', ""):
        (archived.directory / "holds.json").write_text(content)
        assert told(capsys, "prune", directory, "--older-than", "0d")[1]["files"] == []
        told(capsys, "archive", "prune", directory, "--hot-days", "0")
        assert archived.closed() == before


def test_a_hold_that_is_placed_again_is_recorded_once_and_reaches_every_object(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = told(capsys, "archive", "status", str(archived.directory))[1]["batches"]
    assert hold(archived, "case-17", 1) == Exit.OK
    with store.opened() as bucket:
        bucket.hold(batches[1]["object"], batches[1]["version"], on=False)
    assert hold(archived, "case-17", 1) == Exit.OK
    assert held(store, batches) == [True] * len(batches)
    assert len(of_type(archived, "audit.hold")) == 1
    assert hold(archived, "case-17", 5) == Exit.USAGE


def test_a_release_lifts_no_hold_from_objects_that_only_the_journal_names(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whoever writes the journal could else have the hold of another log lifted."""
    other = SignedLog(tmp_path / "other").add(150)
    try:
        assert main(["archive", "run", str(other.directory)]) == Exit.OK
        assert hold(other, "case-9", 1) == Exit.OK
        batches = told(capsys, "archive", "status", str(other.directory))[1]["batches"]
        with (archived.directory / "archive.jsonl").open("ab") as journal:
            journal.write((other.directory / "archive.jsonl").read_bytes())
        assert hold(archived, "case-17", 1) == Exit.OK
        assert main(["archive", "release", "case-17", str(archived.directory)]) == Exit.OK
        assert held(store, batches) == [True] * len(batches)
    finally:
        other.close()


def test_objects_of_a_manifest_that_nobody_vouches_for_stay_held(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = told(capsys, "archive", "status", str(archived.directory))[1]["batches"]
    assert hold(archived, "case-17", 1) == Exit.OK
    key = batches[-1]["manifest"]
    forged = store.get(key).replace(b'"low_ts":"2', b'"low_ts":"1')
    with store.opened() as bucket:
        bucket.hold(key, "", on=False)
    store.delete_for_good(key)
    store.replace(key, forged)
    assert main(["archive", "release", "case-17", str(archived.directory)]) == Exit.FINDINGS
    assert held(store, batches) == [False] * (len(batches) - 1) + [True]


def test_a_forged_release_frees_no_object(
    archived: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(archived.directory)
    batches = told(capsys, "archive", "status", directory)[1]["batches"]
    assert hold(archived, "case-17", 1) == Exit.OK
    (placed,) = (one for one in archived.read().splitlines() if b'"audit.hold"' in one)
    seq = json.loads(placed)["seq"]
    forged = placed.replace(b'"placed"', b'"released"').replace(
        b'"seq":%d' % seq, b'"seq":%d' % (seq + 1)
    )
    digest = leaf_hash(body_of(forged))
    forged = forged.replace(json.loads(placed)["hash"].encode(), digest.encode())
    with (archived.directory / "audit.jsonl").open("ab") as file:
        file.write(forged + b"\n")
    assert hold(archived, "case-18", batches[0]["first_seq"], batches[0]["last_seq"]) == Exit.OK
    assert held(store, batches) == [True] * len(batches)
    assert main(["archive", "release", "case-18", directory]) == Exit.INCOMPLETE
    assert "does not verify" in capsys.readouterr().err
    assert held(store, batches) == [True] * len(batches)


def test_what_is_archived_after_a_hold_was_placed_is_held_as_well(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = str(log.directory)
    assert main(["archive", "hold", "all", directory]) == Exit.OK
    assert main(["archive", "run", directory]) == Exit.OK
    batches = told(capsys, "archive", "status", directory)[1]["batches"]
    assert held(store, batches) == [True] * len(batches)


def test_a_hold_that_is_not_there_is_not_released(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", "release", "case-17", str(log.directory)]) == Exit.USAGE


def test_a_hold_has_a_name_that_a_removal_can_carry_on(log: SignedLog) -> None:
    for name in ("", "x" * 501):
        assert main(["archive", "hold", name, str(log.directory)]) == Exit.USAGE
    for name in ("x" * 500, "../../etc", "password=hunter2", "a\n\x1b[31m", "\u202e17", "-"):
        assert main(["archive", "hold", name, str(log.directory)]) == Exit.OK
        assert main(["archive", "release", name, str(log.directory)]) == Exit.OK
    assert of_type(log, "audit.hold")[-1]["hold"] == "-"


@pytest.mark.parametrize("command", [("archive", "hold", "case-17"), ("anomalies", "--follow")])
def test_no_record_is_written_into_a_file_that_is_no_log(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    foreign = tmp_path / "hosts"
    foreign.write_text("127.0.0.1 localhost\n")
    assert main([*command, str(foreign)]) == Exit.NOTHING
    assert foreign.read_text() == "127.0.0.1 localhost\n"


def test_a_hold_is_on_records_that_a_log_can_have(log: SignedLog) -> None:
    """Another number would be read as none, and hold everything."""
    for option in ("--first-seq", "--last-seq"):
        command = ["archive", "hold", "case-17", str(log.directory), option, str(2**63)]
        assert main(command) == Exit.USAGE
    assert of_type(log, "audit.hold") == []


def test_holds_on_an_archive_need_a_key(
    archived: SignedLog, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_SIGNING_KEY_FILE")
    assert hold(archived, "case-17", 1) == Exit.USAGE
    assert of_type(archived, "audit.hold") == []


def worker(log: SignedLog, store: Store, key: str, **more: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        **store.environment(**more),
        "AUDIT_EMIT_SIGNING_KEY_FILE": key,
        "AUDIT_EMIT_ORIGIN": ORIGIN,
    }
    command = [*PROGRAM, "archive", "run", str(log.directory), "--daily", "03:00"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_worker_makes_up_for_the_day_prunes_and_ends_when_it_is_told(
    log: SignedLog, store: Store, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = Path(guard_of(str(log.directory), f"s3://{store.name}/audit"))
    process = worker(log, store, key, enabled="1", prune="1", hot_days="0")
    try:
        until(guard.exists)
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "archived  records 1 to" in out
    assert "removed" in out


def test_the_worker_does_nothing_before_it_is_enabled(
    log: SignedLog, store: Store, key: str
) -> None:
    process = worker(log, store, key)
    assert process.stderr is not None
    assert "dormant" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    process.communicate()
    assert store.names() == []


def test_what_an_operator_types_is_recorded_without_its_secrets(
    log: SignedLog, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter" + "2hunter2"
    name, directory = f"case password={secret}", str(log.directory)
    reason = f"asked with postgresql://legal:{secret}@db/cases"
    assert main(["archive", "hold", name, directory, "--reason", reason]) == Exit.OK
    assert "is recorded as" in capsys.readouterr().err
    assert main(["archive", "release", name, directory]) == Exit.OK, "by the name that was typed"
    placed, released = of_type(log, "audit.hold")
    assert placed["hold"] == released["hold"] == "case password=[redacted]"
    assert secret.encode() not in log.read()


def test_a_hold_that_is_recorded_with_what_looks_like_a_secret_is_released_by_its_name(
    log: SignedLog,
) -> None:
    """What was recorded before names passed redaction stands in the chain for good."""
    name = "case password=" + "hunter" + "2hunter2"
    fields = {"action": "placed", "hold": name, "first_seq": 1, "last_seq": None, "reason": ""}
    log.emitter.record_own("audit.hold", fields)
    assert log.emitter.flush(PATIENCE)
    directory = str(log.directory)
    assert main(["archive", "release", name, directory]) == Exit.OK
    placed, released = of_type(log, "audit.hold")
    assert (placed["hold"], released["hold"]) == (name, name)


def test_a_record_that_a_command_adds_is_of_the_service_of_the_chain(log: SignedLog) -> None:
    """A line that is in no chain may be anybody's."""
    active = log.directory / "audit.jsonl"
    before = json.loads(log.read().splitlines()[-1])["service"]
    with active.open("ab") as file:
        file.write(b'{"ts":"2026-05-19T20:00:00.000000000Z","event_type":"a.b","service":"x"}\n')
    assert main(["archive", "hold", "case-17", str(log.directory)]) == Exit.OK
    mark = b'"event_type":"audit.hold"'
    (line,) = [line for line in log.read().splitlines() if mark in line]
    assert json.loads(line)["service"] == before
