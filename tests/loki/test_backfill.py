"""Pushing what Loki lacks: all of it, nothing twice, whatever Loki answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.chain_builder import SECOND, altered, rewritten
from support.fake_loki import Answer, Asked, Fault, LokiServer, lost, status, truncated
from support.fake_loki_store import CONFIGURED, DAY, HOUR, Refusal
from support.log_and_loki import LogAndLoki, OnPush, counts
from support.loki_program import RealLoki

from audit_emit._format.record import ts_of
from audit_emit._loki import backfill as backfilling
from audit_emit._loki import batches as _batches
from audit_emit._loki.backfill import NOT_TRIED, TRIES
from audit_emit._loki.batches import SEVERAL, TOO_FAR_BEHIND, TOO_LONG, TOO_OLD, WRONG_HASH
from audit_emit._loki.client import LokiClient
from audit_emit._loki.disagreement import Kind
from audit_emit._loki.journal import Journal
from audit_emit._loki.log_index import LogIndex
from audit_emit._loki.plan import BackfillSettings, plan
from audit_emit._loki.streams import FLUSHED
from audit_emit.errors import Limited, Refused, ServerFailed, TimedOut, Unreachable

UNSHOWN = 3 * HOUR
"""``query_ingesters_within`` where nobody has set it."""


@pytest.fixture
def both(tmp_path: Path, each_loki: Asked) -> Iterator[LogAndLoki]:
    made = LogAndLoki(tmp_path, each_loki.url, each_loki.tenant)
    yield made
    made.client.close()


@pytest.fixture
def small(tmp_path: Path, fake_loki: LokiServer) -> Iterator[LogAndLoki]:
    """Of 60 records, which began 50 minutes ago, Loki lacks 21 to 40."""
    made = LogAndLoki(tmp_path, fake_loki.url)
    made.chain.add(60)
    made.write()
    made.ship(made.without(*range(21, 41)))
    yield made
    made.client.close()


@pytest.fixture
def old(tmp_path: Path, fake_loki: LokiServer) -> Iterator[LogAndLoki]:
    """20 records, 5 hours old, none of them in Loki, which does not show at once what is old."""
    fake_loki.store.limits.query_ingesters_within = UNSHOWN
    made = LogAndLoki(tmp_path, fake_loki.url, ago=5 * 3600)
    made.chain.add(10).add(10, event_type="key.created")
    made.write()
    yield made
    made.client.close()


def again(server: LokiServer) -> int:
    """How many entries came twice."""
    return sum(each.again for each in server.store.streams["fake"].values())


def pushes(server: LokiServer) -> int:
    return sum(method == "POST" for method, _, _ in server.asked)


def closed(small: LogAndLoki, server: LokiServer) -> bool:
    """Whether Loki has every record, and got none twice."""
    return small.in_loki() == small.chain.lines and again(server) == 0


# All is well


def test_it_closes_every_hole(both: LogAndLoki) -> None:
    both.chain.add(50).add(50, event_type="key.created", step=SECOND // 2)
    both.write()
    both.ship(both.without(1, 2, 50, 51, 77, 100))
    done, report = both.backfill()
    assert (done.placed, done.accepted, done.doubtful, done.error) == (6, 0, 0, None)
    assert (report.exit_status, report.agreed) == (0, 100)
    assert both.in_loki() == both.chain.lines
    assert both.compare().report.exit_status == 0


def test_the_labels_are_those_of_the_pipeline(both: LogAndLoki) -> None:
    both.chain.add(5)
    both.write()
    both.backfill()
    labels = f', service="{both.chain.service}", event_type="secret.set"'
    assert both.in_loki(labels) == both.chain.lines


def test_twice_doubles_nothing(both: LogAndLoki) -> None:
    both.chain.add(30)
    both.write()
    both.ship(both.without(3, 4))
    both.backfill()
    done, report = both.backfill()
    assert (done.placed, report.exit_status, report.duplicates) == (0, 0, 0)


def test_into_an_empty_loki(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.store.streams.clear()
    done, report = small.backfill()
    assert (done.placed, report.exit_status) == (60, 0)
    assert closed(small, fake_loki)


def test_days_ago_without_knowing_what_is_shown(tmp_path: Path, each_loki: Asked) -> None:
    """With ``query_ingesters_within: 0s`` (vector/loki.yaml) a probe shows that all is shown."""
    made = LogAndLoki(tmp_path, each_loki.url, each_loki.tenant, ago=260_000)
    made.chain.add(40, step=1800 * SECOND)
    made.write()
    made.ship(made.without(*range(5, 30)))
    done, report = made.backfill()
    assert (done.placed, done.accepted, report.exit_status) == (25, 0, 0)
    assert made.in_loki() == made.chain.lines
    made.client.close()


def test_records_of_one_stream_go_in_order_of_time(
    small: LogAndLoki, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    push = LokiClient.push

    def watched(self: LokiClient, batch: object) -> None:
        entries = list(batch)  # type: ignore[call-overload]
        sent.extend(entry.ts for entry in entries)
        push(self, entries)

    monkeypatch.setattr(LokiClient, "push", watched)
    monkeypatch.setattr(_batches, "BATCH_LINES", 3)
    small.backfill()
    assert len(sent) == 20
    assert sent == sorted(sent)


def test_records_from_before_there_was_a_chain(small: LogAndLoki) -> None:
    ts = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(small.begin // SECOND + 1))
    legacy = f'{{"ts":"{ts}","event_type":"a.b","fields":{{}},"service":"{small.chain.service}"}}'
    path = Path(small.layout.active)
    path.write_bytes(legacy.encode() + b"\n" + path.read_bytes())
    done, report = small.backfill()
    assert (done.placed, report.exit_status) == (21, 0)


def test_it_keeps_to_the_rate(small: LogAndLoki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batches, "BATCH_LINES", 5)
    size = sum(map(len, small.chain.lines[20:40]))
    small.backfill(rate=size / 100)
    assert sum(small.waited) == pytest.approx(75, abs=2)


def test_progress_is_told_in_records(small: LogAndLoki) -> None:
    told: list[tuple[int, int]] = []
    with LogIndex([small.layout]) as index:
        _, missing = small.compare()
        with Journal(small.journal, "loki") as journal:
            backfilling.Backfill(
                index, small.client, journal, progress=lambda *now: told.append(now)
            ).run(missing)
    assert told[-1] == (20, 20)


def test_a_plan_pushes_nothing(small: LogAndLoki, fake_loki: LokiServer) -> None:
    before = pushes(fake_loki)
    with LogIndex([small.layout]) as index:
        made = plan(index, small.compare().missing)
    assert (made.records, made.batches) == (20, 1)
    assert made.size == sum(map(len, small.chain.lines[20:40]))
    assert pushes(fake_loki) == before
    assert not Path(small.journal).exists()


# What must not be pushed


def test_what_loki_has_otherwise_is_not_pushed_over_it(
    small: LogAndLoki, fake_loki: LokiServer
) -> None:
    """A log that was rewritten does not get its version in beside the true one."""
    small.chain.lines[4] = rewritten(small.chain.lines[4], user_id="u-18")
    small.write()
    done, report = small.backfill()
    assert done.placed == 20
    assert counts(report) == {Kind.ALTERED: 1}
    assert small.chain.lines[4].decode() not in fake_loki.lines()


def test_a_record_with_a_wrong_hash_is_not_pushed(small: LogAndLoki) -> None:
    small.chain.lines[29] = altered(small.chain.lines[29])
    small.write()
    done, report = small.backfill()
    assert done.placed == 19
    (finding,) = report.findings
    assert (finding.kind, finding.from_seq, finding.note) == (Kind.MISSING, 30, WRONG_HASH)


def test_of_two_records_at_one_place_none_is_pushed(
    small: LogAndLoki, fake_loki: LokiServer
) -> None:
    twin = rewritten(small.chain.lines[4], ts=ts_of(small.begin + 4 * SECOND + 5))
    small.chain.lines.append(twin)
    small.write()
    done, report = small.backfill()
    assert done.placed == 20
    (finding,) = report.findings
    assert (finding.from_seq, finding.note) == (5, SEVERAL)
    assert again(fake_loki) == 0


# What Loki refuses for good


@pytest.mark.parametrize("age", [8 * DAY, 9 * DAY], ids=["8 days", "9 days"])
def test_too_old(tmp_path: Path, fake_loki: LokiServer, age: int) -> None:
    made = LogAndLoki(tmp_path, fake_loki.url, ago=age // SECOND)
    made.chain.add(500).add(20, ts=time.time_ns() - 1000 * SECOND)
    made.write()
    done, report = made.backfill()
    assert done.placed == 20
    (finding,) = report.findings
    assert (finding.from_seq, finding.to_seq, finding.note) == (1, 500, TOO_OLD)
    assert pushes(fake_loki) < 5
    assert again(fake_loki) == 0
    made.client.close()


def test_too_far_behind(tmp_path: Path, fake_loki: LokiServer) -> None:
    made = LogAndLoki(tmp_path, fake_loki.url, ago=110 * 60)
    made.chain.add(300, step=10 * SECOND).add(300, step=10 * SECOND, event_type="key.created")
    made.write()
    newest = made.begin + 299 * 10 * SECOND
    made.ship([made.chain.lines[299], made.chain.lines[599]])
    fake_loki.store.limits.out_of_order = 1000 * SECOND
    done, report = made.backfill()
    behind = sum(made.begin + n * 10 * SECOND < newest - 1000 * SECOND for n in range(299))
    assert counts(report) == {Kind.MISSING: 2 * behind}
    assert {finding.note for finding in report.findings} == {TOO_FAR_BEHIND}
    assert done.placed == 598 - 2 * behind
    assert again(fake_loki) == 0
    made.client.close()


def test_too_long(small: LogAndLoki, fake_loki: LokiServer) -> None:
    small.chain.add(1, ts=small.begin + 60 * SECOND, fields={"pad": "x" * 2000}).add(5)
    small.write()
    fake_loki.store.limits.max_line_size = 1500
    done, report = small.backfill()
    assert done.placed == 25
    (finding,) = report.findings
    assert (finding.from_seq, finding.note) == (61, TOO_LONG)
    assert again(fake_loki) == 0


def test_one_line_is_refused_for_a_reason_that_nobody_knows(
    small: LogAndLoki, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others of its batch are found to be there, or are sent again by halves."""
    bad = small.chain.lines[29].decode()
    push = fake_loki.store.push

    def picky(tenant: str, pushed: list[dict[str, list[list[str]]]]) -> None:
        if any(value[1] == bad for each in pushed for value in each["values"]):
            raise Refusal(400, "I do not like one of these")
        push(tenant, pushed)

    monkeypatch.setattr(fake_loki.store, "push", picky)
    done, report = small.backfill()
    assert done.placed == 19
    (finding,) = report.findings
    assert (finding.from_seq, finding.note) == (30, "refused: I do not like one of these")
    assert again(fake_loki) == 0


