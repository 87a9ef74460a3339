"""Standard streams that are closed, that nobody reads, or that have no room."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support.program import PROGRAM
from support.verifier_comparison import MadeLog
from support.waiting import PATIENCE

from audit_emit.cli._exit import Exit


@pytest.fixture
def log(tmp_path: Path) -> str:
    made = MadeLog(tmp_path / "log")
    made.write(2, 40)
    return str(made.directory)


@pytest.fixture
def tampered(tmp_path: Path) -> str:
    made = MadeLog(tmp_path / "tampered")
    made.write(2, 40)
    made.edit(10, lambda lines, i: lines.__setitem__(i, lines[i].replace(b"x.y", b"x.z")))
    return str(made.directory)


def closed(redirections: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with closed descriptors; the others are pipes."""
    script = f'exec "$@" {redirections}'
    command = ("sh", "-c", script, "sh", *PROGRAM, *arguments)
    return subprocess.run(
        command,
        input="a value",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def unread(*arguments: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose standard output is a pipe that nobody will ever read."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            (*PROGRAM, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_verdict_needs_no_streams(log: str, tampered: str, redirections: str) -> None:
    good = closed(redirections, "verify", log)
    assert (good.returncode, good.stderr) == (Exit.INCOMPLETE, "")
    bad = closed(redirections, "verify", tampered)
    assert (bad.returncode, bad.stderr) == (Exit.FINDINGS, "")


def test_a_value_is_not_read_from_what_is_closed() -> None:
    result = closed("<&-", "hash")
    assert result.returncode == Exit.USAGE
    assert "no value on standard input" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("framework", [[], ["--flask"]])
def test_a_demonstration_needs_no_streams(
    framework: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = closed("<&- 2>&-", "demo", *framework)
    assert result.returncode == Exit.OK
    assert "every link holds" in result.stdout


def test_follow_ends_when_there_is_nobody_to_show_anything(log: str) -> None:
    assert closed(">&-", "tail", "-f", log).returncode == Exit.OK


def test_a_verdict_is_the_status_also_when_nobody_reads_it(tampered: str, tmp_path: Path) -> None:
    result = unread("verify", tampered, tmp_path=tmp_path)
    assert (result.returncode, result.stderr) == (Exit.FINDINGS, "")


def test_a_repair_that_nobody_reads_has_its_status(tampered: str, tmp_path: Path) -> None:
    result = unread("repair", tampered, tmp_path=tmp_path)
    assert (result.returncode, result.stderr) == (Exit.FINDINGS, "")


def test_problems_are_the_status_also_when_nobody_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_EMIT_DISABLED", "1")
    result = unread("doctor", tmp_path=tmp_path)
    assert (result.returncode, result.stderr) == (Exit.FINDINGS, "")


def test_a_demonstration_that_nobody_looks_at_ends_quietly(tmp_path: Path) -> None:
    result = unread("demo", tmp_path=tmp_path)
    assert (result.returncode, result.stderr) == (Exit.OK, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_full_disk_is_said_to_be_that_of_standard_output(log: str, command: str) -> None:
    result = closed(">/dev/full", command, log)
    assert result.returncode == Exit.INCOMPLETE
    assert result.stderr == "audit-emit: standard output: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("verify",), Exit.INCOMPLETE),
        (("verify", "--no"), Exit.USAGE),
    ],
)
def test_where_nothing_can_be_said_the_status_still_can(
    arguments: tuple[str, ...], status: Exit, log: str
) -> None:
    assert closed(">/dev/full 2>/dev/full", *arguments, log).returncode == status


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_loki_that_is_away_is_the_status_also_when_nobody_can_be_told() -> None:
    result = closed("2>/dev/full", "query", "--loki", "http://127.0.0.1:1")
    assert result.returncode == Exit.NO_ANSWER
