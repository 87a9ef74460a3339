"""Standard output of every kind and in every trouble: whole lines, and nobody waits."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults import scenes_stdout as scenes
from faults.child import finish, run, start
from faults.log import Log

PREFIX = b"audit: "
HOW = pytest.mark.parametrize("how", ["nowait", "poll"])


def whole_lines(shown: bytes) -> list[dict[str, Any]]:
    """Every line is one record, with the prefix and nothing else."""
    lines = shown.split(b"\n")
    assert lines.pop() == b"", shown[-200:]
    assert all(line.startswith(PREFIX) for line in lines), shown[:500]
    return [json.loads(line[len(PREFIX) :]) for line in lines]


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [r["fields"]["n"] for r in records if r["event_type"] == "pipe.event"]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    try:
        yield read_end, write_end
    finally:
        for number in (read_end, write_end):
            try:
                os.close(number)
            except OSError:
                continue


def drain(number: int) -> bytes:
    """What is in a pipe now."""
    os.set_blocking(number, False)
    shown = b""
    try:
        while part := os.read(number, 1 << 16):
            shown += part
    except BlockingIOError:
        pass
    return shown


@HOW
def test_the_bound_is_4096_bytes_with_prefix_and_newline(how: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        sizes = run(scenes.at_the_bound, tmp_path, how, stdout=write_end)
        shown = drain(read_end)
    assert sizes == [4096 - len(PREFIX), 4097 - len(PREFIX)]
    kept = Log(tmp_path).check().records
    *_, full, stub = whole_lines(shown)
    assert full == kept[-2]
    assert stub["fields"]["_spilled"] == sizes[1]
    assert stub["hash"] == kept[-1]["hash"]
    assert max(len(line) + 1 for line in shown.split(b"\n")) == 4096


@HOW
def test_a_pipe_that_nobody_reads_stops_nothing(how: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        found = run(scenes.plain, tmp_path, how, "400", "100", stdout=write_end)
        shown = drain(read_end)
    assert not found["waited"]
    log = Log(tmp_path).check()
    assert log.numbers == list(range(400))
    seen = whole_lines(shown)
    assert len(seen) + found["counters"]["stdout_lost"] >= 401
    assert log.declared_lost("stdout") + len(seen) >= 401
    assert found["stdout"]["state"] == "failing"
    assert found["flushed"]


@HOW
def test_a_stopped_reader_stops_nothing_and_its_loss_is_declared(how: str, tmp_path: Path) -> None:
    code = "import os\nwhile d := os.read(0, 65536): os.write(1, d)"
    with pipe() as (read_end, write_end):
        reader = subprocess.Popen(
            [sys.executable, "-ISc", code], stdin=read_end, stdout=subprocess.PIPE
        )
        os.close(read_end)
        process = start(
            scenes.on_command, tmp_path, how, "300", stdin=subprocess.PIPE, stdout=write_end
        )
        os.close(write_end)
        os.kill(reader.pid, signal.SIGSTOP)
        command(process)
        os.kill(reader.pid, signal.SIGCONT)
        shown: list[bytes] = []
        thread = threading.Thread(target=lambda: shown.append(reader.communicate()[0]))
        thread.start()
        command(process)
        found = finish(process, tmp_path)
        thread.join()
    assert not found["waited"]
    log = Log(tmp_path).check()
    assert log.numbers == list(range(600))
    seen = whole_lines(shown[0])
    assert 0 < len(numbers(seen)) < 600
    # The line that declares may be lost itself.
    assert len(log.records) - len(seen) - log.declared_lost("stdout") in {0, 1}


def command(process: subprocess.Popen[bytes]) -> None:
    """Let the scene emit once more, and wait until it has."""
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()
    while line := process.stderr.readline():
        if line == b"done\n":
            return
    raise AssertionError("the scene ended")


@HOW
def test_a_reader_that_is_gone_ends_nothing(how: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        os.close(read_end)
        found = run(scenes.plain, tmp_path, how, "20", stdout=write_end)
    assert found["stdout"]["last_error"] == "EPIPE"
    assert found["flushed"]
    log = Log(tmp_path).check()
    assert log.numbers == list(range(20))
    assert len(log.records) < 30, "the log fills itself with gaps"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_closed_descriptor_is_left_alone(when: str, tmp_path: Path) -> None:
    found = run(scenes.closed, tmp_path, when)
    assert found["stdout"]["last_error"] == "closed"
    assert found["flushed"]
    log = Log(tmp_path).check()
    assert log.numbers == [0, 1, 2, 3, 4]
    assert len(log.records) < 12, "the log fills itself with gaps"


@pytest.mark.parametrize("by", ["file", "socket", "dup2-socket"])
def test_nothing_is_written_into_what_took_the_number_of_stdout(by: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        found = run(scenes.reused, tmp_path, by, stdout=write_end)
        shown = drain(read_end)
    assert found["got"] == 0
    log = Log(tmp_path).check()
    assert log.numbers == [0, 1, 2, 3, 4, 5]
    seen = whole_lines(shown)
    assert numbers(seen) == [0, 5], "it must come back when stdout does"
    assert len(log.records) - len(seen) == log.declared_lost("stdout")
    assert len(log.of("audit.gap")) == 1
    assert found["stdout"]["state"] == "ok"


@pytest.mark.parametrize("by", ["file", "pipe", "terminal", "null"])
def test_lines_follow_what_replaces_stdout_on_purpose(by: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        found = run(scenes.reopened, tmp_path, by, stdout=write_end)
        shown = drain(read_end)
    log = Log(tmp_path).check()
    assert log.numbers == [0, 1, 2, 3, 4, 5]
    assert not log.of("audit.gap")
    assert found["counters"]["stdout_lost"] == 0
    assert (found["stdout"]["state"], found["before"]) == ("ok", "ok")
    assert numbers(whole_lines(shown)) == [0, 5]
    assert found["got"] == [] if by == "null" else found["got"] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_a_duplicate_that_is_closed_while_events_come_costs_no_line(
    kind: str, tmp_path: Path
) -> None:
    """As ``configure`` does, which closes the emitter before while threads still use it."""
    with pipe() as (read_end, write_end), (tmp_path / "shown").open("w+b") as file:
        if kind == "pipe":
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 1 << 20)  # room for everything
        found = run(scenes.closing, tmp_path, stdout=write_end if kind == "pipe" else file.fileno())
        shown = drain(read_end) if kind == "pipe" else (tmp_path / "shown").read_bytes()
    assert found == {"theirs": 0, "lost": 0}
    log = Log(tmp_path).check()
    # One that had to wait for the lock is told twice.
    assert set(numbers(whole_lines(shown))) == set(log.numbers)
    assert len(log.numbers) == 900


def test_an_outage_of_stdout_is_one_gap_however_long_it_lasts(tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        found = run(scenes.outage, tmp_path, stdout=write_end)
        seen = whole_lines(drain(read_end))
    log = Log(tmp_path).check()
    assert found["during"] == 0
    (gap,) = log.of("audit.gap")
    assert (gap["fields"]["reason"], gap["fields"]["sink"]) == ("replaced", "stdout")
    assert gap["fields"]["lost"] == found["lost"] > 10
    assert seen[-1] == gap, "it is told as soon as stdout is back, with no event to bring it"


@HOW
def test_an_inherited_o_nonblock_is_neither_needed_nor_changed(how: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        os.set_blocking(write_end, False)
        found = run(scenes.plain, tmp_path, how, "400", "100", stdout=write_end)
        assert not os.get_blocking(write_end)
        shown = drain(read_end)
    assert found["flags"][0] == found["flags"][1]
    assert found["flags"][0] & os.O_NONBLOCK
    whole_lines(shown)
    assert Log(tmp_path).check().numbers == list(range(400))


@HOW
def test_the_flags_of_a_pipe_stay_as_they_are(how: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        before = fcntl.fcntl(write_end, fcntl.F_GETFL)
        run(scenes.plain, tmp_path, how, "5", stdout=write_end)
        assert fcntl.fcntl(write_end, fcntl.F_GETFL) == before
        assert numbers(whole_lines(drain(read_end))) == [0, 1, 2, 3, 4]


def test_a_terminal_gets_whole_lines_and_stops_nothing(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = start(scenes.plain, tmp_path, "nowait", "50", stdout=slave)
    shown = b""
    # The slave stays open here: what the last one to close it left unread would be lost.
    while select.select([master], [], [], 0.1)[0] or process.poll() is None:
        if select.select([master], [], [], 0)[0]:
            shown += os.read(master, 4096)
    found = finish(process, tmp_path)
    os.close(slave)
    os.close(master)
    assert found["stdout"]["kind"] == "terminal"
    # What a slow terminal does not take is dropped, as from a pipe; so may the last gap be, and
    # the end of the last line.
    seen = whole_lines(shown.replace(b"\r\n", b"\n").rpartition(b"\n")[0] + b"\n")
    log = Log(tmp_path).check()
    assert log.numbers == list(range(50))
    assert numbers(seen)[:10] == list(range(10))
    assert len(log.records) - len(seen) - log.declared_lost("stdout") in {0, 1, 2}


def test_a_terminal_that_was_paused_stops_nothing(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    found = run(scenes.plain, tmp_path, "nowait", "100", "100", stdout=slave)
    os.close(slave)
    os.close(master)
    assert not found["waited"]
    assert found["stdout"]["last_error"] == "full"
    assert Log(tmp_path).check().numbers == list(range(100))


@pytest.mark.parametrize("mode", [os.O_APPEND, 0], ids=["append", "plain"])
def test_a_file_gets_every_line(mode: int, tmp_path: Path) -> None:
    shown = tmp_path / "stdout.txt"
    number = os.open(shown, os.O_WRONLY | os.O_CREAT | mode, 0o600)
    found = run(scenes.plain, tmp_path, "nowait", "50", stdout=number)
    os.close(number)
    assert found["stdout"]["kind"] == "file"
    assert numbers(whole_lines(shown.read_bytes())) == list(range(50))


@HOW
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["stream", "dgram"])
def test_a_socket_gets_whole_lines_and_stops_nothing(
    kind: socket.SocketKind, how: str, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        found = run(scenes.plain, tmp_path, how, "1000", "1000", stdout=theirs.fileno())
        ours.setblocking(False)
        shown = b""
        try:
            while part := ours.recv(1 << 16):
                shown += part
        except BlockingIOError:
            pass
    assert found["stdout"]["kind"] == "socket"
    assert not found["waited"]
    assert Log(tmp_path).check().numbers == list(range(1000))
    lines = shown.split(b"\n")
    assert all(line.startswith(PREFIX) for line in lines[:-1])
    assert all(json.loads(line[len(PREFIX) :]) for line in lines[:-1])


def test_dev_null_takes_everything(tmp_path: Path) -> None:
    found = run(scenes.plain, tmp_path, "nowait", "50", stdout=subprocess.DEVNULL)
    assert (found["stdout"]["kind"], found["stdout"]["state"]) == ("device", "ok")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_dev_full_is_told_and_harms_nothing(tmp_path: Path) -> None:
    number = os.open("/dev/full", os.O_WRONLY)
    found = run(scenes.plain, tmp_path, "nowait", "20", stdout=number)
    os.close(number)
    assert found["stdout"]["last_error"] == "ENOSPC"
    assert found["flushed"]
    assert Log(tmp_path).check().numbers == list(range(20))


@pytest.mark.parametrize("kind", ["none", "stringio"])
def test_what_sys_stdout_is_does_not_matter(kind: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        run(scenes.python_stdout, tmp_path, kind, stdout=write_end)
        assert numbers(whole_lines(drain(read_end))) == [0, 1, 2]


def test_a_line_after_a_partial_one_is_found(tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        run(scenes.partial_line, tmp_path, stdout=write_end)
        shown = drain(read_end)
    assert shown.startswith(b"50%audit: {")
    found = re.findall(rb"audit: (\{.*\})$", shown, re.MULTILINE)
    assert [json.loads(line)["event_type"] for line in found] == ["audit.started", "pipe.event"]


def test_lines_go_to_stderr_where_stdout_is_a_protocol(tmp_path: Path) -> None:
    with pipe() as (read_end, write_end), (tmp_path / "err").open("wb") as err:
        found = run(scenes.to_stderr, tmp_path, stdout=write_end, stderr=err)
        assert drain(read_end) == b""
    assert found["stdout"]["stream"] == "stderr"
    assert whole_lines((tmp_path / "err").read_bytes()) == Log(tmp_path).check().records


def test_the_cap_can_be_raised(tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        run(scenes.wide, tmp_path, stdout=write_end)
        seen = whole_lines(drain(read_end))
    assert seen == Log(tmp_path).check().records


def test_threads_with_lines_that_are_taken_in_part_never_glue_them(tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        worker = start(scenes.wide_threads, tmp_path, stdout=write_end)
        os.close(write_end)
        shown = b""
        while part := os.read(read_end, 5000):
            shown += part
            time.sleep(0.0005)  # a reader that is slow, so that the pipe is full
        finish(worker, tmp_path)
    log = Log(tmp_path).check()
    seen = whole_lines(shown)
    # On a busy machine a thread may wait in vain for the lock: its event is told early, without a
    # number, and once more when it is in the file.
    chained = [record["seq"] for record in seen if "seq" in record]
    early = [record["id"] for record in seen if "seq" not in record]
    assert len(set(chained)) == len(chained)
    assert set(early) <= {record["id"] for record in log.records}
    assert len(set(early)) == len(early)
    assert len(log.records) - len(chained) <= log.declared_lost("stdout") + 1


@HOW
def test_eight_workers_with_long_records_never_interleave(how: str, tmp_path: Path) -> None:
    with pipe() as (read_end, write_end):
        workers = []
        for index in range(8):
            directory = tmp_path / str(index)
            directory.mkdir()
            padding = 3000 + 1000 * index
            arguments = (how, "150", str(padding))
            workers.append(start(scenes.plain, directory, *arguments, stdout=write_end))
        os.close(write_end)
        shown = b""
        while part := os.read(read_end, 1 << 16):
            shown += part
        for index, worker in enumerate(workers):
            finish(worker, tmp_path / str(index))
    seen = whole_lines(shown)
    assert seen
    by_chain: dict[str, list[int]] = {}
    for record in seen:
        by_chain.setdefault(record["chain"], []).append(record["seq"])
    # Of two threads each shows what it appended, so their lines may change places.
    assert all(len(set(shown)) == len(shown) for shown in by_chain.values())
    for index in range(8):
        log = Log(tmp_path / str(index)).check()
        mine = by_chain.get(log.records[0]["chain"], [])  # all of them, where no room was
        assert log.numbers == list(range(150))
        assert len(log.records) - len(mine) <= log.declared_lost("stdout") + 1
