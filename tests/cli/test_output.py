"""``--out``: a file that is there when the command has ended, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.program import PROGRAM
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit.cli import main
from audit_emit.cli import verify as verifying
from audit_emit.cli._exit import Exit
from audit_emit.cli._group import COMMANDS, Lazy

COMMAND = [*PROGRAM]
PRINTS_NOTHING_TO_KEEP = set("archive console db demo repair schema seal tiles witness".split())
"""Groups, a server, a performance, what changes a log, what goes on for others."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of a few records."""
    emitter = Emitter(service="shop", jsonl=str(tmp_path / "log" / "audit.jsonl"), stdout=False)
    for number in range(5):
        emitter.emit({"user_id": "u-1"}, "item.sold", {"n": number})
    emitter.close()
    return tmp_path / "log"


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Where the answer goes; nothing else is left beside it."""
    (tmp_path / "answers").mkdir()
    path = tmp_path / "answers" / "answer"
    yield path
    assert {one.name for one in path.parent.iterdir()} <= {"answer"}


def test_every_command_with_something_to_keep_takes_out() -> None:
    import click

    group = click.Context(Lazy())
    for name in sorted(set(COMMANDS) - PRINTS_NOTHING_TO_KEEP):
        command = Lazy().get_command(group, name)
        assert command is not None
        assert any("--out" in one.opts for one in command.params), name


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "--json"],
        ["query"],
        ["query", "--json"],
        ["query", "--format", "csv"],
        ["tail", "--format", "jsonl"],
        ["doctor", "--json"],
    ],
)
def test_the_file_has_what_would_have_been_printed(
    arguments: list[str], log: Path, out: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    status = main([*arguments, str(log)])
    printed = capfdbinary.readouterr().out
    assert main([*arguments, str(log), "--out", str(out)]) == status
    assert capfdbinary.readouterr().out == b""
    kept = out.read_bytes()
    if arguments[0] == "doctor":  # a disk is never as fast as it was
        assert json.loads(kept).keys() == json.loads(printed).keys()
    else:
        assert kept == printed
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_file_that_is_there_stays_unless_it_is_forced(
    log: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out.write_text("mine")
    assert main(["verify", str(log), "--out", str(out)]) == Exit.USAGE
    assert "--force to replace it" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["verify", str(log), "--out", str(out), "--force"]) == Exit.OK
    assert out.read_text().startswith("ok ")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_file_that_comes_into_being_in_the_meantime_stays(
    log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verified(*_: object) -> list[object]:
        out.write_text("theirs")
        return []

    monkeypatch.setattr(verifying, "verify_paths", verified)
    assert main(["verify", str(log), "--json", "--out", str(out)]) == Exit.USAGE
    assert out.read_text() == "theirs"


@pytest.mark.parametrize("name", ["audit.jsonl", "audit-1.jsonl.gz", "checkpoints.jsonl"])
def test_a_file_of_a_log_is_never_replaced(
    name: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = log / name
    path.touch()
    before = path.read_bytes()
    assert main(["query", str(log), "--out", str(path), "--force"]) == Exit.USAGE
    assert "is never replaced" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["no/such/answer", ".", "link", "pipe"])
def test_where_no_file_can_be_it_is_told_before_any_work(
    where: str, log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to(log / "audit.jsonl")
    os.mkfifo(tmp_path / "pipe")
    assert main(["query", str(log), "--out", str(tmp_path / where), "--force"]) == Exit.USAGE
    assert "--out: " in capsys.readouterr().err


def test_nothing_printed_is_no_file(log: Path, out: Path) -> None:
    nothing = ["query", str(log), "--where", "n=99", "--format", "jsonl", "--out", str(out)]
    assert main(nothing) == Exit.NOTHING
    assert not out.exists()


def test_a_failure_leaves_no_file(log: Path, out: Path) -> None:
    assert main(["prove", "3", str(log), "--out", str(out)]) == Exit.INCOMPLETE
    assert not out.exists()


def test_an_interrupt_leaves_no_file(log: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        print("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(verifying, "show", interrupted)
    assert main(["verify", str(log), "--out", str(out)]) == 130
    assert not out.exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_full_disk_is_said_to_be_that_of_the_file(log: Path, out: Path) -> None:
    script = 'ulimit -f 0; trap "" XFSZ; exec "$@"'
    command = ["sh", "-c", script, "sh", *COMMAND, "verify", str(log), "--out", str(out)]
    # A measurement of coverage would want to write, too.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert str(out) in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode != Exit.OK
    assert not out.exists()


def test_following_has_no_end_at_which_to_write(
    log: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", "-f", str(log), "--out", str(out)]) == Exit.USAGE
    assert "use > FILE" in capsys.readouterr().err


def test_a_dash_is_standard_output(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", str(log), "--out", "-"]) == Exit.OK
    assert "item.sold" in capsys.readouterr().out


def test_without_hard_links_it_is_written_as_well(
    log: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert main(["verify", str(log), "--out", str(out)]) == Exit.OK
    assert out.read_text().startswith("ok ")
    assert main(["verify", str(log), "--out", str(out)]) == Exit.USAGE
