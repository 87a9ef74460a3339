"""What lies beside a log is believed by nobody, and cannot stop who shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_emit._checkpoints.anchoring import notes_in
from audit_emit._checkpoints.witnessing.kept import STATUS, Kept

END = 253_402_300_800


@pytest.mark.parametrize(
    ("name", "value"),
    [("tried_at", END), ("cosigned_at", 10**30), ("cosigned_at", -1), ("cosigned_size", 1 << 63)],
)
def test_an_attempt_with_a_number_that_cannot_be_shown_is_none(
    tmp_path: Path, name: str, value: int
) -> None:
    usual = {"state": "cosigned", "tried_at": END - 1, "cosigned_at": 1, "cosigned_size": 5}
    path = tmp_path / STATUS
    path.write_text(json.dumps({"v": 1, "witnesses": {"k": usual}}))
    assert list(Kept(str(tmp_path)).attempts()) == ["k"]
    path.write_text(json.dumps({"v": 1, "witnesses": {"k": {**usual, name: value}}}))
    assert Kept(str(tmp_path)).attempts() == {}


@pytest.mark.parametrize(("name", "value"), [("at", END), ("size", 1 << 63), ("size", -1)])
def test_an_anchor_with_a_number_that_cannot_be_shown_is_none(name: str, value: int) -> None:
    usual = {"v": 1, "at": 1, "place": "file:/a", "size": 5, "note": "x"}
    lines = [json.dumps(one).encode() for one in (usual, {**usual, name: value})]
    assert [one.size for one in notes_in(b"\n".join(lines))] == [5]


def test_a_file_of_attempts_that_is_nested_without_end_says_nothing(tmp_path: Path) -> None:
    """It lies beside the log, and ``health()`` reads it."""
    (tmp_path / "witness.json").write_bytes(b'{"x":' + b"[" * 100_000)
    assert Kept(str(tmp_path)).attempts() == {}
