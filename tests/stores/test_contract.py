"""What every store of a chain holds to (``ChainStore``), on each that there is.

A new store gets a row in ``STORES``; what does not apply to it is left out by its ``traits``.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from support.cutting_proxy import CuttingProxy
from support.plain_log_reader import chain_ok
from support.postgres_records import assert_unforked
from support.postgres_server import Database
from support.waiting import PATIENCE

from audit_emit._runtime.failure import Counters
from audit_emit._settings.address import Address
from audit_emit._settings.checks import STORE_MEMBERS
from audit_emit._settings.settings import settings
from audit_emit._stores.base import ChainStore, Draft, Lent, Linked
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit._stores.memory import MemoryStore
from audit_emit._stores.postgres.store import PostgresStore
from audit_emit.errors import ConfigError, SinkError

PART = 'Z","event_type":"{type}","workspace_id":"{workspace}","user_id":"","actor_kind":"user",'
PART += '"correlation_id":"","fields":{{"n":{number}}},"v":1,"id":"'
END = '","service":"contract"'


class Host:
    """What lends a store what it needs, in the place of an emitter."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.counters = Counters()
        self.said = 0
        self.own: Callable[[str, Any], Draft] = lambda kind, _: self.draft(0, kind, own=True)
        self.lent = Lent(
            own=self._make_own,
            started=lambda: {"pid": os.getpid()},
            said=self._say,
            clock=self.clock,
            counters=self.counters,
        )

    def _make_own(self, kind: str, fields: Any) -> Draft:
        return self.own(kind, fields)  # a test may have put another one there

    def _say(self) -> None:
        self.said += 1

    def draft(
        self, number: int, kind: str = "a.b", *, own: bool = False, workspace: str = ""
    ) -> Draft:
        part = PART.format(type=kind, number=number, workspace=workspace)
        return self.clock.draft(part, END, own=own)

    def drafts(self, numbers: range) -> list[Draft]:
        return [self.draft(number) for number in numbers]


class Kind(NamedTuple):
    """A store in one of its modes.

    Attributes:
        make: makes one that keeps its chain in a place: a directory, or the address of a database.
        records: what is kept there, after a look whether it is one whole chain; ``None`` where that
            cannot be seen from outside.
        by_processes: whether several processes are tried; with ``shared`` stores only, and not
            where another kind stands for it.
        blocked: has the place take nothing from here on, or take records again.
    """

    make: Callable[[str], ChainStore]
    blocked: Callable[[Place, ChainStore, bool], object]
    records: Callable[[str], list[dict[str, Any]]] | None = None
    by_processes: bool = False


def jsonl(durability: str, max_bytes: int = 1 << 30, *, by_processes: bool = False) -> Kind:
    def make(place: str) -> ChainStore:
        return JsonlStore(f"{place}/audit.jsonl", max_bytes=max_bytes, durability=durability)

    return Kind(make, _blocked_directory, _of_files, by_processes)


def _blocked_directory(place: Place, _store: ChainStore, now: bool) -> None:
    directory = Path(str(place))
    if now:
        directory.rmdir()
        directory.touch()
    else:
        directory.unlink()
        directory.mkdir()


def _of_files(place: str) -> list[dict[str, Any]]:
    active = Path(place) / "audit.jsonl"
    # The kernel may end a write of a killed process between two pages; that is declared.
    torn = active.read_text(encoding="utf-8").count('"event_type":"audit.recovered"')
    return chain_ok(*sorted(Path(place).glob("audit-*.jsonl")), active, foreign=torn)


def postgresql(durability: str, chain_by: str = "", *, by_processes: bool = True) -> Kind:
    def make(place: str) -> ChainStore:
        return PostgresStore(
            Address(place), service="contract", durability=durability, chain_by=chain_by
        )

    return Kind(make, _blocked_database, _of_rows, by_processes)


def _blocked_database(place: Place, _store: ChainStore, now: bool) -> None:
    assert place.database is not None
    place.database.run(
        "CREATE FUNCTION audit_emit.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; "
        "CREATE TRIGGER full_disk BEFORE INSERT ON audit_emit.records "
        "FOR EACH ROW EXECUTE FUNCTION audit_emit.full()"
        if now
        else "DROP TRIGGER full_disk ON audit_emit.records"
    )


def _of_rows(place: str) -> list[dict[str, Any]]:
    with psycopg.connect(place) as connection:
        rows = connection.execute("SELECT line FROM audit_emit.records ORDER BY seq").fetchall()
    assert_unforked([line for (line,) in rows])
    return [json.loads(line) for (line,) in rows]


