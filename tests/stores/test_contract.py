"""What every store of a chain holds to (``ChainStore``), on each that there is.

A new store gets a row in ``STORES``; what does not apply to it is left out by its ``traits``.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.plain_log_reader import chain_ok

from audit_emit._runtime.failure import Counters
from audit_emit._stores.base import ChainStore, Draft, Lent, Linked
from audit_emit._stores.clock import Clock
from audit_emit._stores.jsonl.store import JsonlStore
from audit_emit._stores.memory import MemoryStore
from audit_emit.errors import SinkError

PART = 'Z","event_type":"{type}","workspace_id":"","user_id":"","actor_kind":"user",'
PART += '"correlation_id":"","fields":{{"n":{number}}},"v":1,"id":"'
END = '","service":"contract"'


class Host:
    """What lends a store what it needs, in the place of an emitter."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.counters = Counters()
        self.said = 0
        self.lent = Lent(
            own=lambda kind, fields: self.draft(0, kind, own=True),
            started=lambda: {"pid": os.getpid()},
            said=self._say,
            clock=self.clock,
            counters=self.counters,
        )

    def _say(self) -> None:
        self.said += 1

    def draft(self, number: int, kind: str = "a.b", *, own: bool = False) -> Draft:
        return self.clock.draft(PART.format(type=kind, number=number), END, own=own)

    def drafts(self, numbers: range) -> list[Draft]:
        return [self.draft(number) for number in numbers]


Make = Callable[[Path, Lent], ChainStore]


def jsonl(durability: str, max_bytes: int = 1 << 30) -> Make:
    def make(path: Path, lent: Lent) -> ChainStore:
        return JsonlStore(
            str(path / "audit.jsonl"), max_bytes=max_bytes, durability=durability, lent=lent
        )

    return make


STORES: dict[str, Make] = {
    "jsonl os": jsonl("os"),
    "jsonl group": jsonl("group"),
    "jsonl always": jsonl("always"),
    "jsonl rotating": jsonl("os", max_bytes=4096),
    "memory": lambda _, lent: MemoryStore(lent),
}


@pytest.fixture(params=STORES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    host = Host()
    store = STORES[request.param](tmp_path, host.lent)
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
    store.append(host.drafts(range(3)))
    store.append([host.draft(0, "audit.gap", own=True)])
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
    own = host.lent.own

    def emits(kind: str, fields: Any) -> Draft:
        try:
            store.append([host.draft(99)])
        except SinkError as error:
            refused.append(error)
        made: Draft = own(kind, fields)
        return made

    if isinstance(store, JsonlStore):
        store.segment._lent = store.segment._lent._replace(own=emits)
    else:
        store._lent = store._lent._replace(own=emits)
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
        thread.join(60)
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
    assert store.sync(20.0)
    assert store.health().unsynced is None


def test_a_child_begins_anew_and_forks_no_chain(made: Any, tmp_path: Path) -> None:
    host, store = made
    before = store.append([host.draft(1)])
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        store.after_fork()
        host.clock.reseed()
        records = store.append([host.draft(2)])
        os.write(writer, b"".join(record.line for record in records))
        os._exit(0)
    os.close(writer)
    assert os.waitpid(pid, 0)[1] == 0
    os.close(reader)
    after = store.append([host.draft(3)])
    if store.traits.shared and not list(tmp_path.glob("audit-*.jsonl")):
        records = chain_ok(tmp_path / "audit.jsonl")
        assert len({record["seq"] for record in records}) == len(records)
    else:
        assert after[-1].chain == before[-1].chain


# Full


def test_what_is_full_says_so_keeps_nothing_and_goes_on_when_there_is_room() -> None:
    host = Host()
    store = MemoryStore(host.lent)
    store.append([host.draft(1)])
    store.chain.full = True
    drafts = host.drafts(range(2, 4))
    with pytest.raises(SinkError, match="ENOSPC"):
        store.append(drafts)
    assert len(drafts) == 2
    store.chain.full = False
    assert numbers(store.append(drafts)) == [b"2", b"3"]


def test_a_file_that_cannot_be_written_says_so_and_goes_on_when_it_can(tmp_path: Path) -> None:
    host = Host()
    blocked = tmp_path / "logs"
    blocked.touch()
    store = STORES["jsonl os"](blocked, host.lent)
    drafts = [host.draft(1)]
    with pytest.raises(SinkError):
        store.append(drafts)
    assert len(drafts) == 1
    blocked.unlink()
    assert numbers(store.append(drafts)) == [b"1"]
    store.close()


# Shared by processes, and killed

WRITER = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from stores.test_contract import STORES, Host
from audit_emit.errors import SinkError
host = Host()
store = STORES[sys.argv[1]](Path(sys.argv[2]), host.lent)
print("begun", flush=True)
for number in range(400):
    drafts = [host.draft(number)]
    while drafts:
        try:
            store.append(drafts)
        except SinkError:
            pass
store.close()
"""


def writers(kind: str, path: Path, count: int) -> list[subprocess.Popen[bytes]]:
    places = [str(Path(__file__).parents[1])]
    command = [sys.executable, "-c", WRITER, kind, str(path), *places]
    return [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(count)]


def whole(path: Path, *, torn: int = 0) -> list[dict[str, Any]]:
    return chain_ok(*sorted(path.glob("audit-*.jsonl")), path / "audit.jsonl", foreign=torn)


@pytest.mark.parametrize("kind", ["jsonl os", "jsonl rotating"])
def test_four_processes_extend_one_chain(kind: str, tmp_path: Path) -> None:
    running = writers(kind, tmp_path, 4)
    for one in running:
        one.communicate(timeout=100)
    assert [one.returncode for one in running] == [0] * 4
    records = whole(tmp_path)
    assert len([record for record in records if record["event_type"] == "a.b"]) == 1600


@pytest.mark.parametrize("kind", ["jsonl os", "jsonl rotating"])
def test_a_process_that_is_killed_leaves_a_chain_that_goes_on(kind: str, tmp_path: Path) -> None:
    (victim,) = writers(kind, tmp_path, 1)
    assert victim.stdout is not None
    victim.stdout.readline()
    deadline = time.monotonic() + 30
    while not (tmp_path / "audit.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=30)
    host = Host()
    store = STORES[kind](tmp_path, host.lent)
    assert store.append([host.draft(1000)])
    store.close()
    # The kernel may end a write of a killed process between two pages; that is declared.
    content = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    whole(tmp_path, torn=content.count('"event_type":"audit.recovered"'))
