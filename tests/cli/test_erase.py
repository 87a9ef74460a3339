"""``audit-emit erase``: destroys, records, withholds; from every step on, and twice at once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.plain_log_reader import chain_ok
from support.program import PROGRAM
from support.subject_keys import last, opened

from audit_emit import Emitter, Subject
from audit_emit._core import keyring
from audit_emit._subjects.locked_file import LockedFile
from audit_emit._subjects.slots import SlotFile
from audit_emit.cli import main
from audit_emit.cli._signer import MaintenanceEmitter
from audit_emit.errors import SinkError

MAIL = "someone@example.com"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "subjects.keys"


@pytest.fixture
def written(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of two persons, and their keys in the environment."""
    log = tmp_path / "log" / "audit.jsonl"
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)
    emitter = Emitter(jsonl=log, stdout=False, subject_keys=keys)
    for number in range(3):
        fields = {"email": Subject("u-17", MAIL), "client_ip": "192.0.2.1", "n": number}
        context = {"user_id": "u-17", "correlation_id": f"req-{number}"}
        emitter.emit(context, "profile.updated", fields)
    emitter.emit({"user_id": "u-18"}, "note.read", {"path": "/users/u-17/notes"})
    emitter.close()
    monkeypatch.setenv("AUDIT_EMIT_SUBJECT_KEYS", str(keys))
    return log


class Done(NamedTuple):
    exit_code: int
    output: str


def run(*arguments: object) -> Done:
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        status = main(["erase", *map(str, arguments)])
    return Done(status, said.getvalue())


def key_of(keys: Path, subject: str) -> bytes:
    found = SlotFile(str(keys)).find(subject)
    assert found is not None
    assert found.key is not None
    return found.key


