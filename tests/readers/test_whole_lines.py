"""Lines of a log end with a newline, and nothing else ends one (wire format, section 7.2)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chain_builder import MadeChain
from support.verifier_comparison import both, rechained

from audit_emit._checkpoints.beginning import first_link
from audit_emit._checkpoints.entries import bundle_of
from audit_emit._erasure.remains import find_remains
from audit_emit._format.chain import body_of, leaf_hash
from audit_emit._readers.opening import open_reader


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three records; the first one has a carriage return between two members, as JSON may."""
    lines = [line + b"\n" for line in MadeChain().add(3).lines]
    lines[0] = lines[0].replace(b'"v":1,', b'"v":1,\r')
    (tmp_path / "audit.jsonl").write_bytes(b"".join(rechained(lines, "0" * 64)))
    assert both(tmp_path, key=None).exit_status == 0
    return tmp_path


def test_a_record_with_a_carriage_return_is_an_entry(log: Path) -> None:
    lines = (log / "audit.jsonl").read_bytes().splitlines(keepends=True)
    whole = b"".join(lines[:2]).rstrip(b"\n")
    row = bytes.fromhex(leaf_hash(body_of(whole)))
    with open_reader(str(log)) as reader:
        assert bundle_of(reader, 0, row)[2:] == body_of(whole)


def test_it_is_the_first_record(log: Path) -> None:
    with open_reader(str(log)) as reader:
        link = first_link(reader)
    assert link is not None
    assert int(link[2]) == 1


def test_it_is_searched_for_what_an_erasure_leaves(log: Path) -> None:
    with open_reader(str(log)) as reader:
        assert find_remains(reader, "u-17", None).records == 3
