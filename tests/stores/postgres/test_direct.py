"""``configure(store=…)``: emit never waits for the database, and nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cutting_proxy import CuttingProxy
from support.postgres_records import assert_unforked, chains_of, lines_of
from support.postgres_server import Database
from support.waiting import PATIENCE, until

from audit_emit import Emitter, open_log
from audit_emit._core import appender
from audit_emit._core.appender import Appender
from audit_emit._stores.backlog import Backlog
from audit_emit._stores.postgres.chains import Chains
from audit_emit._verify.verify import verify_paths
from audit_emit.cli import main
from audit_emit.errors import AuditError, ConfigError


def emitter_of(address: str, **settings: Any) -> Emitter:
    given: dict[str, Any] = {"service": "shop", "jsonl": "off", "stdout": False, "store": address}
    return Emitter(**given | settings)


@pytest.fixture(params=["always", "group", "os"])
def emitter(audited: Database, request: pytest.FixtureRequest) -> Iterator[Emitter]:
    made = emitter_of(audited.as_user("the_writer"), durability=request.param)
    yield made
    made.close()


@pytest.fixture
def proxy(audited: Database) -> Iterator[CuttingProxy]:
    made = CuttingProxy(audited.server.port)
    yield made
    made.close()


def types_of(database: Database) -> list[str]:
    return [json.loads(line)["event_type"] for line in lines_of(database)]


def numbers_of(database: Database) -> list[int]:
    records = [json.loads(line) for line in lines_of(database)]
    return [one["fields"]["n"] for one in records if one["event_type"] == "order.placed"]


def test_events_are_in_the_chain_after_a_flush_in_their_order(
    emitter: Emitter, audited: Database
) -> None:
    for number in range(1200):
        assert emitter.emit(None, "order.placed", {"n": number}) is None
    assert emitter.flush(PATIENCE)
    assert types_of(audited)[0] == "audit.started"
    assert numbers_of(audited) == list(range(1200))
    assert_unforked(lines_of(audited))
    assert open_log(audited.as_user("the_reader")).verify().exit_status == 0


def test_strictly_emitted_is_there_when_it_returns(emitter: Emitter, audited: Database) -> None:
    receipt = emitter.emit_strict(None, "order.placed", {"n": 1})
    line = lines_of(audited)[receipt.seq - 1]
    assert json.loads(line)["id"] == receipt.id
    assert json.loads(line)["hash"] == receipt.hash


def test_many_waiting_callers_share_batches(audited: Database) -> None:
    emitter = emitter_of(audited.as_user("the_writer"))
    emitter.emit_strict(None, "order.placed", {"n": -1})
    receipts: list[int] = []

    def work() -> None:
        receipts.extend(
            emitter.emit_strict(None, "order.placed", {"n": number}).seq for number in range(10)
        )

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    emitter.close()
    assert sorted(receipts) == list(range(3, 323))
    (transactions,) = audited.run("SELECT count(DISTINCT xmin::text) FROM audit_emit.records")
    assert transactions[0] < 200


def test_a_chain_for_each_workspace(audited: Database) -> None:
    emitter = emitter_of(audited.as_user("the_writer"), chain_by="workspace_id")
    for number in range(30):
        emitter.emit({"workspace_id": f"w{number % 3}"}, "order.placed", {"n": number})
    assert emitter.close(PATIENCE)
    found = audited.run("SELECT tenant FROM audit_emit.heads ORDER BY tenant")
    assert found == [("w0",), ("w1",), ("w2",)]
    for chain, _ in chains_of(audited):
        assert_unforked(lines_of(audited, chain))
    assert all(one.report.exit_status == 0 for one in verify_paths([audited.as_user("the_reader")]))


def test_emit_does_not_wait_for_a_database_that_is_away(
    audited: Database, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitter = emitter_of(audited.as_user("the_writer", proxy.port))
    emitter.emit_strict(None, "order.placed", {"n": 0})
    append, appending = Chains.append_each, set()

    def noted(self: Chains, groups: Any) -> Any:
        appending.add(threading.current_thread())
        return append(self, groups)

    monkeypatch.setattr(Chains, "append_each", noted)
    proxy.refuse = True
    proxy.cut()
    for number in range(1, 200):
        emitter.emit(None, "order.placed", {"n": number})
    until(lambda: emitter.health()["sinks"]["store"]["last_error"] == "database-away")
    assert emitter.health()["status"] == "failing"
    assert appending
    assert threading.current_thread() not in appending
    assert not emitter.flush(0.1)
    with pytest.raises(AuditError) as caught:
        emitter.emit_strict(None, "order.placed", {"n": -1})
    assert caught.value.reason == "database-away"
    proxy.refuse = False
    assert emitter.flush(PATIENCE)
    assert emitter.health()["sinks"]["store"]["state"] == "ok"
    assert emitter.close(PATIENCE)
    assert numbers_of(audited) == list(range(200))
    assert_unforked(lines_of(audited))


def test_connections_that_are_cut_again_and_again_lose_and_double_nothing(
    audited: Database, proxy: CuttingProxy
) -> None:
    emitter = emitter_of(audited.as_user("the_writer", proxy.port))
    emitter.emit_strict(None, "order.placed", {"n": 0})
    stop = threading.Event()

    def cut() -> None:
        while not stop.wait(0.02):
            proxy.drop_answers = True

    cutting = threading.Thread(target=cut)
    cutting.start()
    for number in range(1, 1500):
        emitter.emit(None, "order.placed", {"n": number})
        if number % 50 == 0:
            time.sleep(0.01)
    stop.set()
    cutting.join()
    proxy.drop_answers = False
    assert emitter.flush(PATIENCE)
    emitter.close()
    assert numbers_of(audited) == list(range(1500))
    assert_unforked(lines_of(audited))


def test_what_does_not_fit_is_declared(audited: Database, proxy: CuttingProxy) -> None:
    emitter = emitter_of(audited.as_user("the_writer", proxy.port))
    emitter.outbox.backlog = Backlog(50)
    emitter.emit_strict(None, "order.placed", {"n": 0})
    proxy.refuse = True
    proxy.cut()
    emitter.emit(None, "order.placed", {"n": 1})
    until(lambda: emitter.health()["sinks"]["store"]["last_error"])
    for number in range(2, 2000):
        emitter.emit(None, "order.placed", {"n": number})
    lost = emitter.health()["losses"]["events"]
    assert lost > 0
    proxy.refuse = False
    assert emitter.flush(PATIENCE)
    emitter.close()
    gaps = [json.loads(line) for line in lines_of(audited) if '"audit.gap"' in line]
    assert sum(one["fields"]["lost"] for one in gaps) == lost
    assert len(numbers_of(audited)) == 2000 - lost
    assert {one["fields"]["sink"] for one in gaps} == {"postgresql"}
    assert open_log(audited.as_user("the_reader")).verify().exit_status == 4


def test_a_child_process_goes_on_in_the_same_chain(audited: Database) -> None:
    emitter = emitter_of(audited.as_user("the_writer"))
    emitter.emit_strict(None, "order.placed", {"n": 0})
    emitter.emit(None, "order.placed", {"n": 1})
    pid = os.fork()
    if not pid:
        status = 1
        try:
            emitter.emit(None, "order.placed", {"n": 2})
            status = 0 if emitter.close(60) else 1
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert emitter.close(PATIENCE)
    assert sorted(numbers_of(audited)) == [0, 1, 2]
    assert_unforked(lines_of(audited))


def test_a_process_that_ends_leaves_nothing_behind(audited: Database) -> None:
    code = (
        "import audit_emit; audit_emit.configure(service='shop')\n"
        "for n in range(300): audit_emit.emit(None, 'order.placed', {'n': n})\n"
    )
    environment = os.environ | {
        "AUDIT_EMIT_STORE": audited.as_user("the_writer"), "AUDIT_EMIT_JSONL": "off",
        "AUDIT_EMIT_STDOUT": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert numbers_of(audited) == list(range(300))
    shown = done.stdout.decode().splitlines()
    assert shown == [f"audit: {line}" for line in lines_of(audited)]


def test_an_idle_thread_ends_and_begins_again(
    audited: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "IDLE_SECONDS", 0.0)
    emitter = emitter_of(audited.as_user("the_writer"))
    worker = emitter.outbox.worker
    assert isinstance(worker, Appender)
    for number in range(3):
        emitter.emit(None, "order.placed", {"n": number})
        assert emitter.flush(PATIENCE)
        until(lambda: not worker.is_alive())
    assert numbers_of(audited) == [0, 1, 2]
    until(
        lambda: audited.run(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'the_writer' "
            "AND datname = current_database()"
        ) == [(0,)]
    )  # fmt: skip


def test_the_password_is_shown_nowhere(
    audited: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    address = audited.as_user("the_writer").replace("the_writer@", "the_writer:hunter2@")
    emitter = emitter_of(address.replace(f":{audited.server.port}/", ":1/"))
    emitter.emit(None, "order.placed", {})
    until(lambda: emitter.health()["sinks"]["store"]["last_error"])
    with pytest.raises(AuditError) as caught:
        emitter.emit_strict(None, "order.placed", {})
    said = [str(caught.value), repr(emitter.settings), json.dumps(emitter.health())]
    emitter.close(0.1)
    out = capfd.readouterr()
    assert "hunter2" not in "".join([*said, out.out, out.err, repr(emitter.settings.store)])


def test_an_address_from_a_file_is_read_when_it_is_needed(
    audited: Database, tmp_path: Path
) -> None:
    file = tmp_path / "address"
    file.write_text(audited.as_user("the_writer") + "\n")
    emitter = emitter_of("", store=None, store_file=file)
    emitter.emit_strict(None, "order.placed", {"n": 1})
    emitter.close()
    assert numbers_of(audited) == [1]


@pytest.mark.parametrize(
    "wrong",
    [{"store": "mysql://x"}, {"store": 7}, {"store_file": "/nowhere/at/all"},
     {"store": "postgresql://x", "chain_by": "user_id"},
     {"store": "postgresql://x/y?nonsense=1"}, {"store": "postgresql://u:hun@ter2@x/y"}],
)  # fmt: skip
def test_what_cannot_be_a_store_is_told_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Emitter(service="shop", **wrong)


def test_with_a_file_too_the_file_is_the_record_and_is_shipped(
    audited: Database, tmp_path: Path
) -> None:
    log = tmp_path / "log" / "audit.jsonl"
    emitter = emitter_of(audited.as_user("the_writer"), jsonl=str(log))
    for number in range(50):
        receipt = emitter.emit(None, "order.placed", {"n": number})
        assert receipt is not None
    assert emitter.close(PATIENCE)
    assert lines_of(audited) == log.read_text().splitlines()
    assert [kind for _, kind in chains_of(audited)] == ["shipped"]


def test_doctor_says_what_a_kill_can_lose_and_who_can_undo_the_protection(
    audited: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_JSONL", "off")
    monkeypatch.setenv("AUDIT_EMIT_STORE", audited.as_user("the_writer"))
    main(["doctor"])
    said = " ".join(capsys.readouterr().out.split())
    assert "lost with kill -9" in said
    assert "undo what protects" not in said
    monkeypatch.setenv("AUDIT_EMIT_STORE", audited.url)
    main(["doctor"])
    assert "undo what protects" in " ".join(capsys.readouterr().out.split())
    monkeypatch.setenv("AUDIT_EMIT_STORE", "postgresql://me:hunter2@127.0.0.1:1/x")
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "127.0.0.1" in said
    assert "hunter2" not in said
