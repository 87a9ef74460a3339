"""A search that goes on: after restarts, over failures, and not with another log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.anomalous_log import rule_set
from support.plain_log_reader import of_type

from audit_emit import Emitter
from audit_emit._detection.alert import Alert
from audit_emit._detection.delivery import Sink
from audit_emit._detection.engine import Engine
from audit_emit._detection.following import Follower, How
from audit_emit._detection.ruleset import RuleSet
from audit_emit._detection.sinks import Records, payload
from audit_emit._detection.state import StateFile
from audit_emit._format.record import ns_of, ts_of
from audit_emit._readers.opening import open_reader
from audit_emit._verify.verify import Options
from audit_emit.errors import BusyError, DeliveryError, DetectionError

RULES = rule_set(
    {
        "title": "Read",
        "name": "read",
        "detection": {"s": {"event_type": "secret.read"}, "condition": "s"},
    },
    {
        "title": "Three",
        "name": "three",
        "correlation": {
            "type": "event_count",
            "rules": ["read"],
            "timespan": "1h",
            "condition": {"gte": 3},
        },
    },
)


class Taken:
    """A sink that keeps what it takes, and refuses when it is told to."""

    name = "taken"

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.refuses = False

    def send(self, alert: Alert) -> None:
        if self.refuses:
            raise DeliveryError("not now")
        self.alerts.append(alert)


class Watched:
    """A log with its follower.

    Attributes:
        said: what went wrong.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "audit.jsonl"
        self.state = directory / "anomalies.state"
        self.emitter = Emitter(service="t", jsonl=self.path, stdout=False, durability="os")
        self.taken = Taken()
        self.said: list[str] = []

    def read(self, count: int = 3) -> None:
        for _ in range(count):
            self.emitter.emit({"user_id": "u"}, "secret.read", {"key": "K"})

    def rounds(
        self,
        count: int = 1,
        rules: RuleSet = RULES,
        sinks: Callable[[set[str]], Iterable[Sink]] | None = None,
        since: str = "",
        verify: Options | None = None,
    ) -> list[Alert]:
        """So many rounds of a follower that begins with the state; what they found."""
        found = []
        how = How(since, verify, 3600, self.said.append)
        with StateFile(self.state) as file:
            follower = Follower(
                lambda: open_reader(str(self.path)), rules, file, sinks or self.sinks, how
            )
            for _ in range(count):
                found += follower.round()
            follower.keep()
        return found

    def sinks(self, known: set[str]) -> list[Sink]:
        return [self.taken, Records(self.emitter.record_own, known)]

    def told(self) -> list[dict[str, Any]]:
        return [one["fields"] for one in of_type(self.path, "audit.anomaly")]


@pytest.fixture
def log(tmp_path: Path) -> Iterable[Watched]:
    made = Watched(tmp_path)
    yield made
    made.emitter.close()


def test_an_alert_is_taken_by_everybody_and_becomes_a_record(log: Watched) -> None:
    log.read()
    (alert,) = log.rounds(3)
    assert log.taken.alerts == [alert]
    (fields,) = log.told()
    assert fields["id"] == alert.id
    assert fields["seqs"] == [2, 3, 4]


def test_what_rules_wrote_they_do_not_look_at(log: Watched) -> None:
    every = rule_set(
        {
            "title": "All",
            "name": "all",
            "detection": {"s": {"seq|exists": True}, "condition": "s"},
        }
    )
    log.read(2)
    assert len(log.rounds(4, every)) == 3
    assert log.rounds(4, every) == []


def test_it_goes_on_where_it_ended_with_what_it_remembered(log: Watched) -> None:
    log.read(2)
    assert log.rounds() == []
    log.read(1)
    assert [one.seqs for one in log.rounds()] == [(2, 3, 4)]
    assert log.rounds() == []


def test_only_what_is_new_is_told_the_first_time(log: Watched) -> None:
    log.read()
    assert log.rounds(since=ts_of(time.time_ns())) == []
    log.read(1)
    assert log.rounds() == [], "it is the same crossing"


def test_what_nobody_took_waits_over_a_restart(log: Watched) -> None:
    log.read()
    log.taken.refuses = True
    assert len(log.rounds(3)) == 1
    assert log.taken.alerts == []
    assert len(log.told()) == 1, "the others do not wait for it"
    assert log.said == ["not now; 1 alerts wait, and it is tried again"]
    log.taken.refuses = False
    assert log.rounds() == []
    assert len(log.taken.alerts) == len(log.told()) == 1


def test_a_record_that_was_written_before_the_state_is_not_written_again(log: Watched) -> None:
    log.read(2)
    log.rounds()
    before = log.state.read_bytes()
    log.read(1)
    log.rounds()
    log.state.write_bytes(before)  # as if killed in between
    assert len(log.rounds()) == 1
    assert len(log.told()) == 1


def test_a_state_of_another_chain_is_refused(log: Watched) -> None:
    log.read()
    log.rounds()
    log.emitter.close()
    os.unlink(log.path)
    log.emitter = Emitter(service="t", jsonl=log.path, stdout=False, durability="os")
    log.read()
    with pytest.raises(DetectionError, match=r"is of the chain .* move it away"):
        log.rounds()


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"v":2}', b"\xff", b"[" * 10_000])
def test_what_is_no_state_is_refused(log: Watched, content: bytes) -> None:
    log.read()
    log.state.write_bytes(content)
    with pytest.raises(DetectionError, match="move it away"):
        log.rounds()


