from __future__ import annotations

import errno
import fcntl
import itertools
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faults.injector import Interrupter
from support.open_descriptors import opened
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit._runtime import duplicates
from audit_emit._runtime import nonblocking_fd as descriptor
from audit_emit._runtime import standard_streams as standard
from audit_emit._runtime.nonblocking_fd import BEGUN, NOWAIT, Descriptor, error_word

WAYS = ["poll", *(["nowait"] if NOWAIT else [])]


@pytest.fixture(params=WAYS)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of writing without blocking, whatever the platform prefers."""
    if request.param == "poll":
        monkeypatch.setattr(descriptor, "NOWAIT", 0)


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe: what is left open at the end is closed."""
    reader, writer = os.pipe()
    yield reader, writer
    for number in (reader, writer):
        try:
            os.close(number)
        except OSError:
            pass


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    for size in (4096, 1):
        while True:
            try:
                os.write(writer, b"\n" * size)
            except BlockingIOError:
                break
    os.set_blocking(writer, True)


def eventually_checked() -> None:
    """Past the moment for which a look at the descriptor is good."""
    until = time.monotonic_ns() + 2 * descriptor.RECHECK_NS
    while time.monotonic_ns() < until:
        pass


# Lines


@pytest.mark.usefixtures("_way")
def test_a_line_is_written_with_its_prefix(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1], prefix=b"audit: ")
    assert sink.write(b"{}\n")
    assert os.read(ends[0], 100) == b"audit: {}\n"
    assert (sink.kind, sink.fault) == ("pipe", None)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(("size", "cut"), [(4088, False), (4089, False), (4090, True)])
def test_the_whole_line_with_prefix_and_newline_is_bounded(
    ends: tuple[int, int], size: int, cut: bool
) -> None:
    asked: list[int] = []

    def shorten(line: bytes, room: int) -> bytes:
        asked.append(room)
        return b"short\n"

    sink = Descriptor(ends[1], prefix=b"audit: ", shorten=shorten)
    assert sink.write(b"x" * (size - 1) + b"\n")
    written = os.read(ends[0], 10_000)
    if cut:
        assert (written, asked) == (b"audit: short\n", [4096 - 7])
    else:
        assert (len(written), asked) == (7 + size, [])


def test_without_a_way_to_shorten_a_line_is_cut(ends: tuple[int, int]) -> None:
    assert Descriptor(ends[1], max_bytes=10).write(b"0123456789abc\n")
    assert os.read(ends[0], 100) == b"012345678\n"


# Pipes and sockets never block


@pytest.mark.usefixtures("_way")
def test_a_full_pipe_is_told_at_once_and_nothing_is_written(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1])
    fill(ends[1])
    assert not sink.write(b"line\n")
    assert sink.fault == "full"
    content = os.read(ends[0], 1 << 20)
    assert b"line" not in content
    assert sink.write(b"line\n")
    assert sink.fault is None


@pytest.mark.usefixtures("_way")
def test_a_pipe_with_less_room_than_a_line_takes_nothing_of_it(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1])
    fill(ends[1])
    os.read(ends[0], 100)
    assert not sink.write(b"x" * 4000 + b"\n")
    os.set_blocking(ends[0], False)
    assert b"x" not in os.read(ends[0], 1 << 20)


@pytest.mark.usefixtures("_way")
def test_a_reader_that_is_gone(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1])
    os.close(ends[0])
    assert not sink.write(b"line\n")
    assert sink.fault == "EPIPE"


@pytest.mark.usefixtures("_way")
def test_a_full_socket_is_told_and_a_line_begun_is_ended() -> None:
    near, far = socket.socketpair()
    sink = Descriptor(near.fileno())
    assert sink.kind == "socket"
    written = 0
    while sink.write(b"%08d" % written + b"x" * 4000 + b"\n"):
        written += 1
        assert written < 10_000
    assert sink.fault == "full"
    received = b""
    far.setblocking(False)
    for _ in range(10_000):
        try:
            received += far.recv(1 << 20)
        except BlockingIOError:
            if sink.write(b"last\n"):
                break
    received += far.recv(1 << 20)
    lines = received.split(b"\n")
    assert lines[-2:] == [b"last", b""]
    assert [int(line[:8]) for line in lines[:-2]] == list(range(written))
    near.close()
    far.close()


@pytest.mark.parametrize("flags", [0, os.O_NONBLOCK])
def test_the_flags_of_the_descriptor_are_left_alone(ends: tuple[int, int], flags: int) -> None:
    os.set_blocking(ends[1], not flags)
    before = fcntl.fcntl(ends[1], fcntl.F_GETFL)
    sink = Descriptor(ends[1])
    sink.write(b"line\n")
    fill_by_writing = 0
    while sink.write(b"x" * 4000 + b"\n"):
        fill_by_writing += 1
    sink.close()
    assert fill_by_writing
    assert fcntl.fcntl(ends[1], fcntl.F_GETFL) == before


