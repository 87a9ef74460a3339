"""``Subject``: sealed after every rule and before the encoding, under the key of a person."""

from __future__ import annotations

import base64
import errno
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.for_each import for_each
from support.plain_log_reader import chain_ok
from support.subject_keys import last, opened
from support.waiting import PATIENCE

from audit_emit import AuditContext, Emitter, Event, Subject
from audit_emit._core import keyring
from audit_emit._core.deferred import emit_late
from audit_emit._core.sealing import SealingBuilder
from audit_emit._runtime import compiled
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit._subjects import locked_file
from audit_emit._subjects.locked_file import LockedFile
from audit_emit._subjects.sealed import SubjectKey, is_pseudonym
from audit_emit._subjects.slots import SlotFile
from audit_emit._subjects.store import LIVE
from audit_emit.errors import KeyStoreError

VERIFY = Path(__file__).parents[2] / "docs" / "verify_chain.py"
ADDRESS = "someone@example.com"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no finding here."""
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    monkeypatch.setattr(keyring, "FRESH_SECONDS", 0.0)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "subjects.keys"


Make = Callable[..., Emitter]


@pytest.fixture(params=["compiled", "interpreted"])
def make(
    request: pytest.FixtureRequest, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    if request.param == "interpreted":
        monkeypatch.setattr(compiled, "encoder", None)
        monkeypatch.setattr(compiled, "append", None)
    elif compiled.append is None:
        pytest.skip("there is no compiled part")
    made: list[Emitter] = []

    def emitter(**settings: Any) -> Emitter:
        given = {"jsonl": log, "stdout": False, "subject_keys": keys, **settings}
        made.append(Emitter(**given))
        return made[-1]

    yield emitter
    for one in made:
        one.close()


def test_a_value_of_a_person_is_sealed(make: Make, log: Path, keys: Path) -> None:
    assert make().emit(None, "profile.updated", {"email": Subject("u-17", ADDRESS), "n": 1})
    line = last(log)
    assert b"someone" not in line
    assert json.loads(line)["fields"]["n"] == 1
    assert opened(line, keys) == {"/email": ADDRESS}


VALUES: list[Any] = [
    "",
    "plain",
    'a "quote", a \\ and a {brace}',
    "Jürgen 請求書",
    "half \ud83d",
    7,
    2**60,
    1.5,
    None,
    True,
    {"street": "x", "no": [1, {"a": 2}]},
    ["a", 1],
]


@for_each("value", VALUES)
def test_a_value_of_any_kind_is_sealed_as_it_would_stand_there(
    make: Make, log: Path, keys: Path, value: Any
) -> None:
    emitter = make()
    emitter.emit(None, "a.b", {"x": value, "n": {"deep": [value]}})
    plain = json.loads(last(log))["fields"]
    emitter.emit(None, "a.b", {"x": Subject("u-17", value), "n": {"deep": [Subject(17, value)]}})
    assert opened(last(log), keys) == {"/x": plain["x"], "/n/deep/0": plain["n"]["deep"][0]}


def test_several_values_of_several_persons(make: Make, log: Path, keys: Path) -> None:
    person = uuid.UUID(int=7)
    fields = {"a": Subject("u-1", "x"), "b/c": Subject(person, ["y"]), "d": "z"}
    make().emit(None, "a.b", fields)
    assert opened(last(log), keys) == {"/a": "x", "/b~1c": ["y"]}
    ids = {text.split(":")[1] for text in list(json.loads(last(log))["fields"].values())[:2]}
    assert len(ids) == 2


@for_each(
    "fields",
    [
        {"a": Subject("u-1", "x"), "password": "hunter2hunter2", "b": Subject("u-2", [1])},
        {"a/~": Subject("u-1", "x"), "api_key": "hunter2hunter2", "Größe": Subject("u-2", 180)},
        {f"x{at}": Subject("u-1", at) for at in range(40)},
        {"a": Subject("u-1", {"password": "hunter2hunter2", "n": "hunter2hunter2"}), "b": 1},
        {"password": Subject("u-1", "hunter2hunter2"), "a": Subject("u-2", "y")},
        {"a": Subject("u-1", "x"), "password": "hunter2hunter2", "b": "as hunter2hunter2 says"},
    ],
)
def test_the_fields_are_what_they_are_without_a_person(
    make: Make, log: Path, keys: Path, fields: dict[str, Any]
) -> None:
    """Whatever else is in them: values that are held back, more persons than are usual."""
    emitter = make()
    bare = {name: one.value if type(one) is Subject else one for name, one in fields.items()}
    emitter.emit(None, "a.b", bare)
    plain = json.loads(last(log))["fields"]
    emitter.emit(None, "a.b", fields)
    found = json.loads(last(log))["fields"]
    assert list(found) == list(fields)
    for name, value in opened(last(log), keys).items():
        found[name[1:].replace("~1", "/").replace("~0", "~")] = value
    assert found == plain
    assert b"hunter2" not in log.read_bytes()


class Kind(StrEnum):
    SEEN = "person.seen"


@for_each("event_type", ["a.b", Kind.SEEN])
def test_the_first_event_of_a_type_seals_like_the_others(
    make: Make, log: Path, keys: Path, event_type: str
) -> None:
    assert make().emit(None, event_type, {"x": Subject("u-17", ADDRESS)})
    assert json.loads(last(log))["event_type"] == event_type
    assert opened(last(log), keys) == {"/x": ADDRESS}


def test_secrets_are_held_back_before_a_value_is_sealed(make: Make, log: Path, keys: Path) -> None:
    token = "sk_live_" + "a1B2c3D4e5F6g7H8i9J0k1L2"
    fields = {
        "note": Subject("u-17", f"the token is {token}"),
        "password": Subject("u-17", "hunter2hunter2"),
        "repeated": Subject("u-17", "I said hunter2hunter2 to him"),
    }
    make().emit(None, "a.b", fields)
    found = opened(last(log), keys)
    assert found["/note"] == "the token is [redacted]"
    assert found["/password"] == "[redacted]"
    assert "hunter2" not in str(found["/repeated"])


def test_a_secret_that_only_a_neighbour_names_is_held_back(
    make: Make, log: Path, keys: Path
) -> None:
    make().emit(None, "a.b", {"name": "password", "value": Subject("u-17", "hunter2hunter2")})
    assert opened(last(log), keys) == {"/value": "[redacted]"}


BEGINNINGS = (
    "sk-",
    "sk_live_",
    "ghp_",
    "AKIA",
    "xoxb-",
    "glpat-",
    "eyJhbGci",
    "AIza",
    "npm_",
    "SG",
)


def test_no_rule_sees_a_ciphertext(make: Make, log: Path, keys: Path) -> None:
    """Every nonce is chosen so that the text begins as a token of a known kind does."""
    emitter = make()
    emitter.emit(None, "a.b", {"x": Subject("u-17", "makes the key")})
    builder = emitter.builder
    assert isinstance(builder, SealingBuilder)
    nonces = [
        base64.urlsafe_b64decode((begin + "a1B2c3D4e5F6g7H8")[:16])
        for begin in BEGINNINGS
        for _ in range(2)
    ]
    for at, nonce in enumerate(nonces):
        builder.keys.nonces.append(bytes([*nonce[:-1], at]))
        value: Any = Subject("u-17", f"value {at}")
        emitter.emit(None, "a.b", {"note": value if at % 2 else [value], "token_kind": "x"})
    lines = log.read_bytes().splitlines()[2:]
    assert len(lines) == len(nonces)
    for at, line in enumerate(lines):
        assert list(opened(line, keys).values()) == [f"value {at}"]


def test_a_thousand_random_ciphertexts_open(make: Make, log: Path, keys: Path) -> None:
    emitter = make(durability="os")
    values = [f"value {at}" for at in range(1000)]
    for at, value in enumerate(values):
        emitter.emit(None, "a.b", {"note": Subject("u-17", ["v", value] if at % 3 else value)})
    emitter.flush()
    known = {one.sha256[:16]: one for one in SlotFile(str(keys)).all()}
    assert len(known) == 1
    key = SubjectKey(next(iter(known.values())).key or b"")
    records = [json.loads(line) for line in log.read_bytes().splitlines()][1:]
    plain = [key.open(one["fields"]["note"], one["id"], "/note") for one in records]
    found = [json.loads(one) for one in plain if one is not None]
    assert [one[1] if isinstance(one, list) else one for one in found] == values


def test_no_two_nonces_are_the_same(make: Make, log: Path) -> None:
    emitter = make(durability="os")
    for _ in range(600):
        emitter.emit(None, "a.b", {"x": Subject("u-17", "v")})
    emitter.flush()
    texts = [json.loads(line)["fields"].get("x", "::") for line in log.read_bytes().splitlines()]
    nonces = [text.split(":")[2][:16] for text in texts[1:]]
    assert len(set(nonces)) == len(nonces) == 600


def test_processors_get_the_value_still_wrapped(make: Make, log: Path, keys: Path) -> None:
    seen: list[Any] = []

    def rename(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        seen.append(event["email"])
        return {"moved": [event.pop("email")], **event}

    make(processors=[rename]).emit(None, "a.b", {"email": Subject("u-17", ADDRESS)})
    assert type(seen[0]) is Subject
    assert opened(last(log), keys) == {"/moved/0": ADDRESS}


def test_a_value_of_another_person_within_one_is_withheld(
    make: Make, log: Path, keys: Path
) -> None:
    inner = {"mine": Subject("u-17", "a"), "theirs": Subject("u-18", "b")}
    make().emit(None, "a.b", {"x": Subject("u-17", inner)})
    assert opened(last(log), keys) == {"/x": {"mine": "a", "theirs": "[withheld]"}}


def test_a_value_in_a_set_and_an_id_that_is_none_are_withheld_and_counted(
    make: Make, log: Path
) -> None:
    emitter = make()
    emitter.emit(None, "a.b", {"x": {Subject("u-17", "in a set")}, "y": Subject(None, "nobody's")})
    fields = json.loads(last(log))["fields"]
    assert fields == {"x": ["[withheld]"], "y": "[withheld]"}
    assert emitter.health()["counters"]["withheld"] == 2


def test_a_big_payload_of_sealed_values_is_within_the_bounds_of_a_line(
    make: Make, log: Path
) -> None:
    make().emit(None, "a.b", {f"f{n}": Subject("u-17", "x" * 6000) for n in range(12)})
    line = last(log)
    assert len(line) <= 65_536
    assert json.loads(line)["fields"]["_cut"]


def test_the_actor_is_a_pseudonym(make: Make, log: Path, keys: Path) -> None:
    emitter = make()
    emitter.emit(AuditContext(user_id="u-17"), "a.b", {"x": Subject("u-17", 1)})
    (found,) = SlotFile(str(keys)).all()
    assert json.loads(last(log))["user_id"] == found.pseudonym
    emitter.emit(AuditContext(user_id="u-17", actor_kind="admin"), "a.b")
    assert json.loads(last(log))["user_id"] == found.pseudonym


@for_each("actors", [True, False])
def test_an_actor_that_is_given_as_a_value_of_a_person_is_that_persons_pseudonym(
    actors: bool, make: Make, log: Path, keys: Path
) -> None:
    emitter = make(subject_actors=actors)
    shown = set()
    for subject in ("u-17", "u-18"):
        emitter.emit({"user_id": Subject(subject, ADDRESS), "actor_kind": "service"}, "a.b")
        shown.add(json.loads(last(log))["user_id"])
    assert shown == {found.pseudonym for found in SlotFile(str(keys)).all()}
    emitter.emit({"user_id": Subject(None, ADDRESS)}, "a.b")
    assert json.loads(last(log))["user_id"] == "[withheld]"
    assert emitter.counters.withheld == 1


def test_a_value_of_a_person_in_another_id_is_withheld_and_counted_once(
    make: Make, log: Path
) -> None:
    emitter = make()
    emitter.emit({"correlation_id": Subject("u-17", ADDRESS)}, "a.b")
    assert json.loads(last(log))["correlation_id"] == "[withheld]"
    assert emitter.counters.withheld == 1
    emitter.emit(None, "a.b", {"workspace_id": Subject("u-17", ADDRESS)})
    assert json.loads(last(log))["workspace_id"] == "[withheld]"
    assert emitter.counters.withheld == 2


@pytest.mark.parametrize("kind", ["service", "cron"])
def test_an_actor_that_is_no_person_keeps_its_name(make: Make, log: Path, kind: str) -> None:
    make().emit(AuditContext(user_id="backup", actor_kind=kind), "a.b")
    assert json.loads(last(log))["user_id"] == "backup"


def test_actors_keep_their_names_where_that_is_asked_for(make: Make, log: Path) -> None:
    make(subject_actors=False).emit(AuditContext(user_id="u-17"), "a.b", {"x": Subject(1, 2)})
    assert json.loads(last(log))["user_id"] == "u-17"


def erase(keys: Path, subject: str) -> None:
    store = SlotFile(str(keys))
    found = store.find(subject)
    assert found is not None
    store.settle(store.destroy(store.mark(found)))
    store.close()


def test_after_an_erasure_the_next_event_withholds_without_a_restart(
    make: Make, log: Path, keys: Path
) -> None:
    emitter = make()
    context = AuditContext(user_id="u-17")
    emitter.emit(context, "a.b", {"x": Subject("u-17", 1), "y": Subject("u-18", 2)})
    erase(keys, "u-17")
    emitter.emit(context, "a.b", {"x": Subject("u-17", 1), "y": Subject("u-18", 2)})
    record = json.loads(last(log))
    assert record["user_id"] == "[withheld]"
    assert record["fields"]["x"] == "[withheld]"
    assert opened(last(log), keys) == {"/y": 2}
    assert emitter.health()["counters"]["withheld"] == 2
    assert emitter.health()["subjects"]["last_error"] is None


def test_once_allowed_a_person_gets_a_new_key(make: Make, log: Path, keys: Path) -> None:
    emitter = make()
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    before = last(log)
    erase(keys, "u-17")
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    SlotFile(str(keys)).allow("u-17")
    emitter.emit(None, "a.b", {"x": Subject("u-17", 2)})
    assert opened(last(log), keys) == {"/x": 2}
    assert opened(before, keys) == {"/x": None}


def test_without_a_store_of_keys_a_value_of_a_person_is_withheld(make: Make, log: Path) -> None:
    emitter = make(subject_keys=None)
    emitter.emit(AuditContext(user_id="u-17"), "a.b", {"x": Subject("u-17", ADDRESS), "n": [1]})
    record = json.loads(last(log))
    assert record["fields"] == {"x": "[withheld]", "n": [1]}
    assert record["user_id"] == "u-17"
    health = emitter.health()
    assert health["subjects"] == {"state": "off", "store": None, "last_error": None}
    assert health["notes"] == [
        "1 values of persons are withheld: no store of keys is configured (subject_keys)"
    ]


def test_a_subject_does_not_show_itself() -> None:
    assert ADDRESS not in repr(Subject("u-17", ADDRESS))
    assert "u-17" not in str(Subject("u-17", ADDRESS))


def test_when_no_key_can_be_made_the_event_is_there_without_the_value(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = make()
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(LockedFile, "put", full)
        assert emitter.emit(None, "a.b", {"x": Subject("u-18", 1), "y": Subject("u-17", 3)})
    assert json.loads(last(log))["fields"]["x"] == "[withheld]"
    assert opened(last(log), keys) == {"/y": 3}
    health = emitter.health()
    assert health["status"] == "degraded"
    assert health["subjects"]["last_error"] == "ENOSPC"
    assert health["counters"]["withheld"] == 1
    emitter.emit(None, "a.b", {"x": Subject("u-18", 1)})
    assert opened(last(log), keys) == {"/x": 1}
    assert emitter.health()["status"] == "ok"


def test_an_actor_who_had_no_key_once_is_named_by_the_next_event_of_the_same_context(
    make: Make, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bytes:
        raise KeyStoreError("unreachable", "the service is away")

    emitter = make()
    context = AuditContext(user_id="u-17")
    with monkeypatch.context() as patched:
        patched.setattr(SlotFile, "obtain", away)
        emitter.emit(context, "a.b", {})
    assert json.loads(last(log))["user_id"] == "[withheld]"
    emitter.emit(context, "a.b", {})
    assert is_pseudonym(json.loads(last(log))["user_id"])


def test_a_store_that_takes_its_time_does_not_hold_up_events(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = make()
    monkeypatch.setattr(keyring, "KEY_SECONDS", 0.0)
    go_on, asked = threading.Event(), []
    obtain = SlotFile.obtain

    def slow(store: SlotFile, subject: str) -> bytes | None:
        asked.append(subject)
        assert go_on.wait(PATIENCE)
        return obtain(store, subject)

    monkeypatch.setattr(SlotFile, "obtain", slow)
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    emitter.emit(None, "a.b", {"x": Subject("u-17", 2)})
    assert json.loads(last(log))["fields"]["x"] == "[withheld]"
    assert emitter.health()["subjects"]["last_error"] == "slow"
    assert asked == ["u-17"], "one event asks, the others do not wait for it"
    go_on.set()
    builder = emitter.builder
    assert isinstance(builder, SealingBuilder)
    assert builder.keys._late is not None
    builder.keys._late.join()
    monkeypatch.setattr(keyring, "KEY_SECONDS", 60.0)
    emitter.emit(None, "a.b", {"x": Subject("u-17", 3)})
    assert opened(last(log), keys) == {"/x": 3}


def test_where_no_thread_begins_a_key_is_waited_for_no_longer_than_an_event_may(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    emitter = make()
    monkeypatch.setattr(keyring, "threading", SimpleNamespace(Thread=fails))
    monkeypatch.setattr(locked_file, "time", SimpleNamespace(monotonic=time.monotonic, sleep=fails))
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    assert opened(last(log), keys) == {"/x": 1}
    monkeypatch.setattr(keyring, "KEY_SECONDS", 0.0)
    with LockedFile(str(keys)).held():
        emitter.emit(None, "a.b", {"x": Subject("u-18", 2)})
    assert json.loads(last(log))["fields"]["x"] == "[withheld]"
    assert emitter.health()["subjects"]["last_error"] == "busy"


def test_a_store_that_raises_anything_loses_no_event(
    make: Make, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: SlotFile, __: str) -> bytes:
        raise RuntimeError("a defect")

    monkeypatch.setattr(SlotFile, "obtain", fails)
    emitter = make()
    assert emitter.emit(None, "a.b", {"x": Subject("u-17", 1), "n": 1})
    assert json.loads(last(log))["fields"] == {"x": "[withheld]", "n": 1}
    assert emitter.health()["subjects"]["last_error"] == "RuntimeError"


def test_a_forked_child_seals_under_the_same_keys_with_nonces_of_its_own(
    make: Make, log: Path, keys: Path
) -> None:
    emitter = make()
    emitter.emit(None, "a.b", {"x": Subject("u-17", 0)})
    child = os.fork()
    if child == 0:
        emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
        emitter.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    emitter.emit(None, "a.b", {"x": Subject("u-17", 2)})
    lines = [line for line in log.read_bytes().splitlines() if b"aes256gcm" in line]
    assert [opened(line, keys) for line in lines] == [{"/x": 0}, {"/x": 1}, {"/x": 2}]
    nonces = {json.loads(line)["fields"]["x"].split(":")[2][:16] for line in lines}
    assert len(nonces) == 3


def test_an_event_whose_process_is_forked_in_its_middle_opens_in_both(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child writes it under an id of its own, and what is sealed is bound to that."""
    emitter = make()
    emitter.emit(None, "a.b", {"x": Subject("u-17", 0)})
    store = emitter.store
    assert isinstance(store, JsonlStore)
    record, pids = store.record, [os.getpid()]

    def forks(*_: Any) -> None:
        store.record = record
        pids.append(os.fork())

    store.record = forks
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1)})
    emitter.flush()
    if pids[1] == 0:
        os._exit(0)
    assert os.waitpid(pids[1], 0)[1] == 0
    lines = [line for line in log.read_bytes().splitlines() if b"aes256gcm" in line]
    assert [opened(line, keys) for line in lines] == [{"/x": 0}, {"/x": 1}, {"/x": 1}]
    assert len({json.loads(line)["id"] for line in lines}) == 3


