"""With a key, what no signature covers is as short and as young as the log's own policy says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import BEGIN, CHAIN, SECOND, MadeChain
from support.verifier_comparison import KEY, SECRET, both, kinds, ours

from audit_emit import Emitter
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._format.record import ns_of, ts_of
from audit_emit._format.unanchored import BURST, Demand, Policy, Tail, Times, Watch
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit._verify.findings import Report

POLICY = {"checkpoint_every": 100, "checkpoint_interval": 300.0}
ORIGIN = f"audit.example.com/tests/{CHAIN}"
MINUTE = 60 * SECOND


class Signed:
    """A log made to order, with checkpoints at any record and of any time."""

    def __init__(self, directory: Path, policy: dict[str, Any] | None = None) -> None:
        self.directory = directory
        directory.mkdir()
        self.made = MadeChain()
        self.made.add(event_type="audit.started", fields=policy or {})
        self.points: list[Checkpoint] = []

    def sign(self, *, version: int = 2, key: HmacKey = KEY, **more: Any) -> None:
        """Sign all that is there, one second after its last record."""
        tree = Frontier()
        for line in self.made.lines:
            tree.append(bytes.fromhex(json.loads(line)["hash"]))
        last = json.loads(self.made.lines[-1])
        members = {
            "at": ts_of(ns_of(last["ts"]) + SECOND),
            "origin": ORIGIN,
            "chain": CHAIN,
            "size": tree.size,
            "head_hash": last["hash"],
            "root": tree.root(),
            "reason": "interval",
        }
        made = sign(key, version=version, **{**members, **more})
        self.points.append(made)
        fields = {"head_seq": made.head_seq, "root_hash": made.root_hash, "at": made.at}
        self.made.add(event_type="audit.checkpoint", fields=fields)

    @property
    def now(self) -> int:
        """One second after the last record."""
        return ns_of(json.loads(self.made.lines[-1])["ts"]) + SECOND

    def write(self) -> Path:
        """The files as they are by now."""
        self.made.write(self.directory / "audit.jsonl")
        points = b"".join(point.to_line() for point in self.points)
        (self.directory / "checkpoints.jsonl").write_bytes(points)
        return self.directory


@pytest.fixture
def log(tmp_path: Path) -> Signed:
    """A log that is signed every hundred records, or five minutes, and says so."""
    made = Signed(tmp_path / "log", POLICY)
    made.made.add(49)
    made.sign()
    return made


def judged(log: Signed, later: int = 0, **more: Any) -> Report:
    """The verdict of all verifiers, so many nanoseconds after the last record was written."""
    as_of = log.now + later
    if more:
        return ours(log.write(), KEY, as_of=as_of, **more)
    return both(log.write(), as_of=as_of)


def test_an_idle_log_that_is_signed_to_its_end_is_good_for_ever(log: Signed) -> None:
    for later in (0, MINUTE, 10_000 * MINUTE):
        report = judged(log, later)
        assert (report.exit_status, report.anchored_seq, report.unanchored) == (0, 50, 0)


class TestNumber:
    def test_as_many_as_the_policy_says_may_follow(self, log: Signed) -> None:
        log.made.add(100)
        report = judged(log, BURST)
        assert (report.exit_status, report.unanchored) == (0, 100)
        log.made.add(1)
        report = judged(log, BURST)
        assert (report.exit_status, report.unanchored) == (1, 101)
        assert kinds(report) == {"not-anchored": [50]}
        assert "101 records after it are not signed, and 100 may be" in report.findings[0].note

    def test_a_burst_since_the_last_look_of_the_signer_may_be_of_any_length(
        self, log: Signed
    ) -> None:
        log.made.add(5000, step=1000)
        assert judged(log).exit_status == 0
        assert judged(log, 10 * SECOND).exit_status == 1

    def test_records_of_the_future_are_no_burst(self, log: Signed) -> None:
        log.made.add(101, ts=log.now + 3600 * SECOND, step=1000)
        report = both(log.write(), as_of=BEGIN + MINUTE)
        assert kinds(report) == {"not-anchored": [50]}

    def test_a_log_without_a_policy_may_be_longer(self, tmp_path: Path) -> None:
        log = Signed(tmp_path / "log")
        log.sign()
        log.made.add(10_000, step=SECOND // 100)
        assert judged(log, BURST).exit_status == 0
        log.made.add(1)
        assert judged(log, BURST).exit_status == 1

    def test_whoever_verifies_may_demand_another_number(self, log: Signed) -> None:
        log.made.add(3)
        assert judged(log, max_unanchored=3).exit_status == 0
        report = judged(log, max_unanchored=2)
        assert report.exit_status == 1
        assert report.findings[0].note.endswith("and 2 may be, as demanded")
        log.sign()
        assert judged(log, max_unanchored=0).exit_status == 0, "what is about the checkpoint itself"

    def test_more_may_be_demanded_than_the_policy(self, log: Signed) -> None:
        log.made.add(500)
        assert judged(log, 3 * MINUTE, max_unanchored=500, max_age=3600.0).exit_status == 0


class TestAge:
    def test_records_must_be_signed_within_the_interval(self, log: Signed) -> None:
        log.made.add(1)
        assert judged(log, 4 * MINUTE).exit_status == 0
        report = judged(log, 6 * MINUTE)
        assert kinds(report) == {"not-anchored": [50]}
        assert "should have been signed within 300 s" in report.findings[0].note

    def test_a_first_record_after_a_quiet_night_is_no_alarm(self, log: Signed) -> None:
        log.made.add(1, ts=log.now + 600 * MINUTE)
        assert judged(log, MINUTE).exit_status == 0

    def test_an_hour_without_a_policy(self, tmp_path: Path) -> None:
        log = Signed(tmp_path / "log")
        log.sign()
        log.made.add(1)
        assert judged(log, 59 * MINUTE).exit_status == 0
        assert judged(log, 61 * MINUTE).exit_status == 1

    @pytest.mark.parametrize("version", [1, 2])
    def test_the_age_that_is_demanded_counts_for_an_idle_log_too(
        self, tmp_path: Path, version: int
    ) -> None:
        log = Signed(tmp_path / "log", POLICY)
        log.sign(version=version)
        assert judged(log, MINUTE, max_age=120.0).exit_status == 0
        report = judged(log, 3 * MINUTE, max_age=120.0)
        assert kinds(report) == {"not-anchored": [1]}
        assert "may be 120 s old" in report.findings[0].note

    def test_a_time_that_nobody_signed_says_nothing(self, tmp_path: Path) -> None:
        log = Signed(tmp_path / "log", POLICY)
        log.sign(version=1, at=ts_of(BEGIN + 600 * MINUTE))
        as_of = BEGIN + 600 * MINUTE
        report = ours(log.write(), KEY, as_of=as_of, max_age=120.0)
        assert (report.exit_status, report.anchored_time) == (1, 0)

    def test_the_signed_time_counts(self, tmp_path: Path) -> None:
        log = Signed(tmp_path / "log", POLICY)
        log.sign(at=ts_of(BEGIN + 600 * MINUTE))
        as_of = BEGIN + 601 * MINUTE
        report = ours(log.write(), KEY, as_of=as_of, max_age=120.0)
        assert report.exit_status == 0
        assert report.anchored_time == (BEGIN + 600 * MINUTE) // SECOND


class TestForgedTail:
    """One checkpoint is kept, and everything after it is made up."""

    @pytest.mark.parametrize("jobs", [1, 2])
    @pytest.mark.parametrize("count", [155, 20_000])
    def test_of_any_length(self, log: Signed, count: int, jobs: int) -> None:
        log.made.add(count, step=SECOND // 100)
        report = judged(log, 10 * MINUTE, jobs=jobs)
        assert report.exit_status == 1
        assert kinds(report) == {"not-anchored": [50]}

    def test_a_policy_in_the_forged_part_counts_for_nothing(self, log: Signed) -> None:
        lax = {"checkpoint_every": 10**9, "checkpoint_interval": 1e9}
        log.made.add(event_type="audit.started", fields=lax)
        log.made.add(155)
        assert judged(log, MINUTE).exit_status == 1

    def test_the_last_policy_that_is_signed_counts(self, log: Signed) -> None:
        other = {"checkpoint_every": 10, "checkpoint_interval": 60}
        log.made.add(event_type="audit.started", fields=other)
        log.made.add(event_type="audit.started", fields={"checkpoint_every": -1})
        log.sign()
        log.made.add(10)
        assert judged(log, 30 * SECOND).exit_status == 0
        log.made.add(1)
        assert judged(log, 30 * SECOND).exit_status == 1

    def test_a_checkpoint_of_a_key_that_nobody_knows_hides_none_of_it(self, log: Signed) -> None:
        log.made.add(155)
        log.sign(key=HmacKey(b"x" * 32))
        report = judged(log, MINUTE)
        assert {"not-anchored", "key-unavailable"} == set(kinds(report))

    def test_records_about_a_checkpoint_are_left_out_once_for_each(self, log: Signed) -> None:
        own = json.loads(log.made.lines[-1])["fields"]
        for _ in range(101):
            log.made.add(event_type="audit.checkpoint", fields={**own, "user": "mallory"})
        report = judged(log, MINUTE)
        assert (kinds(report), report.unanchored) == ({"not-anchored": [50]}, 101)

    def test_a_type_that_is_told_twice_hides_nothing(self, log: Signed) -> None:
        log.made.add(101, event_type='audit.checkpoint","event_type":"secret.set')
        assert kinds(judged(log, MINUTE)) == {"not-anchored": [50]}

    def test_times_that_are_still_to_come_keep_nothing_young(self, log: Signed) -> None:
        log.made.add(5, ts=BEGIN + 10**6 * MINUTE)
        assert both(log.write(), as_of=BEGIN + MINUTE).exit_status == 0
        report = both(log.directory, as_of=BEGIN + 10**5 * MINUTE)
        assert kinds(report) == {"not-anchored": [50]}
        assert "still to come" in report.findings[0].note

    def test_what_another_signer_told_of_its_checkpoint_is_left_out(self, log: Signed) -> None:
        log.sign(key=HmacKey(b"x" * 32))
        report = judged(log, 10 * MINUTE)
        assert (kinds(report), report.unanchored) == ({"key-unavailable": [51]}, 0)

    def test_it_may_be_accepted_knowingly(self, log: Signed) -> None:
        log.made.add(155)
        report = judged(log, MINUTE, anchor_required=False)
        assert (report.exit_status, report.demanded) == (0, "")

    def test_of_a_part_nothing_is_demanded(self, log: Signed) -> None:
        log.made.add(155)
        report = judged(log, MINUTE, from_seq=60)
        assert (report.exit_status, report.demanded, report.partial) == (0, "", True)


class TestNothing:
    def test_a_key_that_anchors_nothing(self, log: Signed) -> None:
        log.points.clear()
        log.made = MadeChain().add(10)
        report = both(log.write())
        assert (report.exit_status, kinds(report)) == (1, {"not-anchored": [None]})
        assert ours(log.directory, KEY, from_seq=2).exit_status == 4
        assert ours(log.directory).exit_status == 0

    @pytest.mark.parametrize("algorithm", ["none", "hmac-sha512", "ed25519ph"])
    @pytest.mark.parametrize("key", [SECRET, None])
    def test_an_algorithm_that_there_is_not(
        self, log: Signed, algorithm: str, key: bytes | None
    ) -> None:
        path = log.write() / "checkpoints.jsonl"
        point = {**json.loads(path.read_bytes()), "sig_alg": algorithm}
        path.write_text(json.dumps(point, separators=(",", ":")) + "\n")
        report = both(log.directory, key=key, as_of=log.now)
        assert report.exit_status == 1
        assert kinds(report) == {"checkpoint-signature-mismatch": [50]}

    def test_a_checkpoint_of_a_later_version_is_not_checked(self, log: Signed) -> None:
        path = log.write() / "checkpoints.jsonl"
        path.write_bytes(path.read_bytes() + b'{"v":3,"sum":"00"}\n')
        report = both(log.directory, as_of=log.now)
        assert (report.exit_status, kinds(report)) == (4, {"key-unavailable": [None]})


class TestAnotherLog:
    """Everything holds, and it is not the log that was meant."""

    @pytest.mark.parametrize("origin", [ORIGIN, ORIGIN.rpartition("/")[0]])
    def test_the_origin_with_its_chain_or_without(self, log: Signed, origin: str) -> None:
        assert judged(log, origin=origin).exit_status == 0

    @pytest.mark.parametrize("origin", ["audit.example.com", "other", f"{ORIGIN}/x", "audit"])
    def test_another_origin(self, log: Signed, origin: str) -> None:
        report = judged(log, origin=origin)
        assert report.exit_status == 1
        assert kinds(report) == {"origin-mismatch": [50]}
        assert report.anchored_seq == 0

    def test_another_chain(self, log: Signed) -> None:
        assert judged(log, chain=CHAIN).exit_status == 0
        report = judged(log, chain="0" * 16)
        assert report.exit_status == 1
        assert set(kinds(report)) == {"chain-id-mismatch"}


class TestDeclarations:
    """Whoever can append a record can append ``audit.recovered``."""

    JUNK = (
        b'{"ts":"2026-05-19T20:00:02.000000000Z","event_type":"secret.set","user_id":"mallory"}\n'
    )

    def spoilt(self, log: Signed, index: int) -> Path:
        log.write()
        path = log.directory / "audit.jsonl"
        lines = path.read_bytes().splitlines(True)
        lines.insert(index, self.JUNK)
        path.write_bytes(b"".join(lines))
        return log.directory

    @property
    def declared(self) -> dict[str, Any]:
        from hashlib import sha256

        return {"bytes": len(self.JUNK), "sha256": sha256(self.JUNK).hexdigest()}

    @pytest.mark.parametrize("key", [SECRET, None])
    def test_from_afar_and_unsigned_it_is_not_believed(
        self, log: Signed, key: bytes | None
    ) -> None:
        log.made.add(event_type="audit.recovered", fields=self.declared)
        directory = self.spoilt(log, 20)
        report = both(directory, key=key, as_of=log.now)
        assert report.exit_status == 1
        assert kinds(report)["malformed-line"] == [21]

    def test_from_nearby_but_behind_the_signature_it_is_not_believed_either(
        self, log: Signed
    ) -> None:
        log.made.add(event_type="audit.recovered", fields=self.declared)
        report = both(self.spoilt(log, 49), as_of=log.now)
        assert kinds(report) == {"malformed-line": [50]}

    def test_from_nearby_it_is_what_a_writer_says(self, log: Signed) -> None:
        log.made.add(3).add(event_type="audit.recovered", fields=self.declared)
        report = both(self.spoilt(log, 52), as_of=log.now)
        assert (report.exit_status, kinds(report)) == (0, {"recovered-tear": [55]})

    def test_signed_it_is_believed_from_anywhere(self, log: Signed) -> None:
        log.made.add(30).add(event_type="audit.recovered", fields=self.declared)
        log.sign()
        report = both(self.spoilt(log, 20), as_of=log.now)
        assert (report.exit_status, kinds(report)) == (0, {"recovered-tear": [82]})


class TestLegacy:
    """Records from before the chain that a record of the chain declares."""

    OLD = b'{"ts":"2025-01-01T00:00:00Z","event_type":"x.y","fields":{}}\n'

    def made(self, log: Signed, *, signed: bool) -> Path:
        from hashlib import sha256

        old = self.OLD * 3
        fields = {"bytes": len(old), "sha256": sha256(old).hexdigest()}
        log.made.add(event_type="audit.legacy", fields=fields)
        if signed:
            log.sign()
        path = log.write() / "audit.jsonl"
        path.write_bytes(old + path.read_bytes())
        return log.directory

    def test_signed_it_is_believed(self, log: Signed) -> None:
        report = both(self.made(log, signed=True), as_of=log.now)
        assert (report.exit_status, report.legacy) == (0, 3)
        assert kinds(report) == {"legacy-record": [None] * 3}

    def test_unsigned_it_is_not(self, log: Signed) -> None:
        report = both(self.made(log, signed=False), as_of=log.now)
        assert kinds(report) == {"malformed-line": [1, 1, 1]}

    def test_without_a_key_it_cannot_be_told(self, log: Signed) -> None:
        report = both(self.made(log, signed=True), key=None, as_of=log.now)
        assert report.exit_status == 4
        assert report.counts["key-unavailable"] == 2

    def test_one_more_is_none_of_them(self, log: Signed) -> None:
        path = self.made(log, signed=True) / "audit.jsonl"
        path.write_bytes(self.OLD + path.read_bytes())
        report = both(log.directory, as_of=log.now)
        assert report.counts == {"malformed-line": 4}


def test_the_writer_says_how_often_it_signs(tmp_path: Path) -> None:
    def started(name: str, **more: Any) -> dict[str, Any]:
        path = tmp_path / name / "audit.jsonl"
        emitter = Emitter(service="tests", jsonl=path, stdout=False, **more)
        emitter.emit(None, "x.y")
        emitter.close()
        fields: dict[str, Any] = json.loads(path.read_bytes().splitlines()[0])["fields"]
        return fields

    signing = started("signed", signing_key=KeyRing([KEY]))
    assert Policy.of(signing) == Policy(100, 300.0, told=True)
    assert Policy.of(started("unsigned")) is None


def test_tails_are_joined() -> None:
    watch = Watch.at(BEGIN, 0)
    one = watch.tail([MadeChain().add(ts=BEGIN - MINUTE).lines[0]])
    ts = ts_of(BEGIN - MINUTE).encode()
    assert one == Tail(Times(1, 1, ts, ts))
    assert one.join(Tail()) == one
    assert one.join(one).others.events == 2


def test_a_demand_that_is_met_is_silent() -> None:
    demand = Demand(BEGIN, max_unanchored=0, max_age=0.0)
    assert list(demand.unmet(Policy(), Times(), ts_of(BEGIN))) == []