def test_lines_of_the_largest_size_never_interleave_on_one_pipe(ends: tuple[int, int]) -> None:
    """Four processes, one pipe, a reader that is slow now and then."""
    code = (
        "import sys\n"
        "from audit_emit._runtime.nonblocking_fd import Descriptor\n"
        "sink = Descriptor(1, prefix=b'audit: ')\n"
        "line = sys.argv[1].encode() * 4088 + b'\\n'\n"
        "print(sum(sink.write(line) for _ in range(1500)), file=sys.stderr)\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, name], stdout=ends[1], stderr=subprocess.PIPE, text=True
        )
        for name in "abcd"
    ]
    os.close(ends[1])
    content = bytearray()
    while part := os.read(ends[0], 1 << 16):
        content += part
    written = sum(int(writer.communicate(timeout=PATIENCE)[1]) for writer in writers)
    lines = bytes(content).split(b"\n")
    assert lines.pop() == b""
    whole = {b"audit: " + name * 4088 for name in (b"a", b"b", b"c", b"d")}
    assert set(lines) <= whole
    assert len(lines) == written


# Other kinds


def test_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        sink = Descriptor(file.fileno(), prefix=b"audit: ")
        assert sink.kind == "file"
        assert sink.write(b"1\n")
        assert sink.write(b"2\n")
    assert (tmp_path / "out").read_bytes() == b"audit: 1\naudit: 2\n"


def test_a_terminal() -> None:
    main, other = pty.openpty()
    sink = Descriptor(other)
    assert sink.kind == "terminal"
    assert sink.write(b"line\n")
    assert select.select([main], [], [], 10)[0]
    assert os.read(main, 100).rstrip() == b"line"
    os.close(main)
    os.close(other)


@pytest.mark.parametrize(
    ("path", "written", "fault"), [("/dev/null", True, None), ("/dev/full", False, "ENOSPC")]
)
def test_devices(path: str, written: bool, fault: str | None) -> None:
    if not Path(path).exists():
        pytest.skip(f"no {path} here")
    number = os.open(path, os.O_WRONLY)
    sink = Descriptor(number)
    assert sink.kind == "device"
    assert sink.write(b"line\n") is written
    assert sink.fault == fault
    sink.close()
    os.close(number)


def test_a_descriptor_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"")
    number = os.open(tmp_path / "in", os.O_RDONLY)
    sink = Descriptor(number)
    assert not sink.write(b"line\n")
    assert sink.fault == "EBADF"
    os.close(number)


def test_the_rest_of_a_short_write_comes_before_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [3]
    write = os.write

    def full_disk(number: int, data: Any) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "full")
        taken = write(number, data[: room[0]])
        room[0] -= taken
        return taken

    with (tmp_path / "out").open("wb") as file:
        sink = Descriptor(file.fileno())
        monkeypatch.setattr(os, "write", full_disk)
        sink.write(b"first\n")
        assert not sink.write(b"second\n")
        assert sink.fault == "ENOSPC"
        room[0] = 1000
        assert sink.write(b"third\n")
        assert (tmp_path / "out").read_bytes() == b"first\nthird\n"


def begun(ends: tuple[int, int]) -> tuple[Descriptor, bytes]:
    """A sink that wrote a part of a line, into a pipe that is full now; and that part."""
    sink = Descriptor(ends[1], max_bytes=65536)
    fill(ends[1])
    os.read(ends[0], 8192)
    assert not sink.write(b"x" * 12_000 + b"\n")
    assert (sink.fault, sink.is_unfinished) == (BEGUN, True)
    return sink, os.read(ends[0], 1 << 20).lstrip(b"\n")


nowait = pytest.mark.skipif(not NOWAIT, reason="only then a line that long is written at all")


@nowait
def test_a_line_taken_in_part_is_finished(ends: tuple[int, int]) -> None:
    sink, part = begun(ends)
    assert sink.finish()
    assert (sink.fault, sink.is_unfinished) == (None, False)
    assert part + os.read(ends[0], 1 << 20) == b"x" * 12_000 + b"\n"


@nowait
def test_a_line_taken_in_part_is_not_finished_while_there_is_no_room(ends: tuple[int, int]) -> None:
    sink, _ = begun(ends)
    fill(ends[1])
    assert not sink.finish()
    assert (sink.fault, sink.is_unfinished) == ("full", True)


