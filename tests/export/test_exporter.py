"""One pass over a log: every record in its order, and what is none is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chain_builder import MadeChain

from audit_emit._export.exporter import exported
from audit_emit._export.formats import chosen
from audit_emit._format.record import Head, head_of
from audit_emit._query.question import Question, Term
from audit_emit._readers.opening import open_reader

FORM = chosen("jsonl")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "audit.jsonl").write_bytes(lines(40))
    return tmp_path


def lines(count: int, begin: int = 0) -> bytes:
    made = MadeChain().add(count).lines[begin:]
    return b"".join(line + b"\n" for line in made)


def head(number: int) -> Head:
    found = head_of(MadeChain().add(number).lines[-1])
    assert found is not None
    return found


def all_of(log: Path, after: Head | None = None, wanted: Question | None = None) -> bytes:
    with open_reader(str(log)) as reader:
        return b"".join(piece.data for piece in exported(reader, FORM, after, wanted))


def test_every_record_comes_in_order(log: Path) -> None:
    assert all_of(log) == lines(40)


def test_it_goes_on_behind_a_record(log: Path) -> None:
    assert all_of(log, head(17)) == lines(40, 17)


def test_behind_the_last_record_there_is_nothing(log: Path) -> None:
    assert all_of(log, head(40)) == b""


def test_a_record_that_the_log_does_not_have_is_an_error(log: Path) -> None:
    with pytest.raises(LookupError):
        all_of(log, head(17)._replace(hash="0" * 64))


def test_only_what_was_asked_for_comes(log: Path) -> None:
    wanted = Question(terms=(Term.parse("n=7"),))
    assert all_of(log, None, wanted) == lines(7, 6)


def test_a_torn_end_waits(log: Path) -> None:
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b'{"ts":"2026')
    assert all_of(log) == lines(40)


def test_lines_that_are_no_records_are_counted(log: Path) -> None:
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b"hello\n" + b"x" * 2_000_000 + b"\n")
    with open_reader(str(log)) as reader:
        assert sum(piece.foreign for piece in exported(reader, FORM)) == 2


def test_a_record_that_is_not_chained_is_exported(log: Path) -> None:
    with open(log / "audit.jsonl", "ab") as file:
        file.write(b'{"event_type":"a.b"}\n')
    assert all_of(log) == lines(40) + b'{"event_type":"a.b"}\n'


def test_the_head_of_the_last_piece_is_the_last_record(log: Path) -> None:
    with open_reader(str(log)) as reader:
        assert [piece.head for piece in exported(reader, FORM)][-1] == head(40)
