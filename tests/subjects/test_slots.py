"""The file of keys: durable before first use, gone for good, shared by processes and threads."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_emit._subjects.locked_file import LockedFile
from audit_emit._subjects.sealed import pseudonym_of
from audit_emit._subjects.slot_format import SLOT
from audit_emit._subjects.slots import SlotFile
from audit_emit._subjects.store import DESTROYED, ERASED, GONE, LIVE, MARKED, Tombstone
from audit_emit.errors import KeyStoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SlotFile]:
    made = SlotFile(str(tmp_path / "below" / "keys"))
    yield made
    made.close()


def path_of(store: SlotFile) -> Path:
    return Path(store.shown.removeprefix("slots:"))


def another(store: SlotFile) -> SlotFile:
    return SlotFile(str(path_of(store)))


def found(store: SlotFile, subject: str) -> Tombstone:
    there = store.find(subject)
    assert there is not None
    return there


def erased(store: SlotFile, subject: str) -> Tombstone:
    return store.settle(store.destroy(store.mark(found(store, subject))))


def test_a_person_has_one_key_in_every_process(store: SlotFile) -> None:
    key = store.obtain("u-17")
    assert key is not None
    assert len(key) == 32
    assert store.obtain("u-18") != key
    assert another(store).obtain("u-17") == key
    assert store.obtain("u-17") == key


def test_the_file_is_for_its_owner_only(store: SlotFile) -> None:
    store.obtain("u-17")
    assert stat.S_IMODE(path_of(store).stat().st_mode) == 0o600


def test_no_id_of_a_person_is_in_the_file(store: SlotFile) -> None:
    store.obtain("someone@example.com")
    assert b"someone" not in path_of(store).read_bytes()


def test_looking_makes_no_file(store: SlotFile) -> None:
    assert store.find("u-17") is None
    assert store.all() == []
    assert not path_of(store).exists()


def test_a_key_is_synced_before_it_is_given_out(
    store: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.obtain("u-17")
    synced: list[bytes] = []
    sync = LockedFile.sync

    def note(file: LockedFile) -> None:
        sync(file)
        synced.append(path_of(store).read_bytes())

    monkeypatch.setattr(LockedFile, "sync", note)
    key = store.obtain("u-18")
    assert key is not None
    assert key in synced[-1]


def test_what_another_process_added_is_synced_before_it_is_used(
    store: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.obtain("u-17")
    another(store).obtain("u-18")
    synced: list[LockedFile] = []

    def note(file: LockedFile) -> None:
        synced.append(file)

    monkeypatch.setattr(LockedFile, "sync", note)
    store.obtain("u-18")
    assert synced


def test_an_erased_key_is_nowhere_in_the_file(store: SlotFile) -> None:
    key = store.obtain("u-17")
    kept = store.obtain("u-18")
    assert key is not None
    assert kept is not None
    done = erased(store, "u-17")
    data = path_of(store).read_bytes()
    assert key not in data
    assert kept in data
    assert done.state == ERASED
    assert done.key is None


def test_what_is_left_of_a_key_is_its_hash_and_its_pseudonym(store: SlotFile) -> None:
    key = store.obtain("u-17")
    assert key is not None
    before = found(store, "u-17")
    gone = store.destroy(store.mark(before))
    assert (gone.sha256, gone.pseudonym) == (before.sha256, pseudonym_of(key))
    assert another(store).all() == [gone]


def test_once_recorded_nothing_leads_from_the_person_to_the_records(store: SlotFile) -> None:
    store.obtain("u-17")
    before = found(store, "u-17")
    store.settle(store.destroy(store.mark(before)))
    data = path_of(store).read_bytes()
    assert bytes.fromhex(before.sha256) not in data[SLOT : 2 * SLOT]
    assert bytes.fromhex(before.pseudonym[2:]) not in data
    assert [(one.state, one.sha256) for one in another(store).all()] == [
        (ERASED, ""),
        (GONE, before.sha256),
    ]


def test_an_erased_person_gets_no_key_until_that_is_allowed(store: SlotFile) -> None:
    key = store.obtain("u-17")
    erased(store, "u-17")
    assert another(store).obtain("u-17") is None
    assert store.allow("u-17")
    assert not store.allow("u-17")
    assert store.obtain("u-17") not in {None, key}


@pytest.mark.parametrize("state", [MARKED, DESTROYED])
def test_an_erasure_that_was_interrupted_gives_out_no_key_either(
    store: SlotFile, state: str
) -> None:
    store.obtain("u-17")
    now = store.mark(found(store, "u-17"))
    if state == DESTROYED:
        now = store.destroy(now)
    assert now.state == state
    assert another(store).obtain("u-17") is None
    assert not another(store).allow("u-17")


def test_another_process_hears_of_every_change_that_takes_a_key(store: SlotFile) -> None:
    store.obtain("u-17")
    other = another(store)
    other.obtain("u-17")
    assert not other.has_changed()
    store.obtain("u-18")
    assert not other.has_changed()
    store.mark(found(store, "u-17"))
    assert other.has_changed()
    assert not other.has_changed()


def test_a_file_that_was_put_back_from_a_backup_is_noticed(
    store: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit_emit._subjects.slots.LOOK_SECONDS", -1.0)
    key = store.obtain("u-17")
    path = path_of(store)
    backup = path.read_bytes()
    erased(store, "u-17")
    while store.has_changed():
        pass
    path.with_name("restored").write_bytes(backup)
    path.with_name("restored").rename(path)
    assert store.has_changed()
    assert store.obtain("u-17") == key


def test_another_file_is_told_also_when_a_key_was_asked_of_it_first(store: SlotFile) -> None:
    """Else what is sealed goes on under keys that are in no file any more."""
    store.obtain("u-17")
    store.has_changed()
    path = path_of(store)
    other = SlotFile(str(path.with_name("other")))
    other.obtain("u-19")
    other.close()
    path.with_name("other").rename(path)
    store.obtain("u-18")
    assert store.has_changed()
    assert not store.has_changed()


def test_a_file_that_is_gone_is_not_made_anew(store: SlotFile) -> None:
    store.obtain("u-17")
    path_of(store).unlink()
    with pytest.raises(KeyStoreError, match="put it back") as raised:
        store.obtain("u-18")
    assert raised.value.reason == "missing"
    assert not path_of(store).exists()


@pytest.mark.parametrize("call", ["sync", "put"])
def test_a_key_that_the_disk_did_not_take_is_never_used(
    store: SlotFile, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store.obtain("u-17")
    size = path_of(store).stat().st_size

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(LockedFile, call, full)
        with pytest.raises(KeyStoreError) as raised:
            store.obtain("u-18")
    assert raised.value.reason == "ENOSPC"
    assert path_of(store).stat().st_size == size
    assert store.find("u-18") is None
    assert store.obtain("u-18") is not None


def test_a_slot_that_was_begun_only_is_written_anew(store: SlotFile) -> None:
    store.obtain("u-17")
    with path_of(store).open("ab") as file:
        file.write(b"x" * 20)
    other = another(store)
    key = other.obtain("u-18")
    assert store.obtain("u-18") == key
    assert path_of(store).stat().st_size == 3 * SLOT


def test_a_damaged_slot_is_told_and_gives_no_other_key(store: SlotFile) -> None:
    store.obtain("u-17")
    with path_of(store).open("r+b") as file:
        file.seek(SLOT + 20)
        file.write(b"?")
    with pytest.raises(KeyStoreError, match=r"slot 0 of .* is damaged"):
        another(store).obtain("u-17")


def test_another_file_is_no_file_of_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"something else" * 100)
    with pytest.raises(KeyStoreError, match="is no file of keys"):
        SlotFile(str(tmp_path / "keys")).obtain("u-17")
    assert (tmp_path / "keys").read_bytes() == b"something else" * 100


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "keys").symlink_to("target")
    with pytest.raises(KeyStoreError) as raised:
        SlotFile(str(tmp_path / "keys")).obtain("u-17")
    assert raised.value.reason == "ELOOP"


def test_threads_and_processes_agree_on_one_key(store: SlotFile) -> None:
    code = (
        "import sys\nfrom audit_emit._subjects.slots import SlotFile\n"
        "store = SlotFile(sys.argv[1])\n"
        "print([store.obtain(f'u-{n}').hex() for n in range(20)])"
    )
    command = [sys.executable, "-c", code, str(path_of(store))]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    mine: list[list[Any]] = [[] for _ in range(3)]

    def ask(into: list[Any]) -> None:
        into += [store.obtain(f"u-{n}") for n in range(20)]

    threads = [threading.Thread(target=ask, args=(one,)) for one in mine]
    for thread in threads:
        thread.start()
    said = {one.communicate()[0].strip().decode() for one in processes}
    for thread in threads:
        thread.join()
    assert said == {str([key.hex() for key in mine[0]])}
    assert mine[0] == mine[1] == mine[2]
    assert len(store.all()) == 20


def test_a_forked_child_has_a_lock_of_its_own(store: SlotFile) -> None:
    key = store.obtain("u-17")
    with store._held():
        child = os.fork()
        if child == 0:
            store.after_fork()
            try:
                # The parent holds the lock until the child has asked in vain.
                store.obtain("u-17", timeout=0.0)
            except KeyStoreError as error:
                os._exit(0 if error.reason == "busy" else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.obtain("u-17") == key


def test_a_child_forked_while_the_file_is_opened_takes_no_lock_of_its_parents(
    store: SlotFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the parent has just opened is one lock for both: the child would give it back, too."""
    given: list[int] = []
    os_open = os.open

    def forked(path: str, *arguments: Any) -> int:
        given.append(os_open(path, *arguments))
        if len(given) == 1:
            store.after_fork()  # as the child does, before the frame in which it was forked goes on
        return given[-1]

    monkeypatch.setattr(os, "open", forked)
    with pytest.raises(KeyStoreError, match="forked"):
        store.obtain("u-17")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(given[0])
    assert store.obtain("u-17") is not None


def test_a_child_forked_while_its_parent_holds_the_file_writes_nothing_where_the_parent_was(
    store: SlotFile,
) -> None:
    """Not even with a descriptor of its own, that another event has opened in between."""
    key = store.obtain("u-17")
    content = path_of(store).read_bytes()
    with store._held(make=True):
        store.after_fork()
        assert store.obtain("u-17") == key
        with pytest.raises(OSError, match="forked"):
            store._append(bytes(SLOT))
    assert path_of(store).read_bytes() == content


def test_a_live_key_is_told_as_such(store: SlotFile) -> None:
    key = store.obtain("u-17")
    assert [(one.state, one.key) for one in store.all()] == [(LIVE, key)]


def test_what_is_found_of_a_person_does_not_show_the_key(store: SlotFile) -> None:
    key = store.obtain("u-17")
    assert repr(key) not in repr(found(store, "u-17"))