@nowait
def test_the_rest_of_a_line_that_was_given_up_still_goes_before_the_next(
    ends: tuple[int, int],
) -> None:
    sink, part = begun(ends)
    assert sink.give_up()
    assert not sink.give_up()
    assert not sink.is_unfinished
    assert sink.write(b"next\n")
    assert part + os.read(ends[0], 1 << 20) == b"x" * 12_000 + b"\nnext\n"


@nowait
def test_a_forked_child_leaves_the_rest_of_a_line_to_its_parent(ends: tuple[int, int]) -> None:
    sink, _ = begun(ends)
    sink.leave_parent()
    assert not sink.is_unfinished
    assert sink.write(b"next\n")
    assert os.read(ends[0], 1 << 20) == b"next\n"


def unread(reader: int) -> bytes:
    os.set_blocking(reader, False)
    try:
        return os.read(reader, 1 << 20)
    except BlockingIOError:
        return b""


@nowait
@pytest.mark.parametrize("is_full", [False, True])
def test_a_child_forked_while_the_rest_of_a_line_is_written_leaves_it_to_its_parent(
    ends: tuple[int, int], is_full: bool
) -> None:
    """Both would write it, or what the parent could not write of it."""
    for at in itertools.count():
        sink, _ = begun(ends)
        if is_full:
            fill(ends[1])
            os.read(ends[0], 4096)

        def forked(sink: Descriptor = sink) -> None:
            # As the child does, before the frame in which it was forked goes on.
            sink.leave_parent()
            unread(ends[0])

        child = Interrupter(forked, at)
        child.run(sink.finish)
        left = unread(ends[0])
        sink.close()
        if not child.where:
            break
        assert (left, sink.is_unfinished) == (b"", False), child.where
    assert at > 5


# What the descriptor was


class NoNumber:
    """A system that has no descriptor left, until ``left`` is true."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = False
        self.asked = 0
        self._duplicate = duplicates._duplicate
        monkeypatch.setattr(duplicates, "_duplicate", self)

    def __call__(self, number: int) -> int:
        self.asked += 1
        if not self.left:
            raise OSError(errno.EMFILE, "Too many open files")
        return self._duplicate(number)


def test_without_a_number_for_the_duplicate_it_is_tried_again(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptor, "_AGAIN_NS", 0)
    system = NoNumber(monkeypatch)
    sink = Descriptor(ends[1])
    refused = sink.write(b"1\n"), sink.fault
    assert refused == (False, "EMFILE")
    system.left = True
    assert sink.write(b"2\n")
    assert (sink.kind, sink.fault) == ("pipe", None)
    assert os.read(ends[0], 100) == b"2\n"


def test_without_a_number_for_the_duplicate_it_is_not_tried_for_every_line(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptor, "_AGAIN_NS", 10**15)
    system = NoNumber(monkeypatch)
    sink = Descriptor(ends[1])
    assert not any(sink.write(b"1\n") for _ in range(100))
    assert (sink.fault, system.asked) == ("EMFILE", 1)


def test_a_limit_of_64_descriptors_is_enough() -> None:
    code = (
        "import resource\n"
        "from audit_emit._runtime.nonblocking_fd import Descriptor\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "Descriptor(1).write(b'line\\n')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == b"line\n"


def test_a_descriptor_closed_before_us_stays_unused(ends: tuple[int, int]) -> None:
    os.close(ends[1])
    sink = Descriptor(ends[1])
    assert (sink.kind, sink.fault) == ("closed", "closed")
    assert not sink.write(b"line\n")


def test_a_descriptor_closed_later_is_noticed(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1])
    sink.write(b"1\n")
    os.close(ends[1])
    eventually_checked()
    assert not sink.write(b"2\n")
    assert sink.fault == "closed"
    assert os.read(ends[0], 100) == b"1\n"
    assert os.read(ends[0], 100) == b"", "our duplicate keeps the pipe open"


def test_nothing_goes_into_a_file_that_took_the_number(
    ends: tuple[int, int], tmp_path: Path
) -> None:
    sink = Descriptor(ends[1])
    sink.write(b"1\n")
    saved = os.dup(ends[1])
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), ends[1])
        for _ in range(3):
            sink.write(b"2\n")
        eventually_checked()
        assert not sink.write(b"3\n")
        assert sink.fault == "replaced"
    assert (tmp_path / "theirs").read_bytes() == b""
    os.dup2(saved, ends[1])
    os.close(saved)
    eventually_checked()
    assert sink.write(b"4\n")
    assert os.read(ends[0], 100).endswith(b"4\n")


def test_nothing_goes_into_a_file_that_took_the_number_of_the_duplicate(
    ends: tuple[int, int], tmp_path: Path
) -> None:
    """``os.closerange(3, …)``: a daemon's way to begin."""
    sink = Descriptor(ends[1])
    number = int(sink._dup)
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), number)
        eventually_checked()
        assert sink.write(b"line\n")
        assert sink._dup != number
    os.close(number)
    assert (tmp_path / "theirs").read_bytes() == b""
    assert os.read(ends[0], 100) == b"line\n"
    sink.close()