def test_a_loki_that_likes_nothing_is_left_alone(
    small: LogAndLoki, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "REFUSALS", 3)
    fake_loki.faults = OnPush(fake_loki, *[status(400, "no") for _ in range(100)])
    done, report = small.backfill()
    assert isinstance(done.error, Refused)
    assert counts(report) == {Kind.MISSING: 20}
    assert pushes(fake_loki) < 20


def test_many_lines_that_are_refused_for_one_reason_are_not_tried_one_by_one(
    small: LogAndLoki, fake_loki: LokiServer
) -> None:
    small.chain.add(30, ts=small.begin + 60 * SECOND, fields={"pad": "x" * 2000})
    small.write()
    fake_loki.store.limits.max_line_size = 1500
    before = pushes(fake_loki)
    done, report = small.backfill()
    assert (done.placed, counts(report)) == (20, {Kind.MISSING: 30})
    assert pushes(fake_loki) - before == 1


# What passes


@pytest.mark.parametrize(
    "fault",
    [
        status(500, "oops"),
        status(503, "no live replicas"),
        status(429, "ingestion rate limit exceeded for user fake"),
        status(429, "Per stream rate limit exceeded"),
        lambda _: None,
        lost,
        lambda true: Answer(502) if true() else None,
    ],
    ids=["500", "503", "429", "429 of a stream", "hung up", "answer lost", "502 though it is done"],
)
@pytest.mark.parametrize("times", [1, 3])
def test_trouble_that_passes(
    small: LogAndLoki, fake_loki: LokiServer, fault: Fault, times: int
) -> None:
    fake_loki.faults = OnPush(fake_loki, *[fault] * times)
    done, report = small.backfill()
    assert (done.placed, done.error, report.exit_status) == (20, None, 0)
    assert closed(small, fake_loki)
    done, _ = small.backfill()
    assert done.placed == 0


