"""One table of exit statuses, and which one is told where several hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_emit._verify.findings import Kind, Report
from audit_emit.cli import main
from audit_emit.cli._exit import MEANING, Exit, worst


def test_every_status_has_a_meaning() -> None:
    assert list(MEANING) == list(Exit)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 3], 3),
        ([3, 4], 4),
        ([4, 5, 3], 5),
        ([3, 4, 5, 1, 0], 1),
    ],
)
def test_where_several_hold_a_finding_comes_first(found: list[int], told: int) -> None:
    assert worst(found) == told
    assert worst(reversed(found)) == told


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ([], 0),
        ([Kind.NOTHING_FOUND], 3),
        ([Kind.TORN_TAIL], 4),
        ([Kind.TORN_TAIL, Kind.NOTHING_FOUND], 4),
        ([Kind.KEY_UNAVAILABLE, Kind.NOTHING_FOUND, Kind.TRUNCATED], 1),
    ],
)
def test_a_verdict_has_the_same_order(kinds: list[Kind], status: int) -> None:
    assert Report((), {str(kind): 1 for kind in kinds}).exit_status == status


def test_one_log_of_several_decides(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "audit.jsonl").write_bytes(b'{"ts":')
    logs = [str(tmp_path / "empty"), str(tmp_path / "torn")]
    assert main(["verify", logs[0]]) == Exit.NOTHING
    assert main(["verify", logs[1]]) == Exit.INCOMPLETE
    assert main(["verify", *logs]) == Exit.INCOMPLETE
