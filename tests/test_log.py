from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.waiting import PATIENCE

from audit_emit import ConfigError, Emitter, open_log
from audit_emit._format.record import Receipt
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit.errors import VerificationError
from audit_emit.log import AuditLog

KEY = "5e" * 32


@pytest.fixture
def made(tmp_path: Path) -> tuple[AuditLog, list[Receipt]]:
    """A signed log of 40 events in several segments, as a reader sees it."""
    emitter = Emitter(
        service="shop",
        jsonl=str(tmp_path / "log" / "audit.jsonl"),
        stdout=False,
        max_bytes=4096,
        signing_key=KEY,
    )
    receipts = []
    for n in range(40):
        context = {"user_id": f"u-{n % 2}", "correlation_id": f"req-{n}"}
        receipt = emitter.emit(context, "item.set" if n else "item.made", {"n": n})
        assert receipt is not None
        receipts.append(receipt)
    assert emitter.close(PATIENCE)
    return open_log(tmp_path / "log", keys=[KEY]), receipts


def test_every_record_is_there_oldest_first(made: tuple[AuditLog, list[Receipt]]) -> None:
    records = list(made[0].records())
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    events = [record["fields"]["n"] for record in records if record["event_type"][:4] == "item"]
    assert events == list(range(40))


def test_a_line_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"foreign\n[1]\n" + b'{"a":1}\n')
    assert list(open_log(path).records()) == [{"a": 1}]


def test_a_good_log_is_verified(made: tuple[AuditLog, list[Receipt]]) -> None:
    report = made[0].verify()
    report.raise_for_findings()
    assert report.anchored_seq > 0