def test_the_server_says_how_long_to_wait(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.faults = OnPush(fake_loki, status(429, "slow down", Retry_After="17"))
    small.backfill()
    assert 17 in small.waited
    assert closed(small, fake_loki)


def test_a_server_that_wants_hours_is_given_up(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.faults = OnPush(fake_loki, status(429, "slow down", Retry_After="7200"))
    done, report = small.backfill()
    assert isinstance(done.error, Limited)
    assert counts(report) == {Kind.MISSING: 20}
    assert small.waited == []


def test_the_waits_grow(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.faults = OnPush(fake_loki, *[status(500)] * 4)
    small.backfill()
    assert small.waited == [2, 4, 8, 16]


def test_a_batch_that_is_too_much_is_made_smaller(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.store.limits.ingestion_burst = 3000
    done, report = small.backfill()
    assert (done.placed, report.exit_status) == (20, 0)
    assert closed(small, fake_loki)


# What does not pass


def test_trouble_that_stays(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.faults = OnPush(fake_loki, *[status(500)] * 50)
    done, report = small.backfill()
    assert isinstance(done.error, ServerFailed)
    assert pushes(fake_loki) - 1 == TRIES
    assert {finding.note for finding in report.findings} == {NOT_TRIED}
    assert counts(report) == {Kind.MISSING: 20}
    fake_loki.faults = []
    assert small.backfill()[1].exit_status == 0
    assert closed(small, fake_loki)


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_door_that_is_shut_is_tried_once(
    small: LogAndLoki, fake_loki: LokiServer, code: int
) -> None:
    fake_loki.faults = OnPush(fake_loki, *[status(code)] * 9)
    done, report = small.backfill()
    assert isinstance(done.error, Refused)
    assert pushes(fake_loki) - 1 == 1
    assert counts(report) == {Kind.MISSING: 20}


@pytest.mark.parametrize("after", ["before", "after"])
def test_loki_goes_down_in_the_middle(
    small: LogAndLoki, fake_loki: LokiServer, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can be asked what came of the last batch; the next backfill finds out."""
    monkeypatch.setattr(_batches, "BATCH_LINES", 5)

    def down(true: object) -> None:
        if after == "after":
            true()  # type: ignore[operator]
        fake_loki.faults = [lambda _: None] * 50

    fake_loki.faults = OnPush(fake_loki, None, down)
    done, report = small.backfill()
    assert done.error is not None
    assert (done.placed, done.doubtful) == (5, 5)
    assert counts(report) == {Kind.MISSING: 10}
    fake_loki.faults = []
    done, report = small.backfill()
    assert done.placed == (10 if after == "after" else 15)
    assert report.exit_status == 0
    assert closed(small, fake_loki)


def test_nobody_answers(small: LogAndLoki, fake_loki: LokiServer) -> None:
    fake_loki.faults = OnPush(fake_loki, *[lambda _: None] * 99)
    done, report = small.backfill()
    assert done.error is not None
    assert counts(report) == {Kind.MISSING: 20}


def test_a_loki_that_is_slow(
    small: LogAndLoki, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfilling, "TRIES", 2)
    push = LokiClient.push

    def impatient(client: LokiClient, batch: Any) -> None:
        http = client._connection._client
        before, http.timeout = http.timeout, httpx.Timeout(0.1)
        try:
            push(client, batch)
        finally:
            http.timeout = before

    # Every other answer is waited for: a busy machine is as slow as this Loki.
    monkeypatch.setattr(LokiClient, "push", impatient)
    fake_loki.faults = OnPush(fake_loki, *[fake_loki.slow] * 99)
    done, report = small.backfill()
    assert isinstance(done.error, TimedOut)
    assert counts(report) == {Kind.MISSING: 20}


def test_an_answer_that_is_cut_off(small: LogAndLoki, fake_loki: LokiServer) -> None:
    """What Loki shows cannot be read: what was pushed is known to be there, no more."""
    asked = len(fake_loki.asked)
    small.compare()
    first = len(fake_loki.asked) - asked
    fake_loki.faults = [*[None] * (first + 1), truncated]
    done, report = small.backfill()
    assert done.error is not None
    assert (done.accepted, report.exit_status) == (20, 4)
    assert small.backfill()[1].exit_status == 0
    assert closed(small, fake_loki)


# What Loki has and does not show


def test_what_is_not_shown_is_not_pushed_twice(old: LogAndLoki, fake_loki: LokiServer) -> None:
    done, report = old.backfill()
    assert (done.placed, done.accepted, report.exit_status) == (0, 20, 4)
    for _ in range(2):
        done, report = old.backfill()
        assert (done.placed, done.accepted, report.exit_status) == (0, 0, 4)
        assert report.waiting == 20
    assert old.compare().report.waiting == 20
    fake_loki.store.write_chunks()
    assert old.backfill()[1].exit_status == 0
    assert closed(old, fake_loki)


def test_what_is_old_and_shown_is_sent_again_as_if_it_were_young(
    old: LogAndLoki, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_loki.store.limits.query_ingesters_within = 0
    monkeypatch.setattr(_batches, "BATCH_LINES", 5)
    fake_loki.faults = OnPush(fake_loki, None, status(500), lost, status(503))
    done, report = old.backfill()
    assert (done.placed, done.doubtful, report.exit_status) == (20, 0, 0)
    assert closed(old, fake_loki)


def test_what_was_shown_once_is_in_no_doubt(old: LogAndLoki, fake_loki: LokiServer) -> None:
    """Loki loses it afterwards: it is missing, and not waited for."""
    fake_loki.store.limits.query_ingesters_within = 0
    old.backfill()
    fake_loki.store.streams.clear()
    assert counts(old.compare().report) == {Kind.MISSING: 20}


def test_what_was_lost_after_all_is_pushed_when_it_should_be_shown(
    old: LogAndLoki, fake_loki: LokiServer
) -> None:
    old.backfill()
    fake_loki.store.streams.clear()
    later = time.time_ns() + 4 * HOUR
    fake_loki.store.now = lambda: later
    done, _ = old.backfill(now=lambda: later)
    assert done.accepted == 20
    fake_loki.store.write_chunks()
    assert closed(old, fake_loki)


@pytest.mark.parametrize(
    ("fault", "doubtful"),
    [
        (status(500), 1),
        (lost, 1),
        (status(429, "Per stream rate limit exceeded"), 1),
        (status(429, "ingestion rate limit exceeded for user fake"), 0),
    ],
    ids=["500", "answer lost", "429 of a stream", "429 of the tenant"],
)
def test_trouble_with_what_is_not_shown(
    old: LogAndLoki, fake_loki: LokiServer, fault: Fault, doubtful: int
) -> None:
    """Who cannot know what came of it sends it again only when Loki would show it."""
    fake_loki.faults = OnPush(fake_loki, fault)
    done, report = old.backfill()
    assert (done.doubtful, done.accepted, done.error) == (doubtful, 20 - doubtful, None)
    assert report.exit_status == 4
    assert old.backfill()[0].accepted == 0
    assert again(fake_loki) == 0
    fake_loki.store.write_chunks()
    later = time.time_ns() + 4 * HOUR
    fake_loki.store.now = lambda: later
    old.backfill(now=lambda: later)
    fake_loki.store.write_chunks()
    assert closed(old, fake_loki)


def test_a_backfill_that_was_killed(
    old: LogAndLoki, fake_loki: LokiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent, and nothing was noted after that."""

    def killed(self: LokiClient, batch: object) -> None:
        push(self, batch)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    push = LokiClient.push
    monkeypatch.setattr(LokiClient, "push", killed)
    with pytest.raises(KeyboardInterrupt):
        old.backfill()
    monkeypatch.undo()
    done, report = old.backfill()
    assert (done.accepted, report.waiting) == (19, 20)
    fake_loki.store.write_chunks()
    assert old.backfill()[1].exit_status == 0
    assert closed(old, fake_loki)


def test_the_first_of_each_stream_goes_alone(old: LogAndLoki, fake_loki: LokiServer) -> None:
    old.backfill()
    sizes = [len(each.entries) for each in fake_loki.store.streams["fake"].values()]
    assert sizes == [10, 10]
    assert pushes(fake_loki) == 4


def test_too_old_and_not_shown(tmp_path: Path, fake_loki: LokiServer) -> None:
    fake_loki.store.limits.query_ingesters_within = UNSHOWN
    fake_loki.store.limits.reject_old_samples_max_age = DAY
    made = LogAndLoki(tmp_path, fake_loki.url, ago=2 * DAY // SECOND)
    made.chain.add(30).add(30, ts=time.time_ns() - DAY // 2)
    made.write()
    done, report = made.backfill()
    assert (done.accepted, counts(report)) == (30, {Kind.MISSING: 30})
    assert {finding.note for finding in report.findings} == {TOO_OLD}
    made.client.close()


def test_no_journal_no_push(small: LogAndLoki, fake_loki: LokiServer, tmp_path: Path) -> None:
    before = pushes(fake_loki)
    small.journal = str(tmp_path / "missing" / "backfill.jsonl")
    with pytest.raises(FileNotFoundError):
        small.backfill()
    assert pushes(fake_loki) == before


def test_who_is_not_there(tmp_path: Path) -> None:
    server = LokiServer()
    server.close()
    made = LogAndLoki(tmp_path, server.url)
    made.chain.add(3)
    made.write()
    with pytest.raises(Unreachable):
        made.backfill()
    made.client.close()


@pytest.mark.loki
def test_the_wrong_tenant_gets_nothing_of_another(tmp_path: Path, loki: RealLoki) -> None:
    made = LogAndLoki(tmp_path, loki.url, loki.tenant)
    made.chain.add(5)
    made.write()
    made.ship()
    other = LogAndLoki(tmp_path, loki.url, f"{loki.tenant}-other")
    other.chain = made.chain
    assert counts(other.compare().report) == {Kind.MISSING: 5}
    made.client.close()
    other.client.close()


# Late records open a stream an hour


@pytest.fixture
def late(tmp_path: Path, fake_loki: LokiServer) -> Iterator[LogAndLoki]:
    """Two types of events in each of 100 hours, 40 days ago, none of them in Loki."""
    fake_loki.store.limits = replace(CONFIGURED, max_streams=60)
    made = LogAndLoki(tmp_path, fake_loki.url, ago=40 * 24 * 3600)
    for _ in range(100):
        made.chain.add(1, step=1800 * SECOND).add(1, event_type="key.created", step=1800 * SECOND)
    made.write()
    yield made
    made.client.close()


def test_a_plan_knows_how_many_streams_that_opens(late: LogAndLoki) -> None:
    with LogIndex([late.layout]) as index:
        missing = late.compare().missing
        planned = plan(index, missing, BackfillSettings(streams=50))
        assert plan(index, missing).steps == 1
    assert planned.records == 200
    assert planned.streams in range(200, 203)
    assert planned.steps == 4


def test_it_ends_after_one_step_when_loki_may_not_be_asked_to_write(
    late: LogAndLoki, fake_loki: LokiServer
) -> None:
    done, report = late.backfill(streams=50)
    assert (done.placed, done.later, done.error) == (50, 150, None)
    assert (report.exit_status, report.later, dict(report.counts)) == (4, 150, {})
    assert fake_loki.store.most_open <= 50
    assert ("POST", "/flush", {}) not in fake_loki.asked
    fake_loki.store.write_chunks()
    assert late.backfill(streams=50)[0].placed == 50


def test_between_steps_loki_writes_its_chunks(late: LogAndLoki, fake_loki: LokiServer) -> None:
    done, report = late.backfill(streams=50, flush=True)
    assert (done.placed, done.later, report.exit_status) == (200, 0, 0)
    assert fake_loki.store.most_open <= 50
    assert late.waited.count(FLUSHED) == 3
    assert late.told.count("Loki writes its chunks; going on in 35 s") == 3
    assert closed(late, fake_loki)


def test_a_loki_that_lets_nobody_flush_ends_the_step(
    late: LogAndLoki, fake_loki: LokiServer
) -> None:
    fake_loki.may_flush = False
    done, report = late.backfill(streams=50, flush=True)
    assert (done.placed, done.later, report.exit_status) == (50, 150, 4)
    assert any("it cannot be asked to write its chunks" in text for text in late.told)


def test_a_tenant_without_a_stream_left_is_not_asked_again_and_again(
    late: LogAndLoki, fake_loki: LokiServer
) -> None:
    """Others have open streams, too."""
    done, report = late.backfill(streams=500)
    assert done.placed == 60
    assert isinstance(done.error, Limited)
    assert "maximum active stream limit exceeded" in done.error.body
    assert (sum(late.waited) < 1, report.exit_status) == (True, 1)
    fake_loki.store.write_chunks()
    assert late.backfill(streams=60)[0].placed == 60
    assert again(fake_loki) == 0


def test_a_tenant_without_a_stream_left_gets_some_when_loki_may_be_asked(
    late: LogAndLoki, fake_loki: LokiServer
) -> None:
    done, report = late.backfill(streams=500, flush=True)
    assert (done.placed, done.error, report.exit_status) == (200, None, 0)
    assert closed(late, fake_loki)


def test_how_far_it_is_and_what_loki_answers_is_told(
    small: LogAndLoki, fake_loki: LokiServer
) -> None:
    fake_loki.faults = OnPush(fake_loki, status(500, "no space left on device"))
    small.backfill()
    (told,) = small.told
    assert "no space left on device" in told
    assert told.endswith("; trying again in 2 s")


@pytest.mark.loki
def test_a_month_late_into_a_real_loki(tmp_path: Path, loki: RealLoki) -> None:
    made = LogAndLoki(tmp_path, loki.url, loki.tenant, ago=40 * 24 * 3600)
    for _ in range(60):
        made.chain.add(1, step=HOUR)
    made.write()
    done, report = made.backfill(streams=40)
    assert (done.placed, done.later, report.exit_status) == (40, 20, 4)
    made.client.flush()
    done, report = made.backfill(streams=40)
    assert (done.placed, report.exit_status) == (20, 0)
    assert made.in_loki() == made.chain.lines
    made.client.close()
