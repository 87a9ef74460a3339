"""An export says what the log does not have, and what of it went out in no format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import MadeChain
from support.console_client import (
    EVERYBODY,
    PASSWORD,
    Recorder,
    client,
    console,
    log_in,
    users,
)
from support.export_records import LINES


def exports(asked: Any, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked.get("/api/audit/exports", **more).json()["exports"]
    return found


def test_a_whole_export_says_so(tmp_path: Path) -> None:
    asked = client(console(log_in(tmp_path / "log")))
    answer = asked.get("/export?format=csv")
    (one,) = exports(asked)
    assert answer.headers["x-audit-export"] == str(one["id"])
    assert (one["state"], one["records"], one["whole"]) == ("complete", len(LINES), True)


def test_lines_that_are_no_records_are_counted_and_told(tmp_path: Path) -> None:
    recorder = Recorder()
    asked = client(console(log_in(tmp_path / "log", b"no record", b"[1]"), emitter=recorder))
    asked.get("/export?format=ocsf")
    (one,) = exports(asked)
    assert (one["foreign"], one["whole"]) == (2, False)
    assert recorder.events[-1][2]["foreign"] == 2
    assert "2 lines are no records" in asked.get("/").text


def test_parts_that_are_missing_are_named(tmp_path: Path) -> None:
    made, directory = MadeChain().add(40), tmp_path / "log"
    for first in (1, 21):
        made.write(directory / f"audit-{first:020d}.jsonl", first, first + 19)
    recorder = Recorder()
    asked = client(console(directory, emitter=recorder))
    asked.get("/export?format=jsonl")
    (one,) = exports(asked)
    assert one["records"] == 40
    assert one["missing"] == ["audit.jsonl"]
    assert "audit.jsonl" in recorder.events[-1][2]["missing"]
    assert not one["whole"]


def test_a_log_that_cannot_be_read_to_its_end_is_a_failed_export(tmp_path: Path) -> None:
    directory = log_in(tmp_path / "log")
    (directory / f"audit-{0:020d}.jsonl.gz").write_bytes(b"\x1f\x8b\x08 damaged")
    recorder = Recorder()
    asked = client(console(directory, emitter=recorder))
    with pytest.raises(RuntimeError, match="already started"):
        asked.get("/export?format=jsonl")
    assert recorder.events[-1][2]["state"] == "failed"
    assert exports(asked)[0]["state"] == "failed"


def test_who_sees_a_part_of_the_log_is_told_that_but_not_how_much_of_it_is_no_record(
    tmp_path: Path,
) -> None:
    recorder, access = Recorder(), users(**EVERYBODY)
    log = log_in(tmp_path / "log", b"no record", b"[1]")
    asked = client(console(log, access=access, emitter=recorder))
    asked.get("/export", auth=("wim", PASSWORD))
    (one,) = exports(asked, auth=("wim", PASSWORD))
    assert (one["foreign"], one["missing"], one["whole"]) == (None, None, False)
    page = asked.get("/", auth=("wim", PASSWORD)).text
    assert "lines of the log that are no records, or parts that are not there" in page
    ended = [fields for _, kind, fields in recorder.events if kind == "console.export_ended"]
    assert ended[0]["foreign"] == 2, "the console's own trail has all of it"


def test_everybody_sees_his_own_exports(tmp_path: Path) -> None:
    asked = client(console(log_in(tmp_path / "log"), access=users(**EVERYBODY)))
    asked.get("/export", auth=("arno", PASSWORD))
    assert len(exports(asked, auth=("arno", PASSWORD))) == 1
    assert exports(asked, auth=("olga", PASSWORD)) == []
