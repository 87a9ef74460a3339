"""The chains of files in PostgreSQL: byte for byte, once, and never merged with something else."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import CHAIN, MadeChain
from support.cutting_proxy import CuttingProxy
from support.postgres_records import assert_unforked, chains_of, drafts, lines_of
from support.postgres_server import Database
from support.program import PROGRAM
from support.waiting import PATIENCE, until

from audit_emit import Emitter, open_log
from audit_emit._readers.opening import open_readers
from audit_emit._settings.address import Address
from audit_emit._shipping.to_postgres import Difference, Shipped, Shipper
from audit_emit._stores.postgres.chains import Chains
from audit_emit._stores.postgres.rows import BATCH
from audit_emit._stores.postgres.schema import migrate
from audit_emit._verify.verify import verify_paths
from audit_emit.cli import main
from audit_emit.errors import DatabaseError


def write(directory: Path, *parts: list[bytes]) -> Path:
    """A log with the segments ``parts``, oldest first."""
    directory.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        ending = "" if number == len(parts) - 1 else f".{number}"
        data = b"".join(line + b"\n" for line in part)
        (directory / f"audit.jsonl{ending}").write_bytes(data)
    return directory


def ship(database: Database, path: Path, port: int | None = None) -> Shipped:
    shipper = Shipper(Address(database.as_user("the_writer", port)))
    (reader,) = open_readers([str(path)])
    try:
        with reader:
            return shipper.ship(reader)
    finally:
        shipper.close()


def in_database(database: Database) -> list[bytes]:
    return [line.encode() for line in lines_of(database, CHAIN)]


def test_every_record_goes_over_byte_for_byte(audited: Database, tmp_path: Path) -> None:
    lines = MadeChain().add(1300, fields={"text": "ü\x1f\U0001f600"}).lines
    log = write(tmp_path / "log", lines[:700], lines[700:])
    assert ship(audited, log) == Shipped(CHAIN, 1300, 0, 0, 1300)
    assert in_database(audited) == lines
    assert chains_of(audited) == [(CHAIN, "shipped")]
    (found,) = verify_paths([audited.as_user("the_reader")])
    assert found.report.exit_status == 0


def test_a_second_time_ships_what_is_new(audited: Database, tmp_path: Path) -> None:
    lines = MadeChain().add(30).lines
    ship(audited, write(tmp_path / "log", lines[:10]))
    assert ship(audited, tmp_path / "log").records == 0
    assert ship(audited, write(tmp_path / "log", lines)).records == 20
    assert in_database(audited) == lines


def test_what_is_no_record_stays_in_the_file(audited: Database, tmp_path: Path) -> None:
    lines = MadeChain().add(10).lines
    log = write(tmp_path / "log", [b"", *lines[:5], b'{"ts":"torn', b"\xff\xfe", *lines[5:]])
    assert ship(audited, log) == Shipped(CHAIN, 10, 0, 3, 10)
    assert in_database(audited) == lines


def test_a_log_whose_beginning_is_kept_elsewhere_is_shipped_from_there(
    audited: Database, tmp_path: Path
) -> None:
    lines = MadeChain().add(20).lines
    log = write(tmp_path / "log", lines[5:])
    assert ship(audited, log).records == 15
    assert in_database(audited) == lines[5:]
    assert ship(audited, log).records == 0


def test_records_of_a_service_and_their_checkpoints_go_over(
    audited: Database, tmp_path: Path
) -> None:
    emitter = Emitter(
        service="shop", jsonl=str(tmp_path / "log" / "audit.jsonl"), stdout=False,
        signing_key="00" * 32,
    )  # fmt: skip
    for number in range(20):
        emitter.emit(None, "order.placed", {"number": number})
    emitter.close()
    done = ship(audited, tmp_path / "log")
    assert done.records == len(list(open_log(tmp_path / "log").records()))
    assert done.checkpoints >= 1
    assert ship(audited, tmp_path / "log").checkpoints == 0
    assert open_log(audited.as_user("the_reader"), keys=["00" * 32]).verify().exit_status == 0
    (service,) = audited.run("SELECT service FROM audit_emit.heads")
    assert service == ("shop",)


def test_checkpoints_are_looked_at_again_when_a_record_tells_of_one(
    audited: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are read then, which once a second would be too much of a long log."""
    monkeypatch.setenv("AUDIT_EMIT_SIGNING_KEY", "00" * 32)
    log = tmp_path / "log"
    emitter = Emitter(
        service="shop", jsonl=str(log / "audit.jsonl"), stdout=False, checkpoint=False
    )
    looked: list[str] = []
    look = Shipper._checkpoints

    def noted(self: Shipper, reader: Any, chain: str) -> int:
        looked.append(chain)
        return look(self, reader, chain)

    monkeypatch.setattr(Shipper, "_checkpoints", noted)
    shipper = Shipper(Address(audited.as_user("the_writer")))
    added = []
    for sign in (True, False, True):
        emitter.emit(None, "order.placed", {})
        if sign:
            assert main(["checkpoint", str(log)]) == 0
        (reader,) = open_readers([str(log)])
        with reader:
            added.append(shipper.ship(reader).checkpoints)
    shipper.close()
    emitter.close()
    assert added == [1, 0, 1]
    assert len(looked) == 2