# What has replaced it


@pytest.fixture
def _own_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """``sys.stdout`` writes to descriptor 1, as in a program."""
    own = SimpleNamespace(fileno=lambda: 1, closed=False)
    monkeypatch.setattr(standard, "sys", SimpleNamespace(stdout=own, __stdout__=own))


@pytest.mark.usefixtures("_own_streams")
def test_lines_follow_to_a_file_that_was_put_there(tmp_path: Path) -> None:
    """Gunicorn's ``--capture-output``: the log is renamed, and opened anew at USR1."""
    with Piped() as before:
        sink = Descriptor(1)
        assert sink.write(b"1\n")
        for name in ("first", "second"):
            with (tmp_path / name).open("ab") as log:
                os.dup2(log.fileno(), 1)
            eventually_checked()
            assert sink.write(name.encode() + b"\n")
            assert (sink.kind, sink.fault) == ("file", None)
        assert before.read() == b"1\n"
        sink.close()
    assert (tmp_path / "first").read_bytes() == b"first\n"
    assert (tmp_path / "second").read_bytes() == b"second\n"


@pytest.mark.usefixtures("_own_streams")
def test_a_file_that_was_left_is_not_held_open(tmp_path: Path) -> None:
    with Piped(), (tmp_path / "log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        sink = Descriptor(1)
        with Piped():
            eventually_checked()
            assert sink.look()
            assert len(opened(tmp_path / "log")) == 2, "the test's own, and what it saved"
            sink.close()


@pytest.mark.usefixtures("_own_streams")
@nowait
def test_a_line_that_was_begun_elsewhere_is_written_whole_to_what_follows() -> None:
    with Piped() as before:
        sink = Descriptor(1, prefix=b"audit: ", max_bytes=65536)
        before.fill()
        os.read(before.reader, 8192)
        line = b"x" * 12_000 + b"\n"
        assert not sink.write(line)
        assert sink.is_unfinished
        with Piped() as after:
            eventually_checked()
            assert sink.finish()
            assert after.read() == b"audit: " + line
            sink.close()


@pytest.mark.usefixtures("_own_streams")
@pytest.mark.parametrize("by", ["file", "socket"])
def test_what_took_the_number_before_there_was_a_sink_is_left_alone(
    by: str, tmp_path: Path
) -> None:
    near, far = socket.socketpair()
    with near, far, (tmp_path / "theirs").open("wb") as theirs, Piped():
        os.close(1)
        assert os.dup(theirs.fileno() if by == "file" else near.fileno()) == 1
        sink = Descriptor(1)
        assert not sink.write(b"line\n")
        assert sink.fault == "replaced"
        assert (tmp_path / "theirs").read_bytes() == b""
        assert not select.select([far], [], [], 0)[0]
        with Piped() as given:
            eventually_checked()
            assert sink.write(b"line\n"), "there is a standard output now"
            assert given.read() == b"line\n"
            sink.close()


@pytest.mark.usefixtures("_own_streams")
def test_a_socket_that_was_given_is_taken_again_when_it_comes_back(tmp_path: Path) -> None:
    """Under systemd standard output is a socket, which is followed to nowhere else."""
    near, far = socket.socketpair()
    with near, far, Piped():
        os.dup2(near.fileno(), 1)
        sink = Descriptor(1)
        with (tmp_path / "captured").open("wb") as captured:
            os.dup2(captured.fileno(), 1)
        eventually_checked()
        assert sink.write(b"1\n")
        os.dup2(near.fileno(), 1)
        eventually_checked()
        assert sink.write(b"2\n")
        assert far.recv(100) == b"2\n"
        sink.close()
    assert (tmp_path / "captured").read_bytes() == b"1\n"


# Another thread closes it


@pytest.mark.usefixtures("_way")
def test_a_line_whose_duplicate_is_closed_meanwhile_reaches_its_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number is free for the next file from one system call to the other, but for our hold."""
    reader, writer = os.pipe()
    sink = Descriptor(writer)
    theirs: list[int] = []

    def closing(name: str) -> Any:
        real = getattr(os, name)

        def write(number: int, *arguments: Any) -> Any:
            if not theirs:
                sink.close()
                theirs.extend(
                    fcntl.fcntl(other, fcntl.F_DUPFD_CLOEXEC, duplicates.HIGH)
                    for other in [os.open(tmp_path / "theirs", os.O_WRONLY | os.O_CREAT)]
                )
            return real(number, *arguments)

        return write

    monkeypatch.setattr(os, "pwritev", closing("pwritev"))
    monkeypatch.setattr(os, "write", closing("write"))
    assert sink.write(b"line\n")
    assert sink.fault is None
    assert (tmp_path / "theirs").read_bytes() == b""
    assert os.read(reader, 100) == b"line\n"
    for number in (reader, writer, *theirs):
        os.close(number)


@pytest.mark.usefixtures("_way")
def test_threads_lose_no_line_while_another_one_closes(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1])
    done = threading.Event()

    def close() -> None:
        while not done.is_set():
            sink.close()

    closer = threading.Thread(target=close)
    closer.start()
    written = sum(sink.write(b"%d\n" % number) for number in range(2000))
    done.set()
    closer.join(PATIENCE)
    assert written == 2000
    os.close(ends[1])
    sink.close()
    content = b"".join(iter(lambda: os.read(ends[0], 1 << 16), b""))
    assert content == b"".join(b"%d\n" % number for number in range(2000))


def test_close_gives_the_duplicate_back_and_the_next_line_takes_one_again(
    ends: tuple[int, int],
) -> None:
    sink = Descriptor(ends[1])
    number = int(sink._dup)
    sink.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    assert sink.write(b"line\n")
    assert os.read(ends[0], 100) == b"line\n"
    sink.close()
    sink.close()


def test_close_does_not_close_what_is_not_ours(ends: tuple[int, int], tmp_path: Path) -> None:
    sink = Descriptor(ends[1])
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), sink._dup)
        number = int(sink._dup)
        sink.close()
        os.fstat(number)
        os.close(number)


def test_the_duplicate_is_not_inherited(ends: tuple[int, int]) -> None:
    assert not os.get_inheritable(Descriptor(ends[1])._dup)


def test_threads_write_whole_lines(ends: tuple[int, int]) -> None:
    sink = Descriptor(ends[1])
    content = bytearray()

    def read() -> None:
        while part := os.read(ends[0], 1 << 16):
            content.extend(part)

    def write(name: bytes) -> None:
        for _ in range(300):
            while not sink.write(name * 1000 + b"\n"):
                pass

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b", b"c")]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join(PATIENCE)
    os.close(ends[1])
    sink.close()
    reader.join(PATIENCE)
    lines = sorted(bytes(content).split(b"\n")[:-1])
    assert lines == sorted([name * 1000 for name in (b"a", b"b", b"c")] * 300)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "x"), "ENOSPC"),
        (BrokenPipeError(errno.EPIPE, "x"), "EPIPE"),
        (OSError("no number"), "OSError"),
        (OSError(99999, "x"), "OSError"),
    ],
)
def test_an_error_is_one_word(error: OSError, word: str) -> None:
    assert error_word(error) == word


# Interrupts


class _Interrupt(BaseException):
    pass


def _interrupt(*_: object) -> None:
    raise _Interrupt


@pytest.fixture
def interrupting() -> Iterator[tuple[int, int]]:
    """A pipe of which the kernel says at once that there is something to read, by a signal."""
    if not hasattr(fcntl, "F_SETOWN") or not hasattr(os, "O_ASYNC"):
        pytest.skip("the system sends no such signal")
    before = signal.signal(signal.SIGIO, _interrupt)
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(reader, fcntl.F_GETFL)
    fcntl.fcntl(reader, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    yield reader, writer
    os.close(reader)
    os.close(writer)
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize(
    ("way", "size"), [("poll", 100), *((way, 100 * 2000**n) for way in WAYS[1:] for n in (0, 1))]
)
def test_a_line_counts_as_written_when_an_interrupt_comes_right_behind_the_write(
    way: str, size: int, interrupting: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows what an interrupt has kept from being shown would show it twice."""
    if way == "poll":
        monkeypatch.setattr(descriptor, "NOWAIT", 0)
    reader, writer = interrupting
    line = b"x" * size + b"\n"
    sink = Descriptor(writer, max_bytes=1 << 20)
    with pytest.raises(_Interrupt):
        sink.write(line)
    assert sink.last == line
    shown = os.read(reader, 1 << 20)
    assert sink.is_unfinished is (size > 4096)
    while sink.is_unfinished:
        with suppress(_Interrupt):
            sink.finish()
        shown += os.read(reader, 1 << 20)
    assert shown == line
