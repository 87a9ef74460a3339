"""``audit-emit archive``, end to end on a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.archived_log import ORIGIN, SignedLog
from support.fake_loki import LokiServer
from support.object_store import Store

from audit_emit import open_log
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


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, Any]:
    """Status and JSON of a command."""
    status = main([*args, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_log_goes_up_is_checked_and_comes_back_with_the_same_bytes(
    log: SignedLog,
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.use(monkeypatch, lock="governance", lock_days="60")
    directory = str(log.directory)
    closed = {path.name: path.read_bytes() for path in log.closed()}
    status, ran = told(capsys, "archive", "run", directory)
    assert status == Exit.OK
    batches = ran["logs"][0]["archived"]
    assert len(batches) == len(closed)
    assert sum(one["bytes"] for one in batches) == sum(map(len, closed.values()))
    assert told(capsys, "archive", "verify", directory)[0] == Exit.OK
    status, said = told(capsys, "archive", "status", directory)
    assert status == Exit.OK
    assert said["highest_archived_seq"] == batches[-1]["last_seq"]
    assert all(one["declared"] and not one["pruned"] for one in said["batches"])
    target = tmp_path / "restored"
    assert main(["archive", "restore", str(target)]) == Exit.OK
    assert {path.name: path.read_bytes() for path in target.glob("audit-*.jsonl")} == closed
    assert main(["verify", str(target)]) == Exit.OK


def test_nothing_is_restored_that_a_given_key_does_not_vouch_for(
    log: SignedLog,
    store: Store,
    key: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del store
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    target = tmp_path / "restored"
    for command in ("restore", "parquet"):
        assert main(["archive", command, str(target), "--key", "ab" * 32]) == Exit.FINDINGS
        assert "vouches" in capsys.readouterr().err
        assert not target.exists()
    monkeypatch.delenv("AUDIT_EMIT_SIGNING_KEY_FILE")
    assert main(["archive", "restore", str(target)]) == Exit.OK
    assert "were not checked" in capsys.readouterr().err
    assert main(["archive", "restore", str(target), "--key", key]) == Exit.OK
    assert capsys.readouterr().err == ""


def test_a_second_run_finds_nothing_new_and_says_so(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    before = store.names()
    capsys.readouterr()
    status, ran = told(capsys, "archive", "run", str(log.directory))
    assert (status, ran["logs"][0]["archived"]) == (Exit.OK, [])
    assert store.names() == before


def test_a_key_that_signs_another_log_is_told_at_once(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", "run", str(log.directory), "--key", "cd" * 32]) == Exit.INCOMPLETE
    assert "by a key that is given" in capsys.readouterr().err
    assert store.names() == []
    asked = ["archive", "verify", str(log.directory)]
    assert main(asked) == Exit.NOTHING, "nothing is gone"
    capsys.readouterr()
    status, found = told(capsys, *asked, "--fresh", "9")
    (chain,) = found["chains"]
    assert (status, chain["issues"][0]["kind"]) == (Exit.INCOMPLETE, "stale")
    assert main([*asked, "--fresh", "9", "--ended", chain["chain"]]) == Exit.NOTHING


def test_a_range_of_which_nothing_is_there_is_told_apart_from_an_empty_archive(
    log: SignedLog, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    restore = ["archive", "restore", str(tmp_path / "restored")]
    assert main([*restore, "--first-seq", "9", "--last-seq", "3"]) == Exit.USAGE
    assert main(restore) == Exit.NOTHING
    assert "nothing is archived" in capsys.readouterr().err
    assert main(["query", f"s3://{store.name}/audit"]) == Exit.NOTHING
    assert "nothing is archived" in capsys.readouterr().err
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    assert main([*restore, "--first-seq", "99999"]) == Exit.NOTHING
    assert "nothing of that range" in capsys.readouterr().err


def test_a_run_says_that_what_was_archived_is_gone(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    newest = max(key for key in store.names() if key.endswith(".manifest.json"))
    store.delete_for_good(newest)
    capsys.readouterr()
    assert main(["archive", "run", str(log.directory)]) == Exit.FINDINGS
    assert newest in (said := capsys.readouterr().err)
    assert "archive verify" in said


def test_a_chain_that_ended_is_not_stale_if_who_verifies_says_so(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    status, ran = told(capsys, "archive", "run", str(log.directory))
    assert status == Exit.OK
    chain = ran["logs"][0]["archived"][0]["object"].split("/")[1]
    asked = ("archive", "verify", "--fresh", "0")
    for ended, stale in (((), True), (("--ended", chain), False)):
        _, found = told(capsys, *asked, *ended)
        kinds = {one["kind"] for one in found["chains"][0]["issues"]}
        assert ("stale" in kinds) is stale
    assert found["chains"][0]["newest_record_at"] < found["chains"][0]["newest_manifest_at"]
    assert main([*asked, "--ended", "shop"]) == Exit.USAGE


def test_the_chain_says_what_is_archived_once(log: SignedLog, store: Store) -> None:
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    declared = [
        json.loads(line)["fields"]
        for line in log.read().splitlines()
        if b'"event_type":"audit.archived"' in line
    ]
    assert [(one["first_seq"], one["last_seq"]) for one in declared] == sorted(
        (one["first_seq"], one["last_seq"]) for one in declared
    )
    assert {f"{one['manifest']}" for one in declared} == {
        key for key in store.names() if key.endswith(".manifest.json")
    }


def test_a_log_that_is_half_archived_is_verified_as_one_and_the_boundary_is_told(
    log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    log.sign()
    log.closed()[0].unlink()
    capsys.readouterr()
    assert told(capsys, "verify", str(log.directory))[0] == Exit.FINDINGS
    status, report = told(capsys, "verify", str(log.directory), f"s3://{store.name}/audit")
    assert status == Exit.OK
    assert report["archive"]["oldest_hot_seq"] > 1
    assert report["archive"]["highest_archived_seq"] >= report["archive"]["oldest_hot_seq"]
    assert main(["verify", str(log.directory), f"s3://{store.name}/audit"]) == Exit.OK
    assert "archived" in capsys.readouterr().out


@pytest.fixture
def half(log: SignedLog, store: Store, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """A log of which the older half is only in the archive: what names it."""
    assert main(["archive", "run", str(log.directory)]) == Exit.OK
    log.sign()
    for path in log.closed()[:2]:
        path.unlink()
    capsys.readouterr()
    return [str(log.directory), f"s3://{store.name}/audit"]


def lines(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, Any]]:
    assert main([*args, "--format", "jsonl"]) == Exit.OK
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_query_finds_records_on_the_disk_and_in_the_archive(
    half: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    alone = lines(capsys, "query", "--type", "secret.set", half[0])
    both = lines(capsys, "query", "--type", "secret.set", *half)
    cold = lines(capsys, "query", "--type", "secret.set", half[1])
    assert [one["fields"]["n"] for one in both] == list(range(150))
    assert 0 < len(alone) < len(both)
    assert 0 < len(cold) <= len(both)
    assert lines(capsys, "query", "--where", "n=3", "--verified", *half)[0]["seq"] == both[3]["seq"]
    assert lines(capsys, "query", "--where", "seq=2", *half)[0]["seq"] == 2
    since = both[0]["ts"]
    assert len(lines(capsys, "query", "--since", since, "--type", "secret.set", *half)) == 150


def test_a_record_that_is_only_in_the_archive_is_proved(
    half: list[str], tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for where in (half, half[1:]):
        assert main(["prove", "2", *where]) == Exit.OK
        path = tmp_path / f"proof-{len(where)}"
        path.write_text(capsys.readouterr().out)
        assert main(["verify-proof", str(path), "--key", key]) == Exit.OK
        capsys.readouterr()


def test_tail_shows_what_is_archived_before_what_is_on_the_disk(
    half: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["-n", "1000"], ["--since", "2020-01-01"]):
        shown = lines(capsys, "tail", "--type", "secret.set", *arguments, *half)
        assert [one["fields"]["n"] for one in shown] == list(range(150))
    assert lines(capsys, "tail", "-n", "1", half[1])[0]["chain"] == shown[0]["chain"]


def test_reconcile_reads_the_archive_too(
    half: list[str], fake_loki: LokiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["reconcile", "--loki", fake_loki.url, "--service", "shop", "--grace", "0s", "--json"]
    counts = []
    for where in (half[:1], half, half[1:]):
        main([*asked, *where])
        counts.append(json.loads(capsys.readouterr().out)["counts"]["missing-in-loki"])
    assert counts[0] < counts[1] >= counts[2] > 0


def test_a_log_is_read_with_its_archive_from_python(half: list[str]) -> None:
    with_archive = open_log(half[0], archive=half[1])
    assert len(with_archive.query("secret.set")) == 150
    assert with_archive.verify().exit_status == 0
    assert open_log(half[1]).verify().exit_status == 0
