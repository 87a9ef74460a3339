from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.five_records import LINES
from support.piped_descriptor import Piped
from support.waiting import PATIENCE

from audit_emit._stores.stdout.mirror import StdoutMirror


def test_a_record_is_written_byte_for_byte_after_the_prefix() -> None:
    with Piped() as stdout:
        sink = StdoutMirror(4096)
        assert sink.show(LINES[2])
        assert stdout.read() == b"audit: " + LINES[2]
        sink.close()


def long_line(size: int) -> bytes:
    old = b'"operation":"set"'
    return LINES[1].replace(old, old + b',"note":"' + b"x" * size + b'"')


@pytest.mark.parametrize("limit", [1024, 4096, 16384])
def test_a_line_of_exactly_the_limit_is_whole_and_one_more_is_a_stub(limit: int) -> None:
    room = limit - len(b"audit: ") - len(long_line(0))
    with Piped() as stdout:
        sink = StdoutMirror(limit)
        assert sink.show(long_line(room))
        assert sink.show(long_line(room + 1))
        sink.close()
        whole, short, _ = stdout.read().split(b"\n")
    assert len(whole) + 1 == limit
    assert len(short) + 1 <= limit
    fields = json.loads(short.removeprefix(b"audit: "))["fields"]
    assert fields == {
        "key": "ANTHROPIC_API_KEY",
        "value_hash": "3f8a1b2c",
        "scope": "workspace",
        "operation": "set",
        "_spilled": limit - len(b"audit: ") + 1,
    }


def test_a_stub_keeps_the_hash_of_the_whole_record() -> None:
    with Piped() as stdout:
        sink = StdoutMirror(4096)
        sink.show(long_line(5000))
        sink.close()
        (short,) = stdout.records()
    whole = json.loads(LINES[1])
    assert {**short, "fields": 0} == {**whole, "fields": 0}


def run(code: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    code = f"from audit_emit import configure, emit, health\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=True,
    )


def test_a_process_writes_to_the_stdout_it_was_given(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        run("configure(); emit(None, 'a.b')", stdout=out.fileno())
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    kept = (tmp_path / "default" / "audit.jsonl").read_bytes().splitlines(keepends=True)
    assert lines == [b"audit: " + line for line in kept]
    assert len(lines) == 2


@pytest.mark.parametrize("device", ["/dev/null", "/dev/full"])
def test_a_process_survives_devices(tmp_path: Path, device: str) -> None:
    number = os.open(device, os.O_WRONLY)
    run("configure()\nassert emit(None, 'a.b')", stdout=number)
    os.close(number)


def test_a_process_without_stdout() -> None:
    code = "import os; os.close(1)\nconfigure()\nassert emit(None, 'a.b')\n"
    assert run(code + "assert health()['sinks']['stdout']['last_error'] == 'closed'")


def test_what_the_application_prints_stays_in_order() -> None:
    code = (
        "configure(jsonl='off')\n"
        "print('before', flush=True); emit(None, 'a.b'); print('after', flush=True)"
    )
    done = run(code, stdout=subprocess.PIPE)
    assert [line[:7] for line in done.stdout.splitlines()] == ["before", "audit: ", "after"]