def test_a_log_that_was_changed_is_found_out(made: tuple[AuditLog, list[Receipt]]) -> None:
    log = made[0]
    segment = min(Path(log.path).glob("audit-*.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b"u-1", b"u-2", 1))
    with pytest.raises(VerificationError) as told:
        log.verify().raise_for_findings()
    assert told.value.report.tampered


def test_a_question_is_answered(made: tuple[AuditLog, list[Receipt]]) -> None:
    log = made[0]
    found = log.query("item.*", user_id="u-0", where={"n": "1?"})
    assert [record["fields"]["n"] for record in found] == [10, 12, 14, 16, 18]
    assert len(log.query("item.set", limit=3)) == 3
    assert [r["fields"]["n"] for r in log.query(correlation_id="req-7")] == [7]


def test_times_bound_an_answer(made: tuple[AuditLog, list[Receipt]]) -> None:
    log = made[0]
    now = datetime.now(UTC)
    assert log.query("item.*", since=now + timedelta(hours=1)) == []
    assert len(log.query("item.*", since=now - timedelta(hours=1))) == 40
    assert log.query("item.*", until=now - timedelta(hours=1)) == []


def test_a_time_without_a_zone_is_refused(made: tuple[AuditLog, list[Receipt]]) -> None:
    with pytest.raises(ValueError, match="zone"):
        made[0].query(since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_a_record_is_proved(made: tuple[AuditLog, list[Receipt]]) -> None:
    log, receipts = made
    evidence = log.prove(receipts[5].seq)
    assert f'"id":"{receipts[5].id}"' in evidence.record
    assert evidence.judge(KeyRing.from_sources([KEY])).verdict == "ok"


def test_the_newest_checkpoint_is_that_of_a_trusted_key(
    made: tuple[AuditLog, list[Receipt]],
) -> None:
    log = made[0]
    found = log.checkpoint()
    assert found is not None
    assert found.head_seq == log.verify().anchored_seq
    assert open_log(log.path, keys=["6f" * 32]).checkpoint() is None


def test_the_head_is_the_last_record(made: tuple[AuditLog, list[Receipt]]) -> None:
    log = made[0]
    *_, last = log.records()
    head = log.head()
    assert head is not None
    assert (head.seq, head.hash, head.chain) == (last["seq"], last["hash"], last["chain"])


def test_a_log_without_records_has_no_head(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch()
    assert open_log(tmp_path).head() is None


def test_without_a_place_it_is_the_log_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "here" / "audit.jsonl"
    monkeypatch.setenv("AUDIT_EMIT_JSONL", str(path))
    with pytest.raises(FileNotFoundError):
        open_log()
    emitter = Emitter(stdout=False)
    emitter.emit(None, "a.b")
    emitter.close()
    assert [record["event_type"] for record in open_log().records()] == ["audit.started", "a.b"]
    monkeypatch.setenv("AUDIT_EMIT_JSONL", "off")
    with pytest.raises(ConfigError, match="where"):
        open_log()


def test_whoever_only_emits_does_not_load_it() -> None:
    code = "import audit_emit, sys; print('audit_emit.log' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_newest_records_come_without_reading_the_others(
    made: tuple[AuditLog, list[Receipt]],
) -> None:
    log = made[0]
    everything = list(log.records())
    assert log.newest() == everything[-1:]
    assert log.newest(25) == everything[-25:]  # over several segments
    assert log.newest(10_000) == everything
    assert log.newest(0) == []


def test_what_is_no_record_is_not_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b'{"a":1}\nforeign\n{"torn":')
    assert open_log(path).newest() == [{"a": 1}]


def test_a_record_is_found_by_its_id(made: tuple[AuditLog, list[Receipt]]) -> None:
    log, receipts = made
    assert log.find(receipts[7].id) == receipts[7].seq
    with pytest.raises(LookupError, match="there is no record"):
        log.find("*")


def test_a_log_is_followed_over_rotation(tmp_path: Path) -> None:
    path = tmp_path / "log" / "audit.jsonl"
    emitter = Emitter(service="shop", jsonl=str(path), stdout=False, max_bytes=4096)
    emitter.emit(None, "item.made", {"n": 0})
    following = open_log(path).follow()
    try:
        assert b'"n":0' in next(following.newest_first())
        assert list(following.poll()) == []
        for n in range(1, 40):
            emitter.emit(None, "item.made", {"n": n})
        emitter.flush()
        lines = [line for line in following.poll() if b"item.made" in line]
    finally:
        following.close()
        emitter.close()
    assert [line.partition(b'"n":')[2].partition(b"}")[0] for line in lines] == [
        b"%d" % n for n in range(1, 40)
    ]
    assert len(list(path.parent.glob("audit-*.jsonl"))) > 1


def test_what_somebody_noted_is_held_against_the_log(
    made: tuple[AuditLog, list[Receipt]],
) -> None:
    log, receipts = made
    noted = receipts[7]
    assert log.verify(expect_heads={noted.seq: noted.hash}, strict=True, jobs=2).exit_status == 0
    assert log.verify(expect_heads={noted.seq: "0" * 64}).exit_status == 1
    assert log.verify(chain="0" * 16).exit_status == 1
    assert log.verify(origin="another.example/shop").exit_status == 1


def test_how_old_a_signature_may_be_is_judged_as_of_a_time(tmp_path: Path) -> None:
    # Of one segment: a rotation that the record of the last checkpoint causes is not signed.
    path = tmp_path / "audit.jsonl"
    emitter = Emitter(service="shop", jsonl=str(path), stdout=False, signing_key=KEY)
    emitter.emit(None, "item.made")
    assert emitter.close(PATIENCE)
    log = open_log(path, keys=[KEY])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert log.verify(as_of=tomorrow).exit_status == 0  # nothing waits to be signed
    assert log.verify(max_age=60, as_of=tomorrow).exit_status == 1
    assert log.verify(max_age=60, as_of=tomorrow, anchor_required=False).exit_status == 0
    with pytest.raises(ValueError, match="needs a zone"):
        log.verify(as_of=datetime(2026, 5, 19))  # noqa: DTZ001


def test_an_address_of_another_kind_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigError, match="no log is read from mysql://") as raised:
        open_log("mysql://key:hunter2secret@bucket/prefix")
    assert "hunter2secret" not in str(raised.value)


def test_a_part_of_the_log_is_verified_as_the_command_does(
    made: tuple[AuditLog, list[Receipt]],
) -> None:
    log, receipts = made
    part = log.verify(from_seq=receipts[20].seq, anchor_required=False)
    assert (part.first_seq, part.partial) == (receipts[20].seq, True)
    hour = timedelta(hours=1)
    assert log.verify(since=datetime.now(UTC) - hour, until=datetime.now(UTC) + hour).records
    assert log.verify(until=datetime.now(UTC) - hour).records == 0
    with pytest.raises(ValueError, match="zone"):
        log.verify(since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault


def test_another_log_in_the_place_of_the_one_that_was_verified_is_found_out(
    made: tuple[AuditLog, list[Receipt]], tmp_path: Path
) -> None:
    log, memory = made[0], tmp_path / "seen.json"
    assert not log.verify(remember=memory).tampered
    other = Emitter(
        service="shop", jsonl=str(tmp_path / "other" / "audit.jsonl"), stdout=False, signing_key=KEY
    )
    other.emit(None, "a.b")
    assert other.close(PATIENCE)
    Path(log.path).rename(tmp_path / "moved")
    (tmp_path / "other").rename(log.path)
    assert not log.verify().tampered
    assert log.verify(remember=memory).tampered


def test_what_is_older_than_the_chain_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    old = b'{"ts":"2020-01-01T00:00:00.000000000Z","event_type":"a.b","fields":{}}\n'
    path.write_bytes(old)
    emitter = Emitter(service="shop", jsonl=str(path), stdout=False)
    emitter.emit(None, "a.b")
    assert emitter.close(PATIENCE)
    assert open_log(path).verify().tampered
    assert not open_log(path).verify(legacy_before=f"offset:{len(old)}").tampered
    with pytest.raises(ValueError, match="offset:N"):
        open_log(path).verify(legacy_before="yesterday")


def test_a_report_is_written_down_in_a_format(made: tuple[AuditLog, list[Receipt]]) -> None:
    now = datetime.now(UTC)
    since, until = now - timedelta(hours=1), now + timedelta(hours=1)
    page = made[0].report(since, until, "md", anomalies=False).decode()
    assert "| Records | 4" in page
    assert "**OK.**" in page
    for arguments in ((since, until, "pdf"), (until, since)):
        with pytest.raises(ValueError, match=r"no format|begins before"):
            made[0].report(*arguments)
