"""``audit-emit hash``: the same digits as in the records, and no value on the way."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.program import PROGRAM
from support.waiting import PATIENCE

from audit_emit.cli import main
from audit_emit.cli._exit import Exit

KEY = "k" * 32


def run(stdin: bytes, *options: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    clean = {name: v for name, v in os.environ.items() if not name.startswith("AUDIT_EMIT_")}
    command = (*PROGRAM, "hash", *options)
    environment = {**clean, **environ}
    return subprocess.run(command, input=stdin, env=environment, capture_output=True, check=False)


def plain(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


@pytest.mark.parametrize(
    ("stdin", "options", "hashed"),
    [
        (b"value", [], plain(b"value")[:8]),
        (b"value\n", [], plain(b"value")[:8]),
        (b"value\r\n", [], plain(b"value")[:8]),
        (b"value\n", ["--exact"], plain(b"value\n")[:8]),
        (b"value", ["-n", "64"], plain(b"value")),
        (b"\xff\x00", ["-n", "1"], plain(b"\xff\x00")[:1]),
    ],
)
def test_the_prefix_of_the_hash(stdin: bytes, options: list[str], hashed: str) -> None:
    result = run(stdin, *options)
    assert result.returncode == Exit.OK
    assert result.stdout.decode() == f"value_hash {hashed}\n"


def test_with_a_key_it_finds_both_forms_in_a_record(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    environ = {"AUDIT_EMIT_HASH_KEY": KEY, "AUDIT_EMIT_JSONL": str(log), "AUDIT_EMIT_STDOUT": "0"}
    result = run(b"hunter2", **environ)
    assert not log.exists()
    shown = dict(line.split() for line in result.stdout.decode().splitlines())
    assert shown["value_hash"] == hmac.digest(KEY.encode(), b"hunter2", "sha256").hex()[:8]

    program = (
        "import audit_emit as a; a.emit(None, 'x.y', "
        "{'password': 'hunter2', 'value_hash': a.hash_value_prefix('hunter2')}); a.flush()"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, env={**os.environ, **environ}, check=True, timeout=PATIENCE)
    fields = json.loads(log.read_bytes().splitlines()[-1])["fields"]
    assert fields == {"password": shown["held_back"], "value_hash": shown["value_hash"]}


def test_the_value_is_in_no_output() -> None:
    result = run(b"CANARY-value", AUDIT_EMIT_HASH_KEY=KEY)
    assert b"CANARY" not in result.stdout + result.stderr
    assert KEY.encode() not in result.stdout + result.stderr


@pytest.mark.parametrize("options", [["-n", "0"], ["-n", "65"], ["the-value"]])
def test_a_wrong_command_line_is_usage(options: list[str]) -> None:
    assert run(b"value", *options).returncode == Exit.USAGE


def test_nothing_on_standard_input_is_usage() -> None:
    result = run(b"\n")
    assert result.returncode == Exit.USAGE
    assert b"no value" in result.stderr


def test_a_key_that_cannot_be_used_is_told() -> None:
    result = run(b"value", AUDIT_EMIT_HASH_KEY="CANARY")
    assert result.returncode == Exit.USAGE
    assert b"AUDIT_EMIT_HASH_KEY" in result.stderr
    assert b"CANARY" not in result.stderr


def test_at_a_terminal_it_asks_without_echo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: "value")
    monkeypatch.delenv("AUDIT_EMIT_HASH_KEY", raising=False)
    assert main(["hash"]) == Exit.OK
    assert plain(b"value")[:8] in capsys.readouterr().out