def test_a_state_of_a_later_version_is_refused(log: Watched) -> None:
    log.read()
    log.rounds()
    log.state.write_text(json.dumps({**json.loads(log.state.read_bytes()), "v": 2}))
    with pytest.raises(DetectionError, match="of version 2"):
        log.rounds()


def test_two_do_not_follow_with_one_state(log: Watched) -> None:
    with StateFile(log.state), pytest.raises(BusyError):
        StateFile(log.state)


def test_a_log_that_was_cut_is_an_alert_and_the_end(log: Watched) -> None:
    log.read(4)
    log.rounds()
    log.emitter.close()
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:3]))
    with pytest.raises(LookupError):
        log.rounds(sinks=lambda _: [log.taken])
    assert log.taken.alerts[-1].rule == "log_tampered"


def test_other_rules_look_at_what_was_before_and_tell_what_is_new(log: Watched) -> None:
    log.read(2)
    log.rounds()
    other = RuleSet(RULES.rules.values(), "another digest")
    log.read(1)
    assert [one.seqs for one in log.rounds(rules=other)] == [(2, 3, 4)]
    assert log.said == ["the rules have changed: the log is looked at from its beginning"]


def test_what_verify_finds_is_told_once(log: Watched) -> None:
    log.read(4)
    log.emitter.close()
    log.path.write_bytes(log.path.read_bytes().replace(b'"key":"K"', b'"key":"L"', 1))
    found = log.rounds(3, verify=Options())
    assert [one.rule for one in found] == ["log_tampered", "three"]
    assert log.rounds(verify=Options()) == []


def test_a_record_that_was_tampered_with_may_say_anything_and_is_told(log: Watched) -> None:
    log.read(4)
    log.emitter.close()
    lines = log.path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(lines[2][7:37], b"\\ud800\\u001b[2J")
    log.path.write_bytes(b"".join(lines))
    found = log.rounds(verify=Options(), sinks=lambda _: [log.taken])
    assert [one.rule for one in log.taken.alerts] == [one.rule for one in found]
    assert "log_tampered" in [one.rule for one in found]
    assert all(payload(one).decode() and one.first_ts.isprintable() for one in found)


def test_lines_that_are_no_records_are_not_looked_at_again_and_again(log: Watched) -> None:
    log.read(2)
    log.emitter.close()
    with log.path.open("ab") as file:
        file.write(b'{"event_type":"secret.read","seq":3}\n')
    assert log.rounds(5, sinks=lambda _: [log.taken]) == []


def test_a_log_that_cannot_be_read_for_a_while_loses_nothing(log: Watched) -> None:
    log.read()
    failing = iter([False, True, False])

    def opened() -> Any:
        if next(failing, False):
            raise OSError(5, "not now")
        return open_reader(str(log.path))

    how = How("", None, 3600, log.said.append)
    with StateFile(log.state) as file:
        follower = Follower(opened, RULES, file, log.sinks, how)
        assert len(follower.round()) == 1
        log.read(1)
        with pytest.raises(OSError, match="not now"):
            follower.round()
        assert follower.round() == []
    assert len(log.told()) == 1


def test_what_only_quotes_the_record_of_an_alert_does_not_stand_for_it(log: Watched) -> None:
    log.read(2)
    log.rounds()
    before = log.state.read_bytes()
    log.read(1)
    (alert,) = log.rounds(sinks=lambda _: [])
    quoted = {"event_type": "audit.anomaly", "id": alert.id}
    log.emitter.emit({"user_id": "u"}, "shop.quoted", quoted)
    log.state.write_bytes(before)
    log.rounds()
    assert [one["id"] for one in log.told()] == [alert.id]


def test_after_a_change_of_rules_a_silence_that_came_later_is_told(log: Watched) -> None:
    silent = rule_set(
        {
            "title": "Read",
            "name": "read",
            "detection": {"s": {"event_type": "secret.read"}, "condition": "s"},
            "level": "informational",
        },
        {
            "title": "Silent",
            "name": "silent",
            "status": "unsupported",
            "correlation": {"type": "silence", "rules": ["read"], "timespan": "1s"},
            "audit_emit": {"reason": "why"},
        },
    )
    log.read(1)
    log.rounds(sinks=lambda _: [])
    with open_reader(str(log.path)) as reader:
        bounds = reader.bounds()
    assert bounds.last is not None
    later = ns_of(bounds.last.ts) + 10**10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit_emit._detection.following.time.time_ns", lambda: later)
        other = RuleSet(silent.rules.values(), "another digest")
        found = log.rounds(rules=other, sinks=lambda _: [])
    assert [one.rule for one in found] == ["silent"]


def test_after_a_change_of_rules_an_alert_about_no_record_is_told(
    log: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.read(4)
    log.rounds(sinks=lambda _: [])
    by_id = {
        "title": "By id",
        "name": "by_id",
        "correlation": {
            "type": "event_count",
            "rules": ["read"],
            "group-by": ["id"],
            "timespan": "1h",
            "condition": {"gte": 3},
        },
    }
    read = {
        "title": "Read",
        "name": "read",
        "detection": {"s": {"event_type": "secret.read"}, "condition": "s"},
    }
    other = RuleSet(rule_set(read, by_id).rules.values(), "another digest")
    monkeypatch.setattr("audit_emit._detection.following.Engine", partial(Engine, most=1000))
    found = log.rounds(rules=other, sinks=lambda _: [])
    assert [(one.rule, one.seqs) for one in found] == [("log_state_full", ())]
