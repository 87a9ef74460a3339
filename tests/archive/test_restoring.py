"""Restoring while the disk is full: nothing half is left, and the next run goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.archived_log import KEY, ORIGIN, SignedLog
from support.object_store import Store
from support.waiting import PATIENCE

from audit_emit.cli import main
from audit_emit.cli._exit import Exit

BOUNDED = """
import resource, signal, sys
sys.dont_write_bytecode = True  # half a file of it would be believed
from audit_emit.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def log(tmp_path: Path, store: Store) -> Iterator[SignedLog]:
    """Two small segments, and one that is larger."""
    made = SignedLog(tmp_path / "log").add(60)
    made.close()
    made = SignedLog(tmp_path / "log", max_bytes=60_000).add(300)
    made.archive(store)
    yield made
    made.close()


def bounded(most: int, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of which no file may become larger, as where a disk or a quota is full."""
    return subprocess.run(
        [sys.executable, "-c", BOUNDED, str(most), *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("command", ["restore", "parquet"])
@pytest.mark.untraced
def test_a_full_disk_is_told_leaves_nothing_half_and_the_next_run_goes_on(
    log: SignedLog, tmp_path: Path, command: str
) -> None:
    segments = {path.name: path.read_bytes() for path in log.closed()}
    most = min(map(len, segments.values())) + 1000 if command == "restore" else 50_000
    assert max(map(len, segments.values())) > most
    target = tmp_path / "target"
    asked = ["archive", command, str(target), "--key", KEY.to_vkey(ORIGIN)]
    done = bounded(most, *asked)
    assert done.returncode == (Exit.INCOMPLETE if command == "restore" else Exit.NOTHING)
    assert len(done.stderr.splitlines()) == 1
    assert str(target) in done.stderr or command == "parquet"
    there = [path for path in sorted(target.rglob("*")) if path.is_file()]
    assert there
    assert not [path for path in there if path.suffix == ".part"]
    for path in there:
        assert path.read_bytes() == segments.get(path.name, path.read_bytes())
    before = {path: path.stat().st_mtime_ns for path in there}
    assert main(asked) == Exit.OK
    assert before.items() <= {path: path.stat().st_mtime_ns for path in before}.items()
    if command == "restore":
        assert {path.name for path in target.glob("audit-*.jsonl")} == set(segments)
        assert main(["verify", str(target), "--key", KEY.to_vkey(ORIGIN)]) == Exit.OK
