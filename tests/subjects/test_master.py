"""A file of slots whose master key a service keeps: the file alone opens nothing."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http_served import serving
from support.object_store import ACCESS, SECRET, Server
from support.openbao import running
from support.transit_engine import TransitEngine
from support.waiting import until

from audit_emit import Emitter, Subject, configure
from audit_emit._core import keyring
from audit_emit._core.sealing import SealingBuilder
from audit_emit._subjects import master
from audit_emit._subjects.master import Master
from audit_emit._subjects.slots import SlotFile
from audit_emit._subjects.store import DESTROYED, KeyStore, opened_store
from audit_emit.cli import main
from audit_emit.cli._exit import Exit
from audit_emit.errors import ConfigError, KeyStoreError


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[TransitEngine]:
    made = TransitEngine()
    with serving(made.answer, most=1 << 16) as server:
        monkeypatch.setenv("BAO_ADDR", server.url)
        monkeypatch.setenv("BAO_TOKEN", "of-the-tests")
        yield made


@pytest.fixture
def address(engine: TransitEngine, tmp_path: Path) -> str:
    return f"openbao:audit?slots={tmp_path / 'keys'}&timeout=60"


@pytest.fixture
def store(address: str) -> Iterator[KeyStore]:
    made = opened_store(address)
    yield made
    made.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """In a directory of its own, apart from the keys."""
    return tmp_path / "log" / "audit.jsonl"


@pytest.fixture
def emitter(address: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emitter]:
    """Waits for the service; the commands find its keys where it does."""
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    monkeypatch.setenv("AUDIT_EMIT_SUBJECT_KEYS", address)
    made = Emitter(jsonl=log, stdout=False)
    yield made
    made.close()


def obtained(store: KeyStore, subject: str = "u-17") -> bytes:
    key = store.obtain(subject)
    assert key is not None
    return key


def test_the_key_is_the_same_for_everybody_and_in_no_file(
    engine: TransitEngine, address: str, store: KeyStore, tmp_path: Path
) -> None:
    key = obtained(store)
    again = opened_store(address)
    assert obtained(again) == obtained(again) == key
    assert obtained(again, "u-18") != key
    again.close()
    kept = (tmp_path / "keys").read_bytes() + (tmp_path / "keys.master").read_bytes()
    assert key not in kept
    assert (tmp_path / "keys.master").stat().st_mode & 0o777 == 0o600
    # Drawn and read back by the first one, opened once by the second one.
    asked = [path.split("/")[3] for path in engine.seen]
    assert asked == ["datakey", "decrypt", "decrypt"]


def test_the_seed_of_a_destroyed_key_is_nowhere_in_the_file(
    store: KeyStore, tmp_path: Path
) -> None:
    obtained(store)
    seed = (tmp_path / "keys").read_bytes()[64 + 12 : 64 + 44]
    found = store.find("u-17")
    assert found is not None
    gone = store.destroy(store.mark(found))
    assert (gone.state, gone.sha256, gone.pseudonym) == (DESTROYED, found.sha256, found.pseudonym)
    assert seed not in (tmp_path / "keys").read_bytes()
    store.settle(gone)
    assert store.obtain("u-17") is None


def test_without_the_service_nothing_is_given_out_and_it_is_left_alone_for_a_while(
    engine: TransitEngine, address: str, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = obtained(store)
    later = opened_store(address)
    engine.refuses = True
    monkeypatch.setattr(master, "PAUSE_SECONDS", 1e9)
    for reason in ("refused", "backing-off"):
        with pytest.raises(KeyStoreError) as caught:
            later.obtain("u-17")
        assert caught.value.reason == reason
    later.close()
    assert obtained(store) == key  # who has it in memory goes on
    monkeypatch.setattr(master, "PAUSE_SECONDS", 0.0)
    later = opened_store(address)
    with pytest.raises(KeyStoreError):
        later.find("u-17")
    engine.refuses = False
    assert obtained(later) == key
    later.close()


def test_an_event_goes_on_without_the_value_and_says_why(
    engine: TransitEngine, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    engine.refuses = True
    log = tmp_path / "log" / "audit.jsonl"
    emitter = Emitter(jsonl=log, stdout=False, subject_keys=address)
    assert emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    assert emitter.health()["subjects"]["last_error"] == "refused"
    emitter.close()
    assert json.loads(log.read_bytes().splitlines()[-1])["fields"] == {"x": "[withheld]"}


def test_the_service_is_asked_before_the_first_event(
    engine: TransitEngine, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    monkeypatch.setattr(keyring, "PREPARE_SECONDS", 60.0)
    log = tmp_path / "log" / "audit.jsonl"
    emitter = configure(jsonl=log, stdout=False, subject_keys=address)
    asked = list(engine.seen)
    assert asked
    assert emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    assert engine.seen == asked
    assert b"aes256gcm:" in log.read_bytes()
    engine.refuses = True
    emitter = configure(jsonl=log, stdout=False, subject_keys=address)
    assert emitter.health()["subjects"] == {
        "state": "degraded",
        "store": address,
        "last_error": "refused",
    }


def test_no_service_is_asked_where_nothing_is_recorded(
    engine: TransitEngine, address: str, tmp_path: Path
) -> None:
    configure(jsonl=tmp_path / "audit.jsonl", stdout=False, subject_keys=address, disabled=True)
    assert engine.seen == []
    assert list(tmp_path.glob("keys*")) == []


def test_a_service_that_takes_its_time_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "PREPARE_SECONDS", 0.0)
    answers = threading.Event()

    class Late:
        name = "a service"

        def draw(self) -> tuple[bytes, str]:
            return bytes(32), "x"

        def opened(self, encrypted: str) -> bytes:
            assert answers.wait(60)
            return bytes(32)

    path = str(tmp_path / "keys")
    log = tmp_path / "log" / "audit.jsonl"
    emitter = Emitter(jsonl=log, stdout=False, subject_keys=path)
    assert isinstance(emitter.builder, SealingBuilder)
    keys = emitter.builder.keys
    keys.store = SlotFile(path, Master(path, Late()))
    emitter.builder.prepare()
    assert emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    assert emitter.health()["subjects"]["last_error"] == "slow"
    answers.set()
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    until(lambda: not any(one.name == "audit-emit-key" for one in threading.enumerate()))
    assert emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    assert emitter.health()["subjects"]["state"] == "ok"
    emitter.close()
    first, second = log.read_bytes().splitlines()[-2:]
    assert b"[withheld]" in first
    assert b"aes256gcm:" in second


def test_an_event_that_has_to_wait_itself_asks_no_service(
    engine: TransitEngine, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit of threads, or while the interpreter shuts down, nobody else can wait."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    log = tmp_path / "log" / "audit.jsonl"
    emitter = Emitter(jsonl=log, stdout=False, subject_keys=address)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        assert emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    assert emitter.health()["subjects"]["last_error"] == "slow"
    emitter.close()
    assert engine.seen == []
    assert b"[withheld]" in log.read_bytes()


def test_without_the_master_key_there_is_no_key_of_a_person(tmp_path: Path) -> None:
    """A thread that asks while another one closes the store gets none that the file gives away."""
    store = SlotFile(str(tmp_path / "keys"), known := _known(b"f" * 32, tmp_path / "keys"))
    obtained(store)
    known.forget()
    with pytest.raises(KeyStoreError) as caught:
        known.key_of(bytes(32))
    assert caught.value.reason == "closed"
    store.close()


@pytest.mark.parametrize("person", ["u-17", "u-18"])
def test_the_file_is_no_store_without_its_service(
    store: KeyStore, tmp_path: Path, person: str
) -> None:
    obtained(store)
    before = (tmp_path / "keys").read_bytes()
    with pytest.raises(KeyStoreError, match="name that") as caught:
        opened_store(str(tmp_path / "keys")).obtain(person)
    assert caught.value.reason == "service-missing"
    assert (tmp_path / "keys").read_bytes() == before
    (tmp_path / "keys.master").unlink()  # the file says itself that it has one
    with pytest.raises(KeyStoreError, match="name that"):
        opened_store(str(tmp_path / "keys")).obtain(person)
    assert (tmp_path / "keys").read_bytes() == before


def test_a_file_of_the_master_key_that_is_gone_or_another_is_an_error(
    address: str, store: KeyStore, tmp_path: Path
) -> None:
    obtained(store)
    kept = tmp_path / "keys.master"
    kept.rename(tmp_path / "away")
    with pytest.raises(KeyStoreError, match="put it back") as caught:
        opened_store(address).obtain("u-18")
    assert caught.value.reason == "missing"
    assert not kept.exists()
    other = opened_store(address.replace("/keys", "/others"))
    obtained(other)
    other.close()
    (tmp_path / "others.master").rename(kept)
    before = (tmp_path / "keys").read_bytes()
    for person in ("u-17", "u-18"):  # a new person, too, gets no key of another master key
        with pytest.raises(KeyStoreError, match="put that one back") as caught:
            opened_store(address).obtain(person)
        assert caught.value.reason == "another-master"
    assert (tmp_path / "keys").read_bytes() == before


def test_a_file_that_was_made_without_a_service_takes_none(address: str, tmp_path: Path) -> None:
    plain = opened_store(str(tmp_path / "keys"))
    obtained(plain)
    plain.close()
    other = opened_store(address.replace("/keys", "/others"))
    obtained(other)
    other.close()
    (tmp_path / "others.master").rename(tmp_path / "keys.master")
    with pytest.raises(KeyStoreError, match=r"without one, and put .*elsewhere") as caught:
        opened_store(address).obtain("u-18")
    assert caught.value.reason == "another-master"
    (tmp_path / "keys.master").rename(tmp_path / "elsewhere")
    again = opened_store(str(tmp_path / "keys"))
    assert again.obtain("u-18")
    again.close()


def test_a_file_that_cannot_be_used_is_not_laid_at_the_door_of_the_service(
    engine: TransitEngine, store: KeyStore, tmp_path: Path
) -> None:
    (tmp_path / "keys.master").mkdir()
    with pytest.raises(KeyStoreError, match=r"keys\.master: Is a directory") as caught:
        store.obtain("u-17")
    assert caught.value.reason == "EISDIR"
    (tmp_path / "keys.master").rmdir()
    obtained(store)


def test_what_cannot_be_kept_is_not_drawn_by_every_event(
    engine: TransitEngine, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(master, "PAUSE_SECONDS", 1e9)
    monkeypatch.setattr(os, "fsync", full)
    for reason in ("ENOSPC", "backing-off"):
        with pytest.raises(KeyStoreError) as caught:
            store.obtain("u-17")
        assert caught.value.reason == reason
    assert len(engine.seen) == 1


def test_a_master_key_whose_name_may_not_last_makes_no_key(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there, and whoever finds it has to make its name durable all the same."""
    synced = os.fsync

    def broken(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced(descriptor)

    monkeypatch.setattr(master, "PAUSE_SECONDS", 0.0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        for _ in range(2):
            with pytest.raises(KeyStoreError, match=r"keys\.master") as caught:
                store.obtain("u-17")
            assert caught.value.reason == "EIO"
    assert not (tmp_path / "keys").exists()
    obtained(store)


def test_of_two_that_begin_at_once_one_master_key_is_kept(tmp_path: Path) -> None:
    class Slow:
        """Another process is first, while this one waits for the service."""

        name = "a service"

        def draw(self) -> tuple[bytes, str]:
            (tmp_path / "keys.master").write_text(b"f".hex() * 32)
            return b"s" * 32, b"s".hex() * 32

        def opened(self, encrypted: str) -> bytes:
            return bytes.fromhex(encrypted)

    made = Master(str(tmp_path / "keys"), Slow())
    made.load(make=True)
    assert made.key_of(bytes(32)) == _key_under(b"f" * 32, tmp_path / "x")
    assert [one.name for one in tmp_path.iterdir() if ".new" in one.name] == []


def _key_under(plain: bytes, path: Path) -> bytes:
    return _known(plain, path).key_of(bytes(32))


def _known(plain: bytes, path: Path) -> Master:
    class Known:
        name = "a service"

        def draw(self) -> tuple[bytes, str]:
            return plain, "x"

        def opened(self, _: str) -> bytes:
            return plain

    made = Master(str(path), Known())
    made.load(make=True)
    return made


def test_an_erasure_is_recorded_with_the_kind_of_the_store(
    emitter: Emitter, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emitter.emit({"user_id": "u-17"}, "a.b", {"x": Subject("u-17", "someone@example.com")})
    emitter.close()
    assert main(["query", str(log.parent), "--actor", "u-17", "--reveal"]) == 0
    assert "someone@example.com" in capsys.readouterr().out
    assert main(["erase", "u-17", str(log.parent)]) == 0
    record = json.loads(log.read_bytes().splitlines()[-1])
    assert (record["event_type"], record["fields"]["store"]) == ("audit.erased", "openbao")
    assert record["fields"]["sealed_records"] == 1


@pytest.mark.parametrize("command", ["query", "export"])
def test_nothing_is_revealed_while_the_service_refuses(
    engine: TransitEngine,
    emitter: Emitter,
    command: str,
    log: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    emitter.emit(None, "a.b", {"x": Subject("u-17", "someone@example.com")})
    emitter.close()
    engine.refuses = True
    assert main([command, str(log.parent), "--reveal"]) == Exit.NO_ANSWER
    said = capsys.readouterr()
    assert "refused" in said.err
    assert "someone" not in said.out
    assert main(["doctor", str(log.parent)]) == Exit.FINDINGS
    assert "values of persons are withheld" in capsys.readouterr().out


def test_aws_kms_keeps_one(
    ministack: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("kms", endpoint_url=ministack.endpoint, region_name="us-east-1")
    key_id = client.create_key(KeySpec="SYMMETRIC_DEFAULT")["KeyMetadata"]["KeyId"]
    where = f"slots={tmp_path / 'keys'}&region=us-east-1&endpoint={ministack.endpoint}&timeout=60"
    first = opened_store(f"awskms:{key_id}?{where}")
    second = opened_store(f"awskms:{key_id}?{where}")
    assert obtained(first) == obtained(second)
    assert first.kind == "awskms"
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("openbao:audit", "path of a file of keys"),
        ("openbao:audit?slots=", "path of a file of keys"),
        ("openbao:a/../b?slots=/k", "names no key"),
        ("openbao:audit?slots=/k&version=1", "there are: slots"),
        ("openbao:audit?slots=/k&token=x", "a password or a token"),
        ("vault:audit?slots=/k&timeout=0", "timeout"),
        ("awskms:?slots=/k", "names no key"),
        ("kms:audit?slots=/k", "knows no store"),
    ],
)
def test_what_is_no_address_of_a_store_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("VAULT_TOKEN", "of-the-tests")
    with pytest.raises(ConfigError, match=why):
        opened_store(address)


def test_a_relative_path_is_of_the_directory_of_now(
    engine: TransitEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = opened_store("openbao:audit?slots=of us&mount=transit")
    monkeypatch.chdir(os.sep)
    assert isinstance(store, SlotFile)
    obtained(store)
    store.close()
    assert (tmp_path / "of us").exists()


def test_a_real_server_keeps_the_master_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its key was rotated; without the right to use it nothing is given out."""
    with running(tmp_path, monkeypatch) as server:
        server.told("transit/keys/audit", {"type": "aes256-gcm96"})
        address = f"openbao:audit?slots={tmp_path / 'keys'}&timeout=60"
        first = opened_store(address)
        key = obtained(first)
        server.told("transit/keys/audit/rotate", {})
        again = opened_store(address)
        assert obtained(again) == key
        assert key not in (tmp_path / "keys").read_bytes()
        found = again.find("u-17")
        assert found is not None
        assert again.destroy(again.mark(found)).state == DESTROYED
        assert first.obtain("u-17") is None
        monkeypatch.setenv("BAO_TOKEN", "of-nobody")
        stranger = opened_store(address)
        with pytest.raises(KeyStoreError) as caught:
            stranger.obtain("u-18")
        assert caught.value.reason == "refused"
        for one in (first, again, stranger):
            one.close()
