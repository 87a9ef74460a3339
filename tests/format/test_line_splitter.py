from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_emit._format.line_splitter import (
    CroppedLines,
    Lines,
    TooLong,
    ended_lines,
    first_lines,
    last_line,
    line_around,
    line_end,
    lines_end,
    placed_lines,
    split_lines,
    whole_lines,
)

TEXTS = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12)


@given(TEXTS, st.binary(max_size=5), st.integers(1, 9), st.integers(0, 3))
def test_blocks_of_whole_lines_are_the_bytes_and_say_where_they_end(
    texts: list[bytes], torn: bytes, size: int, skipped: int
) -> None:
    torn = torn.replace(b"\n", b"")
    data = b"#" * skipped + b"".join(text + b"\n" for text in texts) + torn
    lines = Lines(longest=8)
    end = skipped
    found: list[bytes | None] = []
    read = lambda at, length: data[at : at + length]  # noqa: E731
    for part, stop in whole_lines(lines, read, skipped, size):
        if isinstance(part, TooLong):
            found.append(None)
            assert data[end : stop - 1].count(b"\n") == 0
            assert (part.size, stop) == (stop - 1 - end, end + part.size + 1)
        else:
            assert part == data[end:stop]
            found += split_lines(part)
        end = stop
    assert found == [text if len(text) <= 8 else None for text in texts]
    assert lines.rest()[1] == len(torn)


@given(TEXTS, st.binary(max_size=5), st.integers(1, 9))
def test_of_a_long_line_the_beginning_is_kept(texts: list[bytes], torn: bytes, size: int) -> None:
    torn = torn.replace(b"\n", b"")
    data = b"".join(text + b"\n" for text in texts) + torn
    lines = CroppedLines(longest=4)
    found = [one for at in range(0, len(data), size) for one in lines.feed(data[at : at + size])]
    # Within one piece a line is whole: what is bounded is what is kept from piece to piece.
    assert [line[:4] for line in found] == [text[:4] for text in texts]
    assert lines.take()[:4] == torn[:4]


@pytest.mark.parametrize("block", [b"", b"\n", b"a\n", b"a\n\nb\n"])
def test_a_block_of_whole_lines_is_split_at_its_newlines(block: bytes) -> None:
    assert b"".join(line + b"\n" for line in split_lines(block)) == block


@given(TEXTS, st.binary(max_size=5))
def test_all_that_cuts_a_block_agrees_with_its_newlines(texts: list[bytes], torn: bytes) -> None:
    torn = torn.replace(b"\n", b"")
    block = b"".join(text + b"\n" for text in texts)
    assert split_lines(block + torn) == texts
    assert ended_lines(block) == [text + b"\n" for text in texts]
    assert [line for _, line in placed_lines(block)] == texts
    assert [block[:end].count(b"\n") for end, _ in placed_lines(block)] == [
        *range(1, len(texts) + 1)
    ]
    assert first_lines(block, 2) == texts[:2]
    assert last_line(block + torn) == (texts[-1] if texts else b"")
    assert lines_end(block + torn) == len(block)
    assert line_end(block + torn) == (len(texts[0]) + 1 if texts else 0)
    end = 0
    for text in texts:
        for at in range(end, end + len(text) + 1):
            assert line_around(block, at) == (end, end + len(text))
        end += len(text) + 1


def test_a_carriage_return_ends_no_line() -> None:
    """Else what hides behind one in a line of somebody else's would be a record to some parts."""
    assert split_lines(b"a\rb\r\n\x0bc\n") == [b"a\rb\r", b"\x0bc"]