@pytest.mark.parametrize("is_late", [False, True])
def test_an_event_whose_process_is_forked_once_it_is_sealed_has_two_ids(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    emitter = make()
    compose, pids = emitter.builder.compose, [os.getpid()]

    def forks(*given: Any) -> Any:
        made = compose(*given)
        pids.append(os.fork())
        return made

    with monkeypatch.context() as patched:
        patched.setattr(emitter.builder, "compose", forks)
        event = AuditContext(), "a.b", {"x": Subject("u-17", 1)}
        if is_late:
            emit_late(emitter, 1_780_000_000.0, *event)
        else:
            emitter.emit(*event)
    emitter.flush()
    if pids[1] == 0:
        os._exit(0)
    assert os.waitpid(pids[1], 0)[1] == 0
    lines = [line for line in log.read_bytes().splitlines() if b"aes256gcm" in line]
    assert [opened(line, keys) for line in lines] == [{"/x": 1}, {"/x": 1}]
    assert len({json.loads(line)["id"] for line in lines}) == 2


def test_the_published_verifier_takes_such_a_log(make: Make, log: Path) -> None:
    emitter = make()
    for at in range(5):
        emitter.emit(AuditContext(user_id=f"u-{at}"), "a.b", {"x": Subject(f"u-{at}", at)})
    emitter.flush()
    assert len(chain_ok(log)) == 6
    done = subprocess.run([sys.executable, str(VERIFY), str(log.parent)], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("deep", [False, True])
def test_a_schema_judges_what_is_sealed_not_the_ciphertext(
    make: Make, log: Path, keys: Path, deep: bool
) -> None:
    class Aged(Event, type="person.aged"):
        age: int
        more: tuple[int, ...] = ()

    emitter = make(schemas=[Aged])
    more: dict[str, Any] = {"more": [Subject("u-17", 1)]} if deep else {}
    emitter.emit(None, "person.aged", {"age": Subject("u-17", 40), **more})
    assert "_schema" not in json.loads(last(log))["fields"]
    emitter.emit(None, "person.aged", {"age": Subject("u-17", "forty"), **more})
    fields = json.loads(last(log))["fields"]
    assert "age" in fields["_schema"][0]
    assert opened(last(log), keys)["/age"] == "forty"


@for_each("value", [1, "password=hunter2hunter2", {"password": 7}, "half \ud83d", "y" * 9000])
def test_a_schema_judges_an_event_of_no_person_on_each_of_its_ways(
    make: Make, log: Path, value: Any
) -> None:
    emitter = make(schemas={"a.b": {"properties": {"n": {"type": "integer"}}}})
    emitter.emit(None, "a.b", {"n": "x", "m": value})
    assert json.loads(last(log))["fields"]["_schema"]


def test_a_line_that_is_cut_for_stdout_still_opens(
    make: Make, log: Path, keys: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    emitter = make(stdout=True)
    emitter.emit(None, "a.b", {"x": Subject("u-17", 1), "long": ["y" * 5000]})
    emitter.flush()  # on a slow machine a thread shows what comes after the wait for a key
    shown = capfd.readouterr().out.splitlines()[-1].removeprefix("audit: ")
    assert '"_spilled"' in shown
    assert opened(shown, keys) == {"/x": 1}


NAME = "someone-by-name"
HELD = {"password": "hunter2hunter2"}


@for_each(
    "value",
    [
        {NAME: "x" * 9000},
        {NAME: list(range(5000))},
        {NAME * 50: 1},
        {NAME: HELD},
        json.dumps({NAME: HELD}),
        [{NAME: "x"}],
    ],
)
def test_no_note_tells_a_name_that_is_sealed(make: Make, log: Path, keys: Path, value: Any) -> None:
    """Where something was cut, held back or does not fit is told as far as the sealed value."""
    document = {"additionalProperties": {"additionalProperties": {"type": "integer"}}}
    emitter = make(redaction_report=True, schemas={"a.b": document})
    for fields in ({"x": Subject("u-17", value)}, {"x": {"y": [Subject("u-17", value)]}}):
        emitter.emit(None, "a.b", fields)
        assert NAME[:16].encode() not in last(log)
        assert NAME in json.dumps(opened(last(log), keys))


class Foreign:
    """An id of a type whose equality is code of the application."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("a defect")


@for_each(
    "event_type, fields",
    [
        ("a.b", {"half \ud83d": Subject("u-17", "x"), "n": 1}),
        ("a.b", {"x": Subject(Foreign(), [Subject(Foreign(), "x")]), "n": 1}),
        ("a.b", {"x": Subject.__new__(Subject), "n": 1}),
        ("a.b", {"x": [Subject("u-17", Subject.__new__(Subject))], "n": 1}),
        (Subject("u-17", "x"), {"n": 1}),
        ([Subject("u-17", "x")], {"n": 1}),
    ],
)
def test_no_place_of_a_value_of_a_person_costs_an_event_its_fields(
    make: Make, log: Path, keys: Path, event_type: Any, fields: Any
) -> None:
    make().emit(AuditContext(user_id=Subject.__new__(Subject)), event_type, fields)
    record = json.loads(last(log))
    assert record["fields"]["n"] == 1
    assert None not in opened(last(log), keys).values()


def test_all_keys_that_one_event_needs_are_waited_for_together(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, obtain = [0.0], SlotFile.obtain

    def slow(store: SlotFile, subject: str) -> bytes | None:
        now[0] += 25.0
        return obtain(store, subject)

    monkeypatch.setattr(SlotFile, "obtain", slow)
    monkeypatch.setattr(keyring, "monotonic", lambda: now[0])
    emitter = make()
    people = [Subject(f"u-{at}", at) for at in range(5)]
    for known in (3, 5):
        emitter.emit(None, "a.b", {"x": people})
        assert list(opened(last(log), keys).values()) == list(range(known))
        assert emitter.builder.waited() == 25.0 * (3 if known == 3 else 2)


def test_two_threads_wait_for_the_keys_of_two_persons_at_once(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on, obtain = threading.Event(), threading.Event(), SlotFile.obtain

    def meets(store: SlotFile, subject: str) -> bytes | None:
        asked.set()
        assert subject == "u-1" or go_on.wait(PATIENCE)
        return obtain(store, subject)

    monkeypatch.setattr(SlotFile, "obtain", meets)
    emitter = make()
    thread = threading.Thread(target=emitter.emit, args=(None, "a.b", {"x": Subject("u-0", 0)}))
    thread.start()
    assert asked.wait(PATIENCE)
    emitter.emit(None, "a.b", {"x": Subject("u-1", 1)})
    go_on.set()
    thread.join()
    lines = [line for line in log.read_bytes().splitlines() if b'"x"' in line]
    assert sorted(opened(line, keys).get("/x", -1) for line in lines) == [0, 1]


@pytest.mark.parametrize(
    ("context", "fields"),
    [(AuditContext(user_id="u-17"), {}), (None, {"x": Subject("u-17", 1)})],
    ids=["actor", "field"],
)
def test_a_key_that_is_destroyed_while_it_is_asked_for_is_used_once_at_most(
    make: Make, log: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, context: Any, fields: Any
) -> None:
    """Another thread hears of it first, and forgets all keys, before this one has its answer."""
    emitter, obtain = make(), SlotFile.obtain

    def late(store: SlotFile, subject: str) -> bytes | None:
        key = obtain(store, subject)
        other = SlotFile(str(keys))
        found = other.find(subject)
        if found is not None and found.state == LIVE:
            other.settle(other.destroy(other.mark(found)))
            emitter.emit(None, "a.b", {})
        other.close()
        return key

    emitter.emit(None, "a.b", {"x": Subject("u-0", 0)})
    monkeypatch.setattr(SlotFile, "obtain", late)
    for _ in range(2):
        emitter.emit(context, "a.b", fields)
    record = json.loads(last(log))
    assert "[withheld]" in (record["user_id"], record["fields"].get("x"))


def test_another_emitter_with_the_same_context_changes_no_record_that_is_under_way(
    make: Make, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it keeps at the context names who acts, and another service."""
    context, obtain = AuditContext(user_id="u-17"), SlotFile.obtain
    other = Emitter(service="other", jsonl=tmp_path / "other.jsonl", stdout=False)

    def meanwhile(store: SlotFile, subject: str) -> bytes | None:
        other.emit(context, "a.b", {})
        return obtain(store, subject)

    emitter = make(service="shop")
    emitter.emit(context, "a.b", {})
    monkeypatch.setattr(SlotFile, "obtain", meanwhile)
    emitter.emit(context, "a.b", {"x": Subject("u-1", 1)})
    record = json.loads(last(log))
    assert record["service"] == "shop"
    assert is_pseudonym(record["user_id"])
    other.close()


class Watched(AuditContext):
    """A context that other threads use as soon as anything is kept at it."""

    __slots__ = ("kept", "meanwhile")

    kept: Any
    meanwhile: Callable[[], object]

    @property
    def _kept(self) -> Any:
        return self.kept

    @_kept.setter
    def _kept(self, kept: Any) -> None:
        object.__setattr__(self, "kept", kept)
        if kept is not None:
            self.meanwhile()

    wire = _kept


def test_what_is_kept_at_a_context_is_whole_when_other_threads_see_it(
    make: Make, log: Path
) -> None:
    context, emitter, numbers = Watched(user_id="u-17"), make(), iter((1, 2))

    def emit() -> None:
        for number in numbers:
            emitter.emit(context, "a.b", {"n": number})

    object.__setattr__(context, "meanwhile", emit)
    emit()
    records = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [one["fields"]["n"] for one in records if one["event_type"] == "a.b"] == [2, 1]


def test_nonces_that_were_drawn_before_a_fork_are_not_the_childs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler may fork while they are drawn."""
    builder = make().builder
    drawn: list[bytes] = []
    assert isinstance(builder, SealingBuilder)

    def forks(size: int) -> bytes:
        if not drawn:
            builder.after_fork()
        drawn.append(urandom(size))
        return drawn[-1]

    urandom = os.urandom
    monkeypatch.setattr(os, "urandom", forks)
    key = SubjectKey(bytes(32))
    _, sealed = (key.seal(b"1", "an id", "/x", builder.keys.nonces) for _ in range(2))
    assert base64.urlsafe_b64decode(sealed.split(":")[2][:16]) not in drawn[0]


def test_ids_of_any_length_take_no_memory(make: Make, log: Path, keys: Path) -> None:
    emitter = make()
    emitter.emit(None, "a.b", {"x": Subject("u" * 100_000, 1)})
    assert opened(last(log), keys) == {"/x": 1}
    assert isinstance(emitter.builder, SealingBuilder)
    assert not emitter.builder.keys.cached


@for_each("fields", [{"x": "half \ud83d"}, {"x": {"y": "\udc00"}, "z": "\ud83d"}])
def test_half_a_character_costs_no_fields(make: Make, log: Path, keys: Path, fields: Any) -> None:
    emitter = make()
    sealed = {name: Subject("u-17", value) for name, value in fields.items()}
    emitter.emit(None, "a.b", {**sealed, "n": "\ud83d"})
    assert opened(last(log), keys) == {f"/{name}": value for name, value in fields.items()}
    assert emitter.health()["counters"]["internal_errors"] == 0


def test_sealed_values_of_wide_characters_are_within_the_bounds_of_a_line(
    make: Make, log: Path
) -> None:
    make().emit(None, "a.b", {f"x{at}": Subject("u-17", "😀" * 4000) for at in range(4)})
    assert len(last(log)) < 65_535