def test_one_that_is_told_to_end_ends_after_a_batch_and_the_next_goes_on(
    audited: Database, tmp_path: Path
) -> None:
    lines = MadeChain().add(BATCH + 7).lines
    shipper = Shipper(Address(audited.as_user("the_writer")))
    (reader,) = open_readers([str(write(tmp_path / "log", lines))])
    with reader:
        assert shipper.ship(reader, give_up=lambda: True).records == BATCH
        assert shipper.ship(reader).records == 7
    shipper.close()
    assert in_database(audited) == lines


def _others(lines: list[bytes]) -> dict[str, tuple[list[bytes], str]]:
    other = MadeChain().add(10, user_id="mallory").lines
    return {
        "it was written anew": (other, "record 1 of chain"),
        "it was cut": (lines[:6], "was cut"),
        "another end": (_branch(lines, 7), "record 8 of chain"),
    }


def _branch(lines: list[bytes], after: int) -> list[bytes]:
    made = MadeChain().add(after)
    assert made.lines == lines[:after]
    return made.add(5, user_id="mallory").lines


def test_what_a_database_has_lost_meanwhile_is_shipped_again_and_never_linked_to_another_record(
    audited: Database, tmp_path: Path
) -> None:
    lines = MadeChain().add(BATCH + 7).lines
    shipper = Shipper(Address(audited.as_user("the_writer")))

    def restore_a_backup() -> bool:
        audited.run(
            "SET session_replication_role = replica; DELETE FROM audit_emit.records WHERE seq > 9; "
            "UPDATE audit_emit.heads SET seq = 9, "
            "hash = (SELECT r.hash FROM audit_emit.records r WHERE r.seq = 9)"
        )
        return False

    (reader,) = open_readers([str(write(tmp_path / "log", lines))])
    with reader, pytest.raises(DatabaseError, match="backup"):
        shipper.ship(reader, give_up=restore_a_backup)
    shipper.close()
    assert in_database(audited) == lines[:9]
    assert ship(audited, tmp_path / "log").records == BATCH + 7 - 9
    assert in_database(audited) == lines


@pytest.mark.parametrize("what", ["it was written anew", "it was cut", "another end"])
def test_another_log_is_a_finding_and_nothing_is_merged(
    audited: Database, tmp_path: Path, what: str
) -> None:
    lines = MadeChain().add(10).lines
    ship(audited, write(tmp_path / "log", lines))
    other, said = _others(lines)[what]
    with pytest.raises(Difference, match=said):
        ship(audited, write(tmp_path / "log", other))
    assert in_database(audited) == lines


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda lines: lines[:4] + lines[5:], "hole"),
        (lambda lines: [*lines[:4], lines[4].replace(b"u-17", b"u-18"), *lines[5:]], "was changed"),
    ],
)
def test_a_log_that_does_not_hold_is_shipped_up_to_there(
    audited: Database, tmp_path: Path, spoilt: Any, said: str
) -> None:
    lines = MadeChain().add(10).lines
    with pytest.raises(Difference, match=said):
        ship(audited, write(tmp_path / "log", spoilt(lines)))
    assert lines[: len(in_database(audited))] == in_database(audited)