def _blocked_memory(_place: Place, store: ChainStore, now: bool) -> None:
    assert isinstance(store, MemoryStore)
    store.chain.full = now


STORES: dict[str, Kind] = {
    "jsonl os": jsonl("os", by_processes=True),
    "jsonl group": jsonl("group"),
    "jsonl always": jsonl("always"),
    "jsonl rotating": jsonl("os", max_bytes=4096, by_processes=True),
    "memory": Kind(lambda _: MemoryStore(), _blocked_memory),
    "postgresql os": postgresql("os"),
    "postgresql group": postgresql("group"),
    "postgresql always": postgresql("always"),
    "postgresql by workspace": postgresql("group", "workspace_id", by_processes=False),
}


class Place:
    """Where the store of one test keeps its chain: a directory, or a database of its own."""

    def __init__(self, kind: str, request: pytest.FixtureRequest) -> None:
        self.kind = kind
        self._directory: Path = request.getfixturevalue("tmp_path")
        self.database: Database | None = None
        if kind.startswith("postgresql"):
            self.database = request.getfixturevalue("audited")

    def __str__(self) -> str:
        return self.database.as_user("the_writer") if self.database else str(self._directory)

    def store(self, host: Host) -> ChainStore:
        """Another one of this chain."""
        made = STORES[self.kind].make(str(self))
        made.attach(host.lent)
        return made

    def records(self) -> list[dict[str, Any]]:
        """The chain as it is kept, whole and unforked."""
        kept = STORES[self.kind].records
        assert kept is not None
        return kept(str(self))

    def block(self, store: ChainStore) -> None:
        """From here on nothing can be appended."""
        STORES[self.kind].blocked(self, store, True)

    def unblock(self, store: ChainStore) -> None:
        """There is room again."""
        STORES[self.kind].blocked(self, store, False)


def each(*kinds: str) -> list[Any]:
    """Kinds of stores, as parameters; those that need a server are marked."""
    marks = {"postgresql": [pytest.mark.server]}
    return [pytest.param(kind, marks=marks.get(kind.split()[0], [])) for kind in kinds]


@pytest.fixture(params=each(*STORES))
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.param, request)


@pytest.fixture
def made(place: Place) -> Any:
    host = Host()
    store = place.store(host)
    yield host, store
    store.heal()
    store.close()


def links(records: list[Linked]) -> None:
    """The records follow one another in one chain."""
    for before, after in itertools.pairwise(records):
        assert (after.chain, after.seq, after.prev) == (before.chain, before.seq + 1, before.hash)


def numbers(records: list[Linked]) -> list[bytes]:
    return [record.line.split(b'"n":')[1].split(b"}")[0] for record in records if not record.own]


def test_the_first_append_says_who_writes_and_returns_that_record(made: Any) -> None:
    host, store = made
    records = store.append([host.draft(1)])
    assert [record.own for record in records] == [True, False]
    assert b'"audit.started"' in records[0].line
    assert host.said == 1
    assert [record.own for record in store.append([host.draft(2)])] == [False]


def test_drafts_are_linked_in_their_order_and_leave_the_list(made: Any) -> None:
    host, store = made
    records: list[Linked] = []
    for first in range(0, 60, 6):
        drafts = host.drafts(range(first, first + 6))
        while drafts:
            records += store.append(drafts)
    links(records)
    assert numbers(records) == [b"%d" % number for number in range(60)]
    assert records[0].prev == "0" * 64


def test_a_returned_record_has_the_id_of_its_draft_and_a_whole_line(made: Any) -> None:
    host, store = made
    draft = host.draft(1)
    record = store.append([draft])[-1]
    assert record.id == draft.id
    assert record.line.startswith(draft.prefix.encode())
    assert record.line.endswith(f'"hash":"{record.hash}"}}\n'.encode())


def test_the_head_is_that_of_the_last_record(made: Any) -> None:
    host, store = made
    assert store.head() is None
    record = store.append(host.drafts(range(3)))[-1]
    head = store.head()
    assert (head.chain, head.seq, head.hash) == (record.chain, record.seq, record.hash)


def test_it_counts_what_it_has_appended(made: Any) -> None:
    host, store = made
    drafts = [*host.drafts(range(3)), host.draft(0, "audit.gap", own=True)]
    while drafts:  # one call takes as many as there is time for
        store.append(drafts)
    health = store.health()
    assert (health.written, health.own, health.seq) == (5, 2, 5)


