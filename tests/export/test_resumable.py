"""An output that goes on where it ended, however it ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.chain_builder import MadeChain
from support.sampling import sampled

from audit_emit._export.exporter import Piece
from audit_emit._export.resumable import ResumableFile
from audit_emit._export.state import State, path_of
from audit_emit._format.record import Head
from audit_emit.errors import ExportError

HEAD = Head("00d1c0ffee00beef", 7, "a" * 64, "2026-05-19T20:00:00.000000000Z")


def piece(data: bytes, seq: int = 7) -> Piece:
    return Piece(data, 1, 0, "", HEAD._replace(seq=seq), 0)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_it_goes_on_behind_what_was_kept(output: Path) -> None:
    with ResumableFile(output, "f", b"head\n") as file:
        file.add(piece(b"one\n"))
        file.sync()
    with ResumableFile(output, "f", b"head\n") as file:
        assert file.after == HEAD
        file.add(piece(b"two\n", 8))
        file.sync()
    assert output.read_bytes() == b"head\none\ntwo\n"


def test_what_was_written_after_the_last_sync_is_cut_off(output: Path) -> None:
    with ResumableFile(output, "f", b"") as file:
        file.add(piece(b"one\n"))
        file.sync()
    with open(output, "ab") as beyond:
        beyond.write(b"not kept")
    with ResumableFile(output, "f", b""):
        pass
    assert output.read_bytes() == b"one\n"


def test_an_output_that_is_shorter_than_its_state_is_refused(output: Path) -> None:
    with ResumableFile(output, "f", b"") as file:
        file.add(piece(b"one\n"))
        file.sync()
    output.write_bytes(b"on")
    with pytest.raises(ExportError, match="it was cut"):
        ResumableFile(output, "f", b"")
    assert output.read_bytes() == b"on"


def test_other_options_are_refused(output: Path) -> None:
    ResumableFile(output, "ocsf", b"").close()
    with pytest.raises(ExportError, match="begun with other options"):
        ResumableFile(output, "ecs", b"")


def test_a_second_export_at_the_same_time_is_refused(output: Path) -> None:
    with (
        ResumableFile(output, "f", b""),
        pytest.raises(ExportError, match="another process exports"),
    ):
        ResumableFile(output, "f", b"")


def test_a_symbolic_link_is_not_followed(output: Path) -> None:
    target = output.with_name("target")
    target.write_bytes(b"precious")
    output.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        ResumableFile(output, "f", b"")
    assert target.read_bytes() == b"precious"


def test_a_full_disk_leaves_what_was_kept(output: Path) -> None:
    import resource

    with ResumableFile(output, "f", b"") as file:
        file.add(piece(b"one\n"))
        file.sync()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with (
            ResumableFile(output, "f", b"") as file,
            pytest.raises(OSError, match="File too large") as raised,
        ):
            file.add(piece(b"x" * 1000 + b"\n", 8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert raised.value.filename == str(output)
    assert State.beside(output) == State("f", HEAD, 4)
    with ResumableFile(output, "f", b""):
        assert output.read_bytes() == b"one\n"


PROGRAM = """
import os, resource, signal, sys
from audit_emit._export import resumable
if limit := int(os.environ.get("KILLED_AT", "0")):  # the kernel kills who writes beyond
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
resumable.SYNC_BYTES = 20_000
from audit_emit.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("seed", list(sampled(range(10))))
def test_killed_at_any_moment_the_bytes_are_those_of_one_pass(tmp_path: Path, seed: int) -> None:
    log, output = tmp_path / "log", tmp_path / "out.jsonl"
    log.mkdir()
    made = MadeChain().add(4_000).lines
    (log / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in made))
    command = [sys.executable, "-c", PROGRAM, "export", str(log), "--format", "ocsf"]
    whole = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    pace = random.Random(seed)
    kills = 0
    while True:
        # The first time at a certain byte: a busy machine may see nothing of the others in time.
        limit = pace.randrange(1, len(whole) // 4) if not kills else 0
        process = subprocess.Popen(
            [*command, "--out", str(output), "--resume"],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "KILLED_AT": str(limit)},
        )
        # It is killed once so much more was written, which differs from round to round.
        size = output.stat().st_size if output.exists() else 0
        goal = size + pace.randrange(1, len(whole) // 4)
        while not limit and process.poll() is None:
            if output.exists() and output.stat().st_size >= goal:
                process.kill()
                break
            os.sched_yield()
        if process.wait() == 0:
            break
        kills += 1
    assert kills
    assert output.read_bytes() == whole
    assert path_of(output).exists()


@pytest.mark.parametrize("what", ["replaced", "cut", "removed"])
def test_a_file_that_was_changed_meanwhile_gets_no_state(output: Path, what: str) -> None:
    with ResumableFile(output, "f", b"") as file:
        file.add(piece(b"one\n"))
        file.sync()
        before = path_of(output).read_bytes()
        if what == "cut":
            os.truncate(output, 0)
        else:
            output.unlink()
        if what == "replaced":
            output.write_bytes(b"one\n")
        with pytest.raises(ExportError, match="replaced, removed or cut"):
            file.add(piece(b"two\n", 8))
    assert path_of(output).read_bytes() == before


def test_a_file_that_was_moved_away_is_whole_and_the_next_one_begins_behind_it(
    output: Path,
) -> None:
    with ResumableFile(output, "f", b"head\n") as file:
        file.add(piece(b"one\n"))
        output.rename(output.with_name("moved-1"))
        file.add(piece(b"two\n", 8))
        output.rename(output.with_name("moved-2"))
        file.sync()
    output.rename(output.with_name("moved-3"))  # while nobody writes
    with ResumableFile(output, "f", b"head\n") as file:
        assert file.after == HEAD._replace(seq=8)
        file.add(piece(b"three\n", 9))
        file.sync()
    files = [output.with_name(f"moved-{number}").read_bytes() for number in (1, 2, 3)]
    assert files == [b"head\none\n", b"head\ntwo\n", b"head\n"]
    assert output.read_bytes() == b"head\nthree\n"


def test_a_crash_while_the_file_is_moved_away_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, keep, write = [0], State.keep, ResumableFile._write

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    def kept(self: State, output: Path) -> None:
        count()
        keep(self, output)
        count()

    def written(self: ResumableFile, data: bytes) -> None:
        count()
        write(self, data)

    crashes = 0
    for steps in range(30):
        directory = tmp_path / str(steps)
        directory.mkdir()
        output = directory / "out"
        parts: list[Path] = []
        monkeypatch.setattr(State, "keep", kept)
        monkeypatch.setattr(ResumableFile, "_write", written)
        left[0] = steps
        for _ in range(3):
            try:
                with ResumableFile(output, "f", b"head\n") as file:
                    for number in range(file.after.seq + 1 if file.after else 1, 7):
                        file.add(piece(b"%d\n" % number, number))
                        if number % 2:
                            file.sync()
                        if number % 3 == 0 and output.exists():
                            parts.append(output.rename(directory / f"moved-{len(parts)}"))
                break
            except KeyboardInterrupt:
                crashes += 1
                monkeypatch.undo()
        seen = b"".join(one.read_bytes() for one in [*parts, output] if one.exists()).split()
        # What was written and not yet synced when it crashed may be there twice.
        assert list(dict.fromkeys(int(one) for one in seen if one != b"head")) == [*range(1, 7)]
    assert crashes > 10
