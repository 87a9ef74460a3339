from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_emit._runtime.owned_fds import Owned, identity_of


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


def test_the_number_is_free_when_nobody_holds_it(ends: tuple[int, int]) -> None:
    owned = Owned.of(os.dup(ends[1]))
    number = int(owned)
    held = owned
    del owned
    assert identity_of(number) == identity_of(ends[1])
    del held
    assert identity_of(number) is None


def test_a_withdrawn_descriptor_gives_its_file_back_at_once(ends: tuple[int, int]) -> None:
    owned = Owned.of(os.dup(ends[1]))
    os.close(ends[1])
    owned.withdraw()
    assert os.read(ends[0], 1) == b"", "nobody has the pipe open for writing"


def test_what_is_on_its_way_to_a_withdrawn_descriptor_fails_and_reaches_nobody(
    ends: tuple[int, int],
) -> None:
    owned = Owned.of(os.dup(ends[1]))
    owned.withdraw()
    taken = [os.dup(ends[0]) for _ in range(20)]
    assert int(owned) not in taken
    with pytest.raises(OSError, match="Bad file") as caught:
        os.write(owned, b"line\n")
    assert caught.value.errno == errno.EBADF
    for number in taken:
        os.close(number)


def test_a_number_that_is_somebody_elses_by_now_is_left_alone(
    ends: tuple[int, int], tmp_path: Path
) -> None:
    owned = Owned.of(os.dup(ends[1]))
    number = int(owned)
    with (tmp_path / "theirs").open("wb") as theirs:
        os.dup2(theirs.fileno(), number)
        owned.withdraw()
        del owned
        assert identity_of(number) == identity_of(theirs.fileno())
    os.close(number)


def test_closing_tells_what_the_system_says_and_happens_once(ends: tuple[int, int]) -> None:
    owned = Owned.of(os.dup(ends[1]))
    owned.close()
    taken = os.dup(ends[1])
    assert taken == int(owned)
    owned.close()
    del owned
    assert identity_of(taken) == identity_of(ends[1])
    os.close(taken)


def test_what_was_opened_on_something_else_is_not_taken_over(
    ends: tuple[int, int], tmp_path: Path
) -> None:
    with (tmp_path / "theirs").open("wb") as theirs:
        owned = Owned.of(theirs.fileno(), identity_of(ends[1]))
        owned.close()
        del owned
        assert identity_of(theirs.fileno()) is not None


def test_without_a_number_for_the_null_device_the_last_holder_closes(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    owned = Owned.of(os.dup(ends[1]))
    number = int(owned)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", no_more)
        owned.withdraw()
    assert identity_of(number) == identity_of(ends[1])
    del owned
    assert identity_of(number) is None


def test_a_withdrawn_descriptor_is_not_inherited(ends: tuple[int, int]) -> None:
    owned = Owned.of(os.dup(ends[1]))
    owned.withdraw()
    assert not os.get_inheritable(owned)
