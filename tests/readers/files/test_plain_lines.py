"""Lines of a plain file from either end: the same ones, in bounded time and memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_emit._readers.files.plain_lines import backward, complete_end, forward

LONGEST = 65_536


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@given(
    sizes=st.lists(st.sampled_from([0, 1, 7, 65_535, 65_536, 65_537, 40_000]), max_size=12),
    end=st.sampled_from([b"", b"\n"]),
)
def test_both_ways_give_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], end: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    content = b"\n".join(bytes([97 + number]) * size for number, size in enumerate(sizes)) + end
    path.write_bytes(content)
    whole = content.rpartition(b"\n")[0] if b"\n" in content else None
    ended = [] if whole is None else [line[:LONGEST] for line in whole.split(b"\n")]
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    with opened(path) as descriptor:
        assert complete_end(descriptor) == content.rfind(b"\n") + 1
        assert list(forward(descriptor, 0, complete_end(descriptor), LONGEST)) == ended
        assert list(backward(descriptor, complete_end(descriptor), LONGEST)) == ended[::-1]
        found = list(backward(descriptor, len(content), LONGEST))
    assert found == [line[:LONGEST] for line in lines][::-1]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_long_line_costs_neither_time_nor_memory(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.truncate(200_000_000)
        file.seek(0, os.SEEK_END)
        file.write(end + b"last")
    tracemalloc.start()
    try:
        with opened(path) as descriptor:
            *_, before, first = backward(descriptor, os.fstat(descriptor).st_size, LONGEST)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert first == b"first"
    assert before == bytes(LONGEST)
    assert peak < 2_000_000
