"""What every ``LogReader`` holds to, whatever it reads (audit_emit/_readers/base.py).

Another reader joins in as a function in ``READERS`` or, if it needs a server, in ``_make``: given
the lines of a log, those of its checkpoints (``None``: there are none) and a directory of its own,
it returns the reader.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from support.chain_builder import CHAIN, MadeChain
from support.postgres_server import Database

from audit_emit._format.record import Head, head_of
from audit_emit._readers.base import Block, Flaw, LogReader
from audit_emit._readers.memory import MemoryReader
from audit_emit._readers.opening import open_readers

Make = Callable[[Sequence[bytes], Sequence[bytes] | None, Path], LogReader]

LINES = MadeChain().add(40).lines
CHECKPOINTS = [b"{first}", b"{", b"{third}"]
FOREIGN = [*LINES[:20], b"", b"foreign", *LINES[20:]]


def in_memory(lines: Sequence[bytes], checkpoints: Sequence[bytes] | None, _: Path) -> LogReader:
    return MemoryReader(lines, checkpoints, moved=[b"moved\n"])


def in_files(
    lines: Sequence[bytes],
    checkpoints: Sequence[bytes] | None,
    directory: Path,
    pack: Callable[[bytes], bytes] = bytes,
) -> LogReader:
    """Three segments, of which the first two may be packed."""
    middle = len(lines) // 2
    parts = {".2": lines[: middle // 2], ".1": lines[middle // 2 : middle], "": lines[middle:]}
    for ending, part in parts.items():
        data = b"".join(line + b"\n" for line in part)
        (directory / f"audit.jsonl{ending}").write_bytes(pack(data) if ending else data)
    if checkpoints is not None:
        data = b"".join(line + b"\n" for line in checkpoints)
        (directory / "checkpoints.jsonl").write_bytes(data)
    (directory / "quarantine").mkdir()
    (directory / "quarantine" / "a.bytes").write_bytes(b"moved")
    (reader,) = open_readers([str(directory)])
    return reader


def in_packed_files(
    lines: Sequence[bytes], checkpoints: Sequence[bytes] | None, directory: Path
) -> LogReader:
    return in_files(lines, checkpoints, directory, gzip.compress)


def in_table(database: Database) -> Make:
    """One chain of a database, which has no place for lines that are no records."""

    def make(lines: Sequence[bytes], checkpoints: Sequence[bytes] | None, _: Path) -> LogReader:
        import psycopg

        heads = [head for head in map(head_of, lines) if head is not None]
        last = heads[-1] if heads else Head(CHAIN, 0, "0" * 64, "")
        with psycopg.connect(database.server.url(database.name), autocommit=True) as connection:
            connection.execute(
                "INSERT INTO audit_emit.heads (chain, service, kind, seq, hash, ts) "
                "VALUES (%s, 'secrets-api', 'live', %s, %s, %s)",
                (CHAIN, last.seq, bytes.fromhex(last.hash), last.ts),
            )
            for line, head in zip(lines, heads, strict=True):
                record = json.loads(line)
                members = ("id", "ts", "event_type", "workspace_id", "user_id", "correlation_id")
                connection.execute(
                    "INSERT INTO audit_emit.records VALUES "
                    "(%s, %s, current_date, %s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        *(CHAIN, head.seq, bytes.fromhex(head.hash)),
                        *(record[name] for name in members),
                        line.decode(),
                    ),
                )
            for line in checkpoints or ():
                connection.execute(
                    "INSERT INTO audit_emit.checkpoints (chain, head_seq, line) VALUES (%s, 1, %s)",
                    (CHAIN, line.decode()),
                )
        (reader,) = open_readers([database.as_user("the_reader") + f"#chain={CHAIN}"])
        return reader

    return make


READERS: dict[str, Make] = {"memory": in_memory, "files": in_files, "packed": in_packed_files}
TABLE = "postgresql"


@pytest.fixture(params=[*READERS, pytest.param(TABLE, marks=pytest.mark.server)], name="kind")
def _kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="make")
def _make(request: pytest.FixtureRequest, kind: str) -> Make:
    if kind == TABLE:
        return in_table(request.getfixturevalue("audited"))
    return READERS[kind]


@pytest.fixture(name="content")
def _content(kind: str) -> list[bytes]:
    """The lines of the log."""
    return LINES if kind == TABLE else FOREIGN


@pytest.fixture(name="reader")
def _reader(make: Make, content: list[bytes], tmp_path: Path) -> Iterator[LogReader]:
    with make(content, CHECKPOINTS, tmp_path) as reader:
        yield reader


def text(blocks: Iterable[Block | Flaw]) -> bytes:
    """The bytes of blocks, none of which is a flaw."""
    found = list(blocks)
    assert not [block for block in found if isinstance(block, Flaw)]
    return b"".join(block.data for block in found if isinstance(block, Block))


def lines_of(blocks: Iterable[Block | Flaw]) -> list[bytes]:
    return text(blocks).split(b"\n")[:-1]


def place(number: int) -> Head:
    found = head_of(LINES[number - 1])
    assert found is not None
    return found


def test_it_gives_back_what_was_written(reader: LogReader, content: list[bytes]) -> None:
    with reader:
        assert lines_of(reader.blocks()) == content
        assert lines_of(reader.blocks()) == content, "and again"


def test_the_blocks_of_a_part_follow_each_other(reader: LogReader) -> None:
    with reader:
        ends: dict[str, int] = {}
        for block in reader.blocks():
            assert isinstance(block, Block)
            assert block.offset == ends.get(block.part, 0)
            assert block.data.endswith(b"\n") or not block.data
            ends[block.part] = block.offset + len(block.data)


def test_what_was_read_ends_at_the_size(reader: LogReader) -> None:
    with reader:
        *_, last = reader.blocks()
        assert isinstance(last, Block)
        assert reader.size in {last.read, -1}


def test_a_record_to_begin_with_is_there_with_all_after_it(
    reader: LogReader, content: list[bytes]
) -> None:
    with reader:
        found = lines_of(reader.blocks(from_seq=30))
        assert found == content[-len(found) :]
        assert LINES[29] in found


@pytest.mark.parametrize(("number", "until"), [(12, place(12).ts), (40, "9"), (0, "0")])
def test_it_ends_with_the_last_record_of_a_time(
    reader: LogReader, content: list[bytes], number: int, until: str
) -> None:
    with reader:
        found = lines_of(reader.blocks(until=until))
        assert found == (content[: content.index(LINES[number - 1]) + 1] if number else [])


def test_a_clock_that_was_ahead_ends_nothing(make: Make, tmp_path: Path) -> None:
    ahead = MadeChain().add(5).add(ts=2 * 10**18).add(5, ts=1_779_220_900 * 10**9).lines
    with make(ahead, None, tmp_path) as reader:
        assert lines_of(reader.blocks(until="2026-06")) == ahead


@pytest.mark.parametrize("seq", [1, 20, 21, 40])
def test_it_finds_a_record_by_its_number(reader: LogReader, seq: int) -> None:
    with reader:
        assert LINES[seq - 1] in lines_of(reader.search(seq=seq))


def test_a_number_that_is_not_there_is_in_no_block(reader: LogReader) -> None:
    with reader:
        found = map(head_of, lines_of(reader.search(seq=41)))
        assert not any(head.seq == 41 for head in found if head is not None)


def test_a_search_by_time_holds_what_is_within_it(reader: LogReader) -> None:
    with reader:
        found = lines_of(reader.search(since=place(10).ts, until=place(15).ts))
        assert set(LINES[9:14]) <= set(found)


@pytest.mark.parametrize("number", [1, 20, 21, 39, 40])
def test_what_follows_a_record_is_all_that_came_after_it(
    reader: LogReader, content: list[bytes], number: int
) -> None:
    with reader:
        after = content[content.index(LINES[number - 1]) + 1 :]
        assert lines_of(reader.since(place(number))) == after


def test_what_follows_nothing_is_all(reader: LogReader, content: list[bytes]) -> None:
    with reader:
        assert lines_of(reader.since(None)) == content


@pytest.mark.parametrize(
    "head",
    [place(20)._replace(hash="0" * 64), place(20)._replace(seq=41), place(20)._replace(seq=19)],
)
def test_a_record_that_is_not_there_is_told(reader: LogReader, head: Head) -> None:
    with reader, pytest.raises(LookupError):
        lines_of(reader.since(head))


def test_the_checkpoints_come_with_their_places(reader: LogReader) -> None:
    with reader:
        for _ in range(2):
            found = list(reader.checkpoints() or ())
            assert [each.line for each in found] == CHECKPOINTS
            assert [each.place.offset for each in found] == [0, 8, 10]
            assert [each.place.line for each in found] == [1, 2, 3]
            assert not any(each.late or each.torn for each in found)


def test_no_checkpoints_are_not_the_same_as_none_of_them(
    kind: str, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    with make(LINES, None, tmp_path / "a") as nothing:
        assert nothing.checkpoints() is None
    if kind != TABLE:  # the table is always there
        (tmp_path / "b").mkdir()
        with make(LINES, [], tmp_path / "b") as empty:
            assert list(empty.checkpoints() or ("none",)) == []


@pytest.mark.parametrize("data", [b"moved", b"moved\n"])
def test_what_was_moved_aside_is_still_there(kind: str, reader: LogReader, data: bytes) -> None:
    with reader:
        digest = sha256(data).hexdigest()
        assert reader.kept(len(data), digest) is (kind != TABLE), "where anything ever is"
        assert not reader.kept(len(data) + 1, digest)
        assert not reader.kept(len(data), "0" * 64)


def test_the_bounds_are_the_first_record_and_the_last(reader: LogReader) -> None:
    with reader:
        assert reader.bounds() == (place(1), place(40))


def test_an_empty_log_has_no_bounds(make: Make, tmp_path: Path) -> None:
    with make([], None, tmp_path) as reader:
        assert reader.bounds() == (None, None)
        assert text(reader.blocks()) == text(reader.search()) == text(reader.since(None)) == b""


def test_closing_twice_is_closing(reader: LogReader) -> None:
    reader.close()
    reader.close()
