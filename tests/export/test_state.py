"""The state beside an output."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from audit_emit._export.state import State, path_of
from audit_emit._format.record import Head
from audit_emit.errors import ExportError

HEAD = Head("00d1c0ffee00beef", 7, "a" * 64, "2026-05-19T20:00:00.000000000Z")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


@pytest.mark.parametrize("head", [None, HEAD])
def test_what_is_kept_is_read_back(output: Path, head: Head | None) -> None:
    state = State("ocsf", head, 12)
    state.keep(output)
    assert State.beside(output) == state


def test_it_is_for_its_owner_only(output: Path) -> None:
    State("ocsf", HEAD, 12).keep(output)
    assert stat.S_IMODE(path_of(output).stat().st_mode) == 0o600


def test_nothing_else_is_left_in_the_directory(output: Path) -> None:
    State("ocsf", HEAD, 12).keep(output)
    State("ocsf", HEAD, 13).keep(output)
    assert list(output.parent.iterdir()) == [path_of(output)]


def test_without_a_state_and_an_output_there_is_none(output: Path) -> None:
    assert State.beside(output) is None


def test_an_output_without_a_state_is_refused(output: Path) -> None:
    output.write_text("somebody's file\n")
    with pytest.raises(ExportError, match=r"without out\.jsonl\.state"):
        State.beside(output)


WHOLE = {"v": 1, "form": "ocsf", "head": HEAD._asdict(), "length": 3}


@pytest.mark.parametrize(
    "changed",
    [
        {"v": 2},
        {"length": -1},
        {"length": True},
        {"form": 7},
        {"head": {}},
        {"head": {**HEAD._asdict(), "seq": 0}},
        {"head": {**HEAD._asdict(), "hash": None}},
        {"head": {**HEAD._asdict(), "more": 1}},
    ],
)
def test_a_state_that_cannot_be_is_refused(output: Path, changed: dict[str, object]) -> None:
    path_of(output).write_text(json.dumps({**WHOLE, **changed}))
    with pytest.raises(ExportError, match="is no state of an export"):
        State.beside(output)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_state_is_refused(output: Path, text: bytes) -> None:
    path_of(output).write_bytes(text)
    with pytest.raises(ExportError, match="is no state of an export"):
        State.beside(output)


def test_a_pipe_in_the_place_of_the_state_is_none(output: Path) -> None:
    os.mkfifo(path_of(output))
    with pytest.raises(ExportError, match="no state"):
        State.beside(output)
