"""What is said beside a record that cannot vouch for itself."""

from __future__ import annotations

import json

import pytest
from support.chain_builder import MadeChain, altered, rewritten

from audit_emit._format.record import stub
from audit_emit.cli._marks import STUB, UNCHAINED, WRONG_HASH, chains_told, mark, told

LINE = MadeChain().add(fields={"text": "x" * 5000}).lines[0]


def test_a_chained_record_has_no_mark() -> None:
    assert mark(LINE) == ""


def test_what_is_not_chained_is_marked() -> None:
    record = json.loads(LINE)
    for name in ("chain", "seq", "prev_hash", "hash"):
        record.pop(name)
    assert mark(json.dumps(record).encode()) == UNCHAINED
    assert mark(b"{}") == UNCHAINED


def test_a_record_that_was_changed_is_marked() -> None:
    assert mark(altered(LINE)) == WRONG_HASH


def test_a_record_that_was_written_anew_has_a_right_hash() -> None:
    """That it is of another chain, or at another's place, only a comparison tells."""
    assert mark(rewritten(LINE)) == ""


def test_a_stub_is_marked() -> None:
    assert mark(stub(LINE + b"\n", 4096).rstrip(b"\n")) == STUB


@pytest.mark.parametrize("name", [UNCHAINED, STUB, WRONG_HASH])
def test_each_mark_is_explained_with_its_number(name: str) -> None:
    (sentence,) = told(["", name, "", name])
    assert sentence.startswith("2 of these are ")
    assert sentence.endswith(f"(marked {name})")


def test_services_with_several_chains_are_named() -> None:
    one, other = MadeChain("a" * 16, "shop").add(2), MadeChain("b" * 16, "shop").add(1)
    alone = MadeChain("c" * 16, "bank").add(3)
    (sentence,) = chains_told([*one.lines, *other.lines, *alone.lines])
    assert sentence.startswith(f"records of shop are of 2 chains ({'a' * 16}, {'b' * 16}):")
    assert chains_told(one.lines) == []
