from __future__ import annotations

import io
import os
import pty
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from piped import Piped

from audit_emit.sinks import standard
from audit_emit.sinks.standard import is_null, is_replacement, is_strangers


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
    streams = SimpleNamespace(stdout=SimpleNamespace(fileno=lambda: 1), __stdout__=None)
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
        assert is_strangers(1)
        assert not replaced()


def test_a_number_that_is_no_standard_one_is_neither(tmp_path: Path) -> None:
    number = os.dup2(a_file(tmp_path), 300)
    assert not is_strangers(number)
    assert not is_replacement(number, os.fstat(number))
    os.close(number)


def test_a_closed_descriptor_is_nobodys() -> None:
    with Piped():
        os.close(1)
        assert not is_strangers(1)


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
    streams.stdout = stream
    with Piped():
        assert not replaced()


def test_the_first_stream_of_the_process_counts_as_well(streams: SimpleNamespace) -> None:
    vars(streams)["__stdout__"] = streams.stdout
    streams.stdout = io.StringIO()
    with Piped():
        assert replaced()


def test_a_stream_that_writes_to_the_same_file_by_another_number_counts(
    tmp_path: Path, streams: SimpleNamespace
) -> None:
    with (tmp_path / "captured").open("wb") as captured, Piped():
        os.dup2(captured.fileno(), 1)
        streams.stdout = captured
        assert replaced()


def test_only_the_null_device_is_null(tmp_path: Path) -> None:
    assert is_null(os.stat(os.devnull))
    assert not is_null(os.stat("/dev/zero"))
    assert not is_null(os.stat(tmp_path))
