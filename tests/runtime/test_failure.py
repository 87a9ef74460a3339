from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.open_descriptors import same_file
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit._runtime import failure as _failure
from audit_emit._runtime.failure import Counters, StderrLog


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0  # exact in binary, as are the steps: the real one may round a minute away

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(_failure, "time", made)
    return made


def test_a_complaint_is_one_line_on_stderr() -> None:
    with Piped(2) as stderr:
        StderrLog().report("kind", "the file cannot be written")
        assert stderr.read() == b"audit_emit: the file cannot be written\n"


def test_a_kind_is_told_once_a_minute_and_the_rest_is_counted(clock: Clock) -> None:
    with Piped(2) as stderr:
        log = StderrLog()
        for _ in range(5):
            log.report("kind", "no")
            clock.now += 10
        assert stderr.read() == b"audit_emit: no\n"
        clock.now += 10
        log.report("kind", "no")
        assert stderr.read() == b"audit_emit: no (4 more of these since)\n"
        clock.now += 60
        log.report("kind", "no")
        assert stderr.read() == b"audit_emit: no\n"


def test_kinds_do_not_silence_each_other() -> None:
    with Piped(2) as stderr:
        log = StderrLog()
        for kind in ("1", "2", "1"):
            log.report(kind, kind)
        assert stderr.read() == b"audit_emit: 1\naudit_emit: 2\n"


def test_a_complaint_is_printable_ascii_on_one_line() -> None:
    with Piped(2) as stderr:
        StderrLog().report("kind", "/l\udcffgs/ü\x1b[31m\nforged: yes")
        told = stderr.read()
    assert told.startswith(b"audit_emit: /l\\udcffgs/")
    assert told.count(b"\n") == 1
    assert all(32 <= byte < 127 for byte in told[:-1])


def test_a_long_complaint_is_cut_to_what_a_pipe_takes_whole() -> None:
    with Piped(2) as stderr:
        StderrLog().report("kind", "x" * 10_000)
        told = stderr.read()
    assert len(told) == 4096
    assert told.endswith(b"x\n")


def test_what_stderr_did_not_take_is_told_later() -> None:
    with Piped(2) as stderr:
        log = StderrLog()
        stderr.fill()
        log.report("1", "first")
        log.report("2", "second")
        stderr.read()
        log.flush()
        assert stderr.read() == b"audit_emit: first\naudit_emit: second\n"
        log.flush()
        assert stderr.read() == b""


def test_a_forked_child_does_not_tell_what_its_parent_could_not() -> None:
    with Piped(2) as stderr:
        log = StderrLog()
        stderr.fill()
        log.report("1", "first")
        stderr.read()
        log.leave_parent()
        log.flush()
        assert stderr.read() == b""


def test_a_complaint_opens_no_file() -> None:
    """There may be no descriptor left: that is what it is about."""
    code = (
        "import sys\n"
        "from audit_emit._runtime.failure import StderrLog\n"
        "log = StderrLog()\n"
        "sys.path[:] = sys.meta_path[:] = []\n"
        "log.report('kind', '/l\u00f6gs')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=PATIENCE, check=True
    )
    assert done.stderr == b"audit_emit: /l\\xf6gs\n"


def test_a_stopped_or_vanished_reader_is_no_failure() -> None:
    with Piped(2) as stderr:
        log = StderrLog()
        stderr.fill()
        log.report("full", "no")
        stderr.hang_up()
        log.report("gone", "no")


def test_a_closed_stderr_is_no_failure() -> None:
    with Piped(2):
        log = StderrLog()
        os.close(2)
        log.report("kind", "no")
        StderrLog().report("kind", "no")


def test_nothing_is_written_into_what_took_the_place_of_stderr() -> None:
    with Piped(2):
        log = StderrLog()
        with Piped(2) as somebody_elses:
            os.set_inheritable(2, False)  # as what was opened while the number was free
            log.report("kind", "no")
            assert somebody_elses.read() == b""


def test_a_complaint_follows_stderr_to_what_has_replaced_it() -> None:
    with Piped(2):
        log = StderrLog()
        with Piped(2) as reopened:
            log.report("kind", "yes")
            assert reopened.read() == b"audit_emit: yes\n"


def test_complaints_give_their_descriptor_back() -> None:
    with Piped(2):
        log = [StderrLog() for _ in range(20)]
        for one in log:
            one.report("kind", "no")
        assert same_file(2) > 20
        for one in log:
            one.close()
        # The two ends of the pipe.
        assert same_file(2) == 2


def test_counters_begin_at_nought() -> None:
    counts = Counters().as_dict()
    assert {"lost", "truncated", "redacted", "recovered"} <= set(counts)
    assert set(counts.values()) == {0}


def test_counters_are_what_they_were_set_to() -> None:
    counters = Counters()
    counters.lost += 2
    assert counters.as_dict()["lost"] == 2
    with pytest.raises(AttributeError):
        counters.misspelled = 1  # type: ignore[attr-defined]