def test_a_database_without_the_schema_or_with_an_older_one_is_told_and_what_to_do(
    database: Database, tmp_path: Path
) -> None:
    address = Address(database.url)
    shipper = Shipper(address)
    (reader,) = open_readers([str(write(tmp_path / "log", MadeChain().add(3).lines))])
    with reader:
        for until_number, reason in ((0, "no-schema"), (6, "schema-behind")):
            if until_number:
                migrate(address, until=until_number)
            for _ in range(2):  # also when it looks again
                with pytest.raises(DatabaseError, match="audit-emit db migrate") as caught:
                    shipper.ship(reader)
                assert caught.value.reason == reason
        migrate(address)
        assert shipper.ship(reader).records == 3
    shipper.close()


def test_a_chain_that_a_service_writes_there_is_not_shipped_into(
    audited: Database, tmp_path: Path
) -> None:
    audited.run(f"SELECT audit_emit.open_chain('shop', '', '{CHAIN}')")
    with pytest.raises(Difference, match="by the service itself"):
        ship(audited, write(tmp_path / "log", MadeChain().add(3).lines))


def test_chains_of_hosts_stand_beside_the_one_of_the_service(
    audited: Database, tmp_path: Path
) -> None:
    ship(audited, write(tmp_path / "a", MadeChain().add(3).lines))
    ship(audited, write(tmp_path / "b", MadeChain("0000000000000001").add(3).lines))
    Chains(Address(audited.as_user("the_writer")), service="secrets-api").append(drafts(2))
    for chain, _ in chains_of(audited):
        assert_unforked(lines_of(audited, chain))
    assert len(chains_of(audited)) == 3


def test_two_shippers_of_one_log_do_nothing_twice(audited: Database, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    lines = MadeChain().add(2000).lines
    log = write(tmp_path / "log", lines)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: ship(audited, log), range(3)))
    assert in_database(audited) == lines
    assert sum(one.records for one in done) == 2000


def test_a_cut_connection_is_gone_on_from(audited: Database, tmp_path: Path) -> None:
    lines = MadeChain().add(700).lines
    log = write(tmp_path / "log", lines)
    proxy = CuttingProxy(audited.server.port)
    try:
        ship(audited, write(tmp_path / "log", lines[:5]), proxy.port)
        write(tmp_path / "log", lines)
        shipper = Shipper(Address(audited.as_user("the_writer", proxy.port)))
        (reader,) = open_readers([str(log)])

        def cut(_: int, __: int) -> None:
            proxy.drop_answers = True

        with reader, pytest.raises(DatabaseError):
            shipper.ship(reader, cut)
        (reader,) = open_readers([str(log)])
        with reader:
            shipper.ship(reader)
        shipper.close()
    finally:
        proxy.close()
    assert in_database(audited) == lines


def test_the_command_ships_and_says_so(
    audited: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = MadeChain().add(12).lines
    log = write(tmp_path / "log", lines)
    url = audited.as_user("the_writer")
    assert main(["ship", str(log), "--to", url]) == 0
    assert "12 records" in capsys.readouterr().out
    assert main(["ship", str(write(tmp_path / "log", lines[:3])), "--to", url]) == 1
    assert "DIFFERENT" in capsys.readouterr().err
    assert main(["ship", str(tmp_path / "nothing"), "--to", url]) == 3
    assert main(["ship", str(log), "--to", "postgresql://me:hunter2@127.0.0.1:1/x"]) == 5
    assert "hunter2" not in capsys.readouterr().err


def test_following_goes_on_until_it_is_told_to_end(audited: Database, tmp_path: Path) -> None:
    lines = MadeChain().add(60).lines
    process = subprocess.Popen(
        [*PROGRAM, "ship", str(tmp_path / "log"), "--follow",
         "--to", audited.as_user("the_writer")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        assert b"log is not there yet; it is waited for" in process.stderr.readline()
        write(tmp_path / "log", lines[:20])
        until(lambda: len(in_database(audited)) == 20)
        write(tmp_path / "log", lines)
        until(lambda: len(in_database(audited)) == 60)
        audited.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'the_writer'"
        )
        write(tmp_path / "log", MadeChain().add(70).lines)
        until(lambda: len(in_database(audited)) == 70)
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert b"records" in out
