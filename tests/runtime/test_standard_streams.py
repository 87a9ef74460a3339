from __future__ import annotations

import io
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit._runtime import standard_streams as standard
from audit_emit._runtime.standard_streams import belongs_to_application, is_null, is_replacement


@contextmanager
def becomes(number: int, *, inheritable: bool = True) -> Iterator[None]:
    """Descriptor 1 is, for a while, what ``number`` is."""
    with Piped():
        os.dup2(number, 1, inheritable=inheritable)
        os.close(number)
        yield


def replaced() -> bool:
    return is_replacement(1, os.fstat(1))


@pytest.fixture(autouse=True)
def streams(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The streams of a program, in the place of those of ``sys``, which pytest moves."""
    own = SimpleNamespace(fileno=lambda: 1, closed=False)
    streams = SimpleNamespace(stdout=own, __stdout__=own)
    monkeypatch.setattr(standard, "sys", streams)
    return streams


def a_file(tmp_path: Path) -> int:
    return os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)


def a_terminal(_: Path) -> int:
    return pty.openpty()[1]


def the_null_device(_: Path) -> int:
    return os.open(os.devnull, os.O_WRONLY)


@pytest.mark.parametrize("kind", [a_file, a_terminal, the_null_device])
def test_what_dup2_put_there_is_followed(kind: Callable[[Path], int], tmp_path: Path) -> None:
    with becomes(kind(tmp_path)):
        assert replaced()


def test_a_pipe_is_followed() -> None:
    with Piped():
        assert replaced()


def test_a_connection_is_never_followed() -> None:
    near, far = socket.socketpair()
    with near, far, becomes(near.detach()):
        assert not replaced()


def test_a_file_that_can_only_be_read_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    with becomes(os.open(tmp_path / "in", os.O_RDONLY)):
        assert not replaced()


def test_another_device_is_not_followed() -> None:
    with becomes(os.open("/dev/zero", os.O_WRONLY)):
        assert not replaced()


def test_what_got_the_number_when_it_was_free_is_not_followed(tmp_path: Path) -> None:
    with Piped():
        os.close(1)
        assert a_file(tmp_path) == 1
        assert belongs_to_application(1)
        assert not replaced()


class Closed:
    closed = True

    def fileno(self) -> int:
        raise ValueError("I/O operation on closed file")


@pytest.mark.parametrize("first", [None, Closed()], ids=["none", "closed"])
def test_a_file_that_was_opened_as_the_new_stream_is_followed(
    first: Any, tmp_path: Path, streams: SimpleNamespace
) -> None:
    """By a daemon that was started without one: the lowest number that is free is 1."""
    vars(streams)["__stdout__"] = first
    with Piped():
        os.close(1)
        with (tmp_path / "log").open("w") as streams.stdout:
            assert streams.stdout.fileno() == 1
            assert not belongs_to_application(1)
            assert replaced()


def test_what_got_the_number_of_a_stream_that_was_closed_is_not_followed(
    tmp_path: Path, streams: SimpleNamespace
) -> None:
    vars(streams)["__stdout__"] = streams.stdout = Closed()
    with Piped():
        os.close(1)
        assert a_file(tmp_path) == 1
        assert belongs_to_application(1)
        assert not replaced()


def test_a_number_that_is_no_standard_one_is_neither(tmp_path: Path) -> None:
    number = os.dup2(a_file(tmp_path), 300)
    assert not belongs_to_application(number)
    assert not is_replacement(number, os.fstat(number))
    os.close(number)


def test_a_closed_descriptor_is_nobodys() -> None:
    with Piped():
        os.close(1)
        assert not belongs_to_application(1)


class Hostile:
    def fileno(self) -> Any:
        raise LookupError


@pytest.mark.parametrize(
    "stream",
    [
        None,
        io.StringIO(),
        Hostile(),
        SimpleNamespace(fileno=lambda: "1"),
        SimpleNamespace(fileno=lambda: -1),
        SimpleNamespace(fileno=lambda: 0),
    ],
    ids=["none", "stringio", "raises", "text", "negative", "another"],
)
def test_without_a_stream_that_writes_there_nothing_is_followed(
    stream: Any, streams: SimpleNamespace
) -> None:
    vars(streams)["__stdout__"] = streams.stdout = stream
    with Piped():
        assert not replaced()


def test_the_first_stream_of_the_process_counts_as_well(streams: SimpleNamespace) -> None:
    streams.stdout = io.StringIO()
    with Piped():
        assert replaced()


def test_a_stream_that_writes_to_the_same_file_by_another_number_counts(
    tmp_path: Path, streams: SimpleNamespace
) -> None:
    with (tmp_path / "captured").open("wb") as captured, Piped():
        os.dup2(captured.fileno(), 1)
        streams.stdout = captured
        vars(streams)["__stdout__"] = None
        assert replaced()


def test_only_the_null_device_is_null(tmp_path: Path) -> None:
    assert is_null(os.stat(os.devnull))
    assert not is_null(os.stat("/dev/zero"))
    assert not is_null(os.stat(tmp_path))


# Descriptor 1 is looked at again after a millisecond (``nonblocking_fd.RECHECK_NS``), and a test
# may be over in less.
PYTEST = """
import time

from audit_emit import emit, health

def test_one():
    emit(None, "first.event", {"n": 1})

def test_two(capfd):
    time.sleep(0.002)
    emit(None, "second.event", {"n": 2})
    assert '"second.event"' in capfd.readouterr().out
    assert health()["status"] == "ok"

def test_three(capfd):
    assert capfd.readouterr().out == ""
    time.sleep(0.002)
    emit(None, "third.event", {"n": 3})
    assert '"third.event"' in capfd.readouterr().out

def test_four():
    emit(None, "fourth.event", {"n": 4})
    assert health()["counters"]["stdout_lost"] == 0
"""


def test_a_test_runner_that_captures_sees_every_line(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PYTEST)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q"), *("-p", "no:cacheprovider", "test_it.py")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,
        env=environ
        | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "AUDIT_EMIT_JSONL": str(tmp_path / "log" / "audit.jsonl"),
        },
    )
    assert "4 passed" in done.stdout, done.stdout
    assert "audit.gap" not in (tmp_path / "log" / "audit.jsonl").read_text()


GUNICORN = """
import os, sys, time
import audit_emit

def log():  # as gunicorn opens the log of --capture-output, at the start and at USR1
    with open(sys.argv[1], "a+") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())

log()
audit_emit.configure(jsonl=sys.argv[2], durability="os")
audit_emit.emit(None, "before.event", {})
assert audit_emit.flush(100)  # the first one makes the files, for which it may not wait itself
os.rename(sys.argv[1], sys.argv[1] + ".1")
log()
time.sleep(0.002)
for number in range(3):
    audit_emit.emit(None, "after.event", {"n": number})
"""


def test_a_log_that_was_renamed_and_opened_anew_gets_the_lines_that_follow(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", GUNICORN, tmp_path / "out", tmp_path / "audit.jsonl"],
        timeout=PATIENCE,
        check=True,
    )
    assert (tmp_path / "out.1").read_text().count("audit: {") == 2
    assert (tmp_path / "out").read_text().count('"after.event"') == 3
    assert "audit.gap" not in (tmp_path / "audit.jsonl").read_text()
