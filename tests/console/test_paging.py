"""Pages of a log, walked back from its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chain_builder import MadeChain

from audit_emit._format.link import link_of
from audit_emit._query.question import Question, Term
from audit_emit.console.paging import Answers, Cursor, page_of

LINES = MadeChain().add(12).lines
FOREIGN = [b'{"event_type":"a.b","n":%d}' % number for number in range(3)]


def written(directory: Path, *lines: bytes) -> str:
    (directory / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return str(directory)


def all_pages(where: str, question: Question, size: int) -> list[bytes]:
    seen: list[bytes] = []
    after: Cursor | None = None
    while True:
        page = page_of([where], question, size, after)
        seen += page.lines
        assert len(page.lines) <= size
        if page.next is None:
            return seen
        after = Cursor.parse(str(page.next))


@pytest.mark.parametrize("size", [1, 2, 5, 11, 12, 100])
def test_all_pages_together_are_the_log(tmp_path: Path, size: int) -> None:
    assert all_pages(written(tmp_path, *LINES), Question(), size) == LINES[::-1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("at", [0, 5, 12])
def test_lines_in_no_chain_are_shown_once(tmp_path: Path, size: int, at: int) -> None:
    lines = [*LINES[:at], *FOREIGN, *LINES[at:]]
    found = all_pages(written(tmp_path, *lines), Question(), size)
    assert found == lines[::-1]


def test_a_filter_leaves_pages_full(tmp_path: Path) -> None:
    question = Question(terms=(Term.parse("n=*1*"),))
    found = all_pages(written(tmp_path, *LINES), question, 2)
    assert found == [LINES[11], LINES[10], LINES[9], LINES[0]]


def test_a_filter_shows_lines_in_no_chain_once_wherever_they_are(tmp_path: Path) -> None:
    parted = [line.partition(b',"chain"')[0] + b"}" for line in MadeChain().add(40).lines]
    question = Question(terms=(Term.parse("n=*3*"),))
    for at in (0, 5, 12):
        lines = [*LINES[:at], *parted, *LINES[at:]]
        wanted = [line for line in lines[::-1] if question.match(line) is not None]
        assert len(wanted) > 12
        for size in (1, 2, 7):
            assert all_pages(written(tmp_path, *lines), question, size) == wanted


def test_a_filter_that_nothing_answers_looks_at_the_links_of_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bytes] = []

    def noted(line: bytes) -> object:
        looked.append(line)
        return link_of(line)

    monkeypatch.setattr("audit_emit.console.paging.link_of", noted)
    where = written(tmp_path, *MadeChain().add(320).lines)
    page = page_of([where], Question(terms=(Term.parse("n=nobody"),)), 5)
    assert (page.lines, page.next) == ([], None)
    assert len(looked) <= 320 // 16


def test_what_is_written_meanwhile_moves_no_page(tmp_path: Path) -> None:
    first = page_of([written(tmp_path, *LINES[:8])], Question(), 3)
    written(tmp_path, *LINES)
    assert page_of([str(tmp_path)], Question(), 3, first.next).lines == LINES[4:1:-1]


def test_closed_segments_are_walked_too(tmp_path: Path) -> None:
    closed = b"".join(line + b"\n" for line in LINES[:5])
    (tmp_path / "audit-00000000000000000001.jsonl").write_bytes(closed)
    assert all_pages(written(tmp_path, *LINES[5:]), Question(), 4) == LINES[::-1]


def test_a_deep_page_reads_no_more_than_the_first_one(tmp_path: Path) -> None:
    """What was shown before is not walked over again: counted in bytes that are read."""
    lines, size = MadeChain().add(12_000, fields={"text": "x" * 300}).lines, 300
    for first in range(0, 12_000, 3000):
        part = b"".join(line + b"\n" for line in lines[first : first + 3000])
        name = f"audit-{first + 1:020d}.jsonl" if first < 9000 else "audit.jsonl"
        (tmp_path / name).write_bytes(part)
    read = []
    for seq in (0, 11_000, 6000, 2000):
        before = bytes_read()
        page = page_of([str(tmp_path)], Question(), size, Cursor(seq) if seq else None)
        read.append(bytes_read() - before)
        end = seq - 1 if seq else 12_000
        assert page.lines == lines[end - size : end][::-1]
    assert max(read) < 4 * 1024 * 1024, read


def test_a_list_looks_at_so_many_lines_and_says_that_there_are_more(tmp_path: Path) -> None:
    where = [written(tmp_path, *LINES)]
    for walked, cut in ((12, False), (5, True)):
        answers = Answers(where, Question(), walked)
        assert [line for line, _ in answers] == LINES[::-1][:walked]
        assert answers.cut is cut


def bytes_read() -> int:
    """Bytes that this process has read so far, from files or their cache."""
    text = Path("/proc/self/io").read_text("ascii")
    return int(text.split("rchar: ")[1].split()[0])


def test_without_a_log_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        page_of([str(tmp_path / "nope")], Question(), 3)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.", "1.2.3", "9" * 20, "\u0661"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        Cursor.parse(text)