def test_no_two_records_have_one_time(made: Any) -> None:
    host, store = made
    host.clock.now_ns = lambda: 1_780_000_000_000_000_000
    records = store.append(host.drafts(range(2)))
    assert len({record.line[7:37] for record in records[1:]}) == 2


def test_a_draft_of_the_parent_is_refused_in_a_child(made: Any) -> None:
    host, store = made
    store.append([host.draft(1)])
    drafts = [host.draft(2)]
    host.clock.reseed()
    with pytest.raises(SinkError, match="forked"):
        store.append(drafts)
    assert len(drafts) == 1


def test_a_call_within_a_call_is_refused_and_costs_nothing(made: Any) -> None:
    host, store = made
    refused: list[SinkError] = []
    given: Callable[[str, Any], Draft] = host.own

    def emits(kind: str, fields: Any) -> Draft:
        try:
            store.append([host.draft(99)])
        except SinkError as error:
            refused.append(error)
        return given(kind, fields)

    host.own = emits
    records = store.append([host.draft(1)])
    assert [error.reason for error in refused] == ["re-entrant"]
    assert numbers(records) == [b"1"]


def test_threads_share_the_chain(made: Any) -> None:
    host, store = made
    returned: list[list[Linked]] = []

    def work(first: int) -> None:
        for number in range(first, first + 25):
            drafts = [host.draft(number)]
            while drafts:
                try:
                    returned.append(store.append(drafts))
                except SinkError as error:
                    returned.append(list(error.linked))

    threads = [threading.Thread(target=work, args=(100 * one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    records = sorted((one for some in returned for one in some), key=lambda one: one.seq)
    links(records)
    assert len(set(numbers(records))) == 100


def test_after_close_it_goes_on_in_the_same_chain(made: Any) -> None:
    host, store = made
    before = store.append([host.draft(1)])
    assert store.close()
    after = store.append([host.draft(2)])
    links([*before, *after])


def test_a_sync_covers_what_was_appended(made: Any) -> None:
    host, store = made
    store.append(host.drafts(range(3)))
    assert store.sync(PATIENCE)
    assert store.health().unsynced is None


def test_a_child_begins_anew_and_forks_no_chain(made: Any, place: Place) -> None:
    host, store = made
    before = store.append([host.draft(1)])
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            store.after_fork()
            host.clock.reseed()
            status = 0 if numbers(store.append([host.draft(2)])) == [b"2"] else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    after = store.append([host.draft(3)])
    if STORES[place.kind].records is not None:
        assert [one["fields"]["n"] for one in place.records() if "n" in one["fields"]][-1] == 3
    assert after[-1].chain == before[-1].chain


@pytest.mark.parametrize("kind", STORES)
def test_it_can_be_given_to_an_emitter(kind: str, tmp_path: Path) -> None:
    """As it is before it belongs to one."""
    place = "postgresql://db.invalid/x" if kind.startswith("postgresql") else str(tmp_path)
    store = STORES[kind].make(place)
    assert settings({"store": store}, {}).store is store


def test_a_store_serves_one_emitter() -> None:
    store = MemoryStore()
    store.attach(Host().lent)
    with pytest.raises(ConfigError, match="another emitter"):
        store.attach(Host().lent)


def test_the_settings_ask_for_what_the_protocol_has() -> None:
    members = {name for name in vars(ChainStore) if not name.startswith("_")}
    assert members | set(ChainStore.__annotations__) == set(STORE_MEMBERS)


# Full, and gone


@pytest.mark.parametrize("place", each("jsonl os", "memory", "postgresql group"), indirect=True)
def test_what_takes_nothing_says_so_keeps_nothing_and_goes_on_when_it_can(place: Place) -> None:
    host = Host()
    store = place.store(host)
    place.block(store)
    drafts = host.drafts(range(2))
    with pytest.raises(SinkError) as caught:
        store.append(drafts)
    assert caught.value.reason in {
        "ENOSPC",
        "ENOTDIR",
        "EEXIST",
        "not-a-directory",
        "database-full",
    }
    assert len(drafts) == 2
    place.unblock(store)
    assert numbers(store.append(drafts)) == [b"0", b"1"]
    store.close()


def test_a_database_that_is_gone_says_so_and_goes_on_when_it_is_back(audited: Database) -> None:
    host = Host()
    proxy = CuttingProxy(audited.server.port)
    try:
        store = PostgresStore(
            Address(audited.as_user("the_writer", proxy.port)), service="contract",
            durability="group",
        )  # fmt: skip
        store.attach(host.lent)
        before = store.append([host.draft(0)])
        proxy.refuse = True
        proxy.cut()
        drafts = [host.draft(1)]
        with pytest.raises(SinkError, match="database-away"):
            store.append(drafts)
        proxy.refuse = False
        links([*before, *store.append(drafts)])
    finally:
        store.close()
        proxy.close()


def test_a_chain_that_refuses_holds_up_no_other_one(audited: Database) -> None:
    """With a chain for each workspace: what is in its chain is returned, and sent once."""
    host = Host()
    store = PostgresStore(
        Address(audited.as_user("the_writer")), service="contract", durability="group",
        chain_by="workspace_id",
    )  # fmt: skip
    store.attach(host.lent)
    store.append([host.draft(0, workspace="bad"), host.draft(1, workspace="good")])
    audited.run(
        "CREATE FUNCTION audit_emit.refuse_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.workspace_id = 'bad' THEN RAISE EXCEPTION 'not this one'; "
        "END IF; RETURN NEW; END $$"
    )
    audited.run(
        "CREATE TRIGGER refuses BEFORE INSERT ON audit_emit.records "
        "FOR EACH ROW EXECUTE FUNCTION audit_emit.refuse_it()"
    )
    drafts = [host.draft(2, workspace="bad"), host.draft(3, workspace="good")]
    bad = drafts[:1]
    shown: list[Linked] = []
    for _ in range(3):
        with pytest.raises(SinkError, match="database-P0001") as caught:
            store.append(drafts)
        shown += caught.value.linked
        assert drafts == bad, "what is in its chain waits behind nothing"
    assert numbers(shown) == [b"3"]
    audited.run("DROP TRIGGER refuses ON audit_emit.records")
    assert numbers(store.append(drafts)) == [b"2"]
    assert drafts == []
    store.close()


def test_an_append_that_was_not_answered_is_not_sent_again_after_another_one(
    audited: Database,
) -> None:
    host = Host()
    proxy = CuttingProxy(audited.server.port)
    try:
        store = PostgresStore(
            Address(audited.as_user("the_writer", proxy.port)), service="contract",
            durability="always",
        )  # fmt: skip
        store.attach(host.lent)
        store.append([host.draft(0)])
        proxy.refuse = True
        proxy.drop_answers = True
        drafts = [host.draft(1)]
        with pytest.raises(SinkError, match="database-away"):
            store.append(drafts)
        proxy.refuse = False
        assert numbers(store.append([host.draft(2)])) == [b"1", b"2"]
        assert store.append(drafts) == []
        assert drafts == []
    finally:
        store.close()
        proxy.close()


# Shared by processes, and killed

SHARED = [name for name, kind in STORES.items() if kind.by_processes]
WRITER = """
import sys
sys.path[:0] = sys.argv[3:]
from stores.test_contract import STORES, Host
from audit_emit.errors import SinkError
host = Host()
store = STORES[sys.argv[1]].make(sys.argv[2])
store.attach(host.lent)
for number in range(400):
    drafts = [host.draft(number)]
    while drafts:
        try:
            store.append(drafts)
        except SinkError:
            pass
    if not number:
        print("begun", flush=True)
store.close()
"""


def writers(place: Place, count: int) -> list[subprocess.Popen[bytes]]:
    places = [str(Path(__file__).parents[1])]
    command = [sys.executable, "-c", WRITER, place.kind, str(place), *places]
    return [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]


@pytest.mark.parametrize("place", each(*SHARED), indirect=True)
def test_four_processes_extend_one_chain(place: Place) -> None:
    running = writers(place, 4)
    for one in running:
        one.communicate(timeout=PATIENCE)
    assert [one.returncode for one in running] == [0] * 4
    records = place.records()
    assert len([record for record in records if record["event_type"] == "a.b"]) == 1600


@pytest.mark.parametrize("place", each(*SHARED), indirect=True)
def test_a_process_that_is_killed_leaves_a_chain_that_goes_on(place: Place) -> None:
    (victim,) = writers(place, 1)
    assert victim.stdout is not None
    victim.stdout.readline()
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=PATIENCE)
    host = Host()
    store = place.store(host)
    assert store.append([host.draft(1000)])
    store.close()
    assert place.records()[-1]["fields"] == {"n": 1000}
