"""Which files make up a log, also while some are being closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.chain_builder import MadeChain

from audit_emit._readers.files.logfiles import open_log
from audit_emit._stores.jsonl.directory import Layout


@pytest.mark.parametrize(
    ("listings", "wanted"),
    [([(1, 4), (1, 3, 4)], [1, 2, 3, 4]), ([(1,), (1, 4)], [1, 2])],
    ids=["the first one", "the second one"],
)
def test_of_segments_that_are_closed_meanwhile_a_listing_may_miss_the_earlier_ones(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listings: list[tuple[int, ...]],
    wanted: list[int],
) -> None:
    """The second record's segment is open as the active one by then, whatever its name becomes."""
    layout = Layout.of(str(tmp_path / "audit.jsonl"))
    names = {1: layout.closed(1), 2: layout.active, 3: layout.closed(3), 4: layout.closed(4)}
    for line, path in zip(MadeChain().add(4).lines, names.values(), strict=True):
        Path(path).write_bytes(line + b"\n")
    left = iter(listings)
    monkeypatch.setattr(os, "listdir", lambda _: [os.path.basename(names[n]) for n in next(left)])
    assert [file.first_seq for file in open_log(layout, "").files] == wanted


def test_a_segment_that_was_empty_when_it_was_opened_and_closed_then_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.of(str(tmp_path / "audit.jsonl"))
    lines = [line + b"\n" for line in MadeChain().add(3).lines]
    Path(layout.closed(1)).write_bytes(lines[0])
    Path(layout.active).touch()
    listed = os.listdir

    def meanwhile(directory: str) -> list[str]:
        monkeypatch.setattr(os, "listdir", listed)
        Path(layout.active).write_bytes(lines[1])
        Path(layout.active).rename(layout.closed(2))
        Path(layout.closed(3)).write_bytes(lines[2])
        return listed(directory)

    monkeypatch.setattr(os, "listdir", meanwhile)
    assert [file.first_seq for file in open_log(layout, "").files] == [1, 2, 3]


def test_an_active_segment_that_comes_back_while_the_log_is_opened_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames of a rotation there is none."""
    layout = Layout.of(str(tmp_path / "audit.jsonl"))
    Path(layout.closed(1)).write_bytes(MadeChain().add(1).lines[0] + b"\n")
    Path(f"{layout.active}.new").touch()
    listed = os.listdir

    def meanwhile(directory: str) -> list[str]:
        monkeypatch.setattr(os, "listdir", listed)
        Path(f"{layout.active}.new").rename(layout.active)
        return listed(directory)

    monkeypatch.setattr(os, "listdir", meanwhile)
    found = open_log(layout, "")
    assert ([file.first_seq for file in found.files], found.missing) == ([1], "")
