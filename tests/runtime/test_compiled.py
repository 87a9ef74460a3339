"""A compiled part that does not fit the Python code beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit_emit._runtime import compiled
from audit_emit._runtime.native_sources import digest

PACKAGE = Path(compiled.__file__).parents[1]

PROGRAM = """
import json, sys
from audit_emit import Emitter
from audit_emit._runtime import compiled
from audit_emit.cli._checks import examine
emitter = Emitter(jsonl=sys.argv[1], stdout=False)
seq = emitter.emit(None, "a.b", {"n": 1}).seq
print(json.dumps([emitter.health()["emit"], seq, examine({}, {}).warnings]))
"""


def state_beside(part: str, place: Path, missing: str = "") -> tuple[str, int, list[str]]:
    """What a copy of the package does with this module in the place of the compiled part.

    ``missing``: the name of a source that is listed, and cannot be read.
    """
    package = place / "audit_emit"
    package.mkdir()
    for each in PACKAGE.iterdir():
        if each.name not in ("__pycache__", "_native") and not each.name.startswith("_speedups"):
            (package / each.name).symlink_to(each)
    native = package / "_native"
    native.mkdir()
    (native / "plain.c").write_text("int of_another_version;\n")
    if missing:
        (native / missing).symlink_to("nowhere")
    (package / "_speedups.py").write_text(part)
    environment = {name: value for name, value in os.environ.items() if name != compiled.SWITCH}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(place / "audit.jsonl")],
        check=True,
        env={**environment, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        cwd=place,
    )
    state, seq, warnings = json.loads(done.stdout)
    return state, seq, warnings


@pytest.mark.parametrize("made_of", ["", "SOURCES = '00000000'\n"])
def test_a_part_made_of_other_sources_is_not_used_and_that_is_said(
    made_of: str, tmp_path: Path
) -> None:
    # Were it used, every Emitter would end in a TypeError: it takes other arguments.
    part = made_of + "def append(): pass\nencoder = copied = linked = append\n"
    state, seq, warnings = state_beside(part, tmp_path)
    assert state == compiled.STALE
    assert seq == 2
    assert f"emit is {compiled.STALE}" in warnings


def test_every_change_of_a_source_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "leaf.h").write_text("1")
    (tmp_path / "plain.c").write_text("2")
    before = digest(str(tmp_path))
    (tmp_path / "notes.txt").write_text("no source")
    assert digest(str(tmp_path)) == before
    (tmp_path / "leaf.h").write_text("3")
    assert digest(str(tmp_path)) != before


def test_what_an_editor_keeps_beside_a_source_is_none(tmp_path: Path) -> None:
    (tmp_path / "plain.c").write_text("1")
    before = digest(str(tmp_path))
    (tmp_path / ".#plain.c").symlink_to("somebody@host.1:2")
    assert digest(str(tmp_path)) == before


def test_where_a_source_cannot_be_read_python_does_everything(tmp_path: Path) -> None:
    state, seq, _ = state_beside("SOURCES = ''\n", tmp_path, missing="gone.c")
    assert (state, seq) == (compiled.STALE, 2)


def test_where_no_sources_are_beside_it_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert digest(str(tmp_path)) == ""
    assert digest(str(tmp_path / "missing")) == ""