def test_a_user_without_an_account_is_recorded_by_number(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that runs under a number which no list of accounts has."""

    def missing(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", missing)
    assert run("u-17", written.parent).exit_code == 0
    assert json.loads(last(written))["user_id"] == f"uid-{os.getuid()}"


def records_of(log: Path, event_type: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in log.read_bytes().splitlines()]
    return [one for one in records if one["event_type"] == event_type]


def test_the_key_is_gone_from_the_file_and_the_log_says_so(written: Path, keys: Path) -> None:
    key = key_of(keys, "u-17")
    (other,) = [one for one in SlotFile(str(keys)).all() if one.key != key]
    before = json.loads(written.read_bytes().splitlines()[1])
    done = run(
        *("u-17", written.parent, "--reference", "DSR-2026-0042", "--by", "dpo"),
        *("--requested-at", "2026-05-19T20:00:00Z", "--backups-until", "2026-06-18"),
    )
    assert done.exit_code == 0, done.output
    assert key not in keys.read_bytes()
    assert other.key is not None
    assert other.key in keys.read_bytes()
    (record,) = records_of(written, "audit.erased")
    assert (record["user_id"], record["actor_kind"]) == ("dpo", "admin")
    digest = hashlib.sha256(key).hexdigest()
    assert record["fields"] == {
        "subject": before["user_id"],
        "key_id": digest[:16],
        "key_sha256": digest,
        "store": "slots",
        "method": "overwritten",
        "requested_at": "2026-05-19T20:00:00.000000000Z",
        "reference": "DSR-2026-0042",
        "sealed_records": 3,
        "first_seq": 2,
        "last_seq": 4,
        "backups_until": "2026-06-18",
    }
    assert opened(written.read_bytes().splitlines()[1], keys) == {"/email": None}
    assert len(chain_ok(written)) == 6


def test_nothing_of_the_person_is_in_the_record_of_it(written: Path) -> None:
    run("u-17", written.parent)
    line = last(written)
    assert b"u-17" not in line
    assert b"someone" not in line


def test_it_is_recorded_once_however_often_it_is_asked_for(written: Path) -> None:
    for _ in range(2):
        assert run("u-17", written.parent).exit_code == 0
    assert len(records_of(written, "audit.erased")) == 1


def test_later_data_is_withheld_until_it_is_allowed(written: Path, keys: Path) -> None:
    run("u-17", written.parent)
    emitter = Emitter(jsonl=written, stdout=False, subject_keys=keys)
    emitter.emit({"user_id": "u-17"}, "a.b", {"x": Subject("u-17", 1)})
    record = json.loads(last(written))
    assert (record["user_id"], record["fields"]) == ("[withheld]", {"x": "[withheld]"})
    assert run("u-17", written.parent, "--allow").exit_code == 0
    assert len(records_of(written, "audit.subject_allowed")) == 1
    emitter.emit(None, "a.b", {"x": Subject("u-17", 2)})
    emitter.close()
    assert opened(last(written), keys) == {"/x": 2}
    assert run("u-17", written.parent, "--allow").exit_code == 3


def test_a_dry_run_lists_what_stays_and_changes_nothing(written: Path, keys: Path) -> None:
    before = written.read_bytes(), keys.read_bytes()
    done = run("u-17", written.parent, "--dry-run", "--json", "--also", "192.0.2.1")
    assert done.exit_code == 0, done.output
    assert (written.read_bytes(), keys.read_bytes()) == before
    said = json.loads(done.output)
    assert said["key"]["state"] == "live"
    (log,) = said["logs"]
    assert log["records"] == 4
    found = {(one["kind"], one["place"]): one["records"] for one in log["remains"]}
    assert found == {
        ("correlation", "correlation_id"): 3,
        ("address", "/client_ip"): 3,
        ("text", "/client_ip"): 3,
        ("id", "/path"): 1,
        ("path", "/path"): 1,
    }
    assert len(said["loki"]) == 2
    assert MAIL not in done.output
    text = run("u-17", written.parent, "--dry-run").output
    assert "/path: the id itself (1 records, 5 to 5)" in text


def test_what_only_begins_like_a_sealed_value_is_listed(written: Path) -> None:
    emitter = Emitter(jsonl=written, stdout=False)
    emitter.emit(None, "a.b", {"note": "aes256gcm: of u-17"})
    emitter.close()
    said = json.loads(run("u-17", written.parent, "--dry-run", "--json").output)
    assert "/note" in {one["place"] for one in said["logs"][0]["remains"]}


def test_an_id_with_half_a_character_is_looked_for_like_any_other(written: Path) -> None:
    """A name of a system that is no UTF-8 is such an id in Python."""
    emitter = Emitter(jsonl=written, stdout=False)
    emitter.emit(None, "a.b", {"note": "left by \udcff"})
    emitter.close()
    said = json.loads(run("\udcff", written.parent, "--dry-run", "--json").output)
    assert [one["place"] for one in said["logs"][0]["remains"]] == ["/note"]
    done = run("u-17", written.parent, "--dry-run", "--also", "\udcff")
    assert (done.exit_code, "/note: what was asked for" in done.output) == (0, True)


@pytest.mark.parametrize("who", ["CORP\\alice", 'al"ice'])
def test_an_id_that_json_escapes_is_looked_for_like_any_other(written: Path, who: str) -> None:
    emitter = Emitter(jsonl=written, stdout=False)
    emitter.emit(None, "a.b", {"by": f"left by {who}", "n": 1})
    emitter.close()
    said = json.loads(run(who, written.parent, "--dry-run", "--json").output)
    assert [one["place"] for one in said["logs"][0]["remains"]] == ["/by"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["u-99", "LOG"], 3),
        (["u-99", "LOG", "--allow"], 3),
        (["u-17", "LOG", "--allow"], 3),
        (["u-17", "NO"], 3),
        (["", "LOG"], 2),
        (["u-17", "LOG", "--allow", "--dry-run"], 2),
        (["u-17", "LOG", "--also", "x"], 2),
        (["u-17", "LOG", "--backups-until", "soon"], 2),
        (["u-17", "LOG", "--subject-keys", "https://host/x"], 2),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    written: Path, keys: Path, arguments: list[str], status: int
) -> None:
    before = written.read_bytes(), keys.read_bytes()
    places = {"LOG": str(written.parent), "NO": str(written.parent / "no")}
    done = run(*(places.get(one, one) for one in arguments))
    assert done.exit_code == status, done.output
    assert done.output
    assert (written.read_bytes(), keys.read_bytes()) == before


def test_without_a_store_of_keys_it_is_said_how_to_name_one(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_EMIT_SUBJECT_KEYS")
    done = run("u-17", written.parent)
    assert done.exit_code == 2
    assert "--subject-keys" in done.output


def test_a_restored_store_has_its_erased_keys_destroyed_again(written: Path, keys: Path) -> None:
    backup = keys.with_name("backup")
    shutil.copy(keys, backup)
    key = key_of(keys, "u-17")
    run("u-17", written.parent)
    backup.rename(keys)
    assert key in keys.read_bytes()
    done = run("--replay", written.parent)
    assert done.exit_code == 1, done.output
    assert key not in keys.read_bytes()
    assert SlotFile(str(keys)).obtain("u-17") is None
    assert len(records_of(written, "audit.erased")) == 2
    assert run("--replay", written.parent).exit_code == 0


def test_a_forged_record_destroys_nothing(written: Path, keys: Path) -> None:
    """The hash of a key is told to nobody; but a line may be copied, and changed."""
    key = key_of(keys, "u-17")
    text = json.dumps(
        {
            "ts": "2026-05-19T20:00:00.000000000Z",
            "event_type": "audit.erased",
            "fields": {"key_sha256": hashlib.sha256(key).hexdigest()},
        },
        separators=(",", ":"),
    )
    with written.open("a") as file:
        file.write(text + "\n")
    assert run("--replay", written.parent).exit_code == 0
    assert key in keys.read_bytes()


def test_a_log_that_takes_no_record_is_told_later(
    written: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of(keys, "u-17")

    def full(*_: Any, **__: Any) -> None:
        raise SinkError("ENOSPC")

    with monkeypatch.context() as patched:
        patched.setattr(MaintenanceEmitter, "record_own", full)
        done = run("u-17", written.parent)
    assert done.exit_code == 4
    assert "run it again" in done.output
    assert key not in keys.read_bytes()
    assert run("u-17", written.parent).exit_code == 0
    assert len(records_of(written, "audit.erased")) == 1


def test_a_damaged_store_is_to_be_restored_and_not_asked_again(written: Path, keys: Path) -> None:
    keys.write_bytes(b"x" * keys.stat().st_size)
    done = run("u-17", written.parent)
    assert done.exit_code == 4
    assert "(damaged); restore it from a backup" in done.output
    assert records_of(written, "audit.erased") == []


def test_a_store_that_keeps_the_key_is_found_out(
    written: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_of(keys, "u-17")
    with keys.open("ab") as file:
        file.write(b"x" + key + b"x" * 31)
    done = run("u-17", written.parent)
    assert done.exit_code == 4
    assert "still has a key that was erased" in done.output
    assert records_of(written, "audit.erased") == []


STEPS = 40
"""More than there are."""


def test_killed_anywhere_and_run_again_it_comes_to_its_end(
    written: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every write and every sync of the keys, and around the record."""
    key = key_of(keys, "u-17")
    kept = tmp_path / "kept"
    shutil.copytree(written.parent, kept / "log")
    shutil.copytree(keys.parent, kept / "keys")
    killed = 0
    for step in range(STEPS):
        for name, place in (("log", written.parent), ("keys", keys.parent)):
            shutil.rmtree(place)
            shutil.copytree(kept / name, place)
        child = os.fork()
        if child == 0:
            _die_at(step)
            os._exit(run("u-17", written.parent).exit_code)
        status = os.waitpid(child, 0)[1]
        again = run("u-17", written.parent)
        assert again.exit_code == 0, (step, again.output)
        assert key not in keys.read_bytes(), step
        assert len(records_of(written, "audit.erased")) == 1, step
        assert SlotFile(str(keys)).obtain("u-17") is None, step
        chain_ok(written)
        if not os.WIFSIGNALED(status):
            break
        killed += 1
    assert 6 <= killed < STEPS - 1


def _die_at(step: int) -> None:
    """Kill this process at the n-th step of an erasure."""
    left = [step]

    def counted(function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named) if after else None
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return result if after else function(*arguments, **named)

        return call

    for method in ("put", "sync"):
        setattr(LockedFile, method, counted(getattr(LockedFile, method)))
    record = MaintenanceEmitter.record_own
    MaintenanceEmitter.record_own = counted(counted(record, after=True))  # type: ignore[method-assign]


def test_two_at_once_are_one_erasure(written: Path, keys: Path) -> None:
    command = [*PROGRAM, "erase", "u-17", str(written.parent)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = sorted(one.communicate()[0].decode() for one in both)
    assert [one.returncode for one in both] == [0, 0]
    assert len(records_of(written, "audit.erased")) == 1
    assert [("erased before" in text) for text in said].count(True) == 1
