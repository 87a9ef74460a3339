"""A log that several processes share, and to which everything is done in any order."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import peer
from faults.log import Log
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from support.sampling import EVERY

from audit_emit import Emitter

LOOK_NS = 100_000
"""Longer than an emitter trusts what it knows of the path."""


class SharedLog(RuleBasedStateMachine):
    """Two emitters in this process, one in another, and somebody who handles the files.

    What has a receipt is found, unless the file that held it was destroyed here; every file links;
    every id is there once; what is no record is declared.
    """

    other: peer.Peer

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="states-"))
        self.path = self.directory / "audit.jsonl"
        self.mine: list[Emitter] = []
        self.next = 0
        self.moved = 0
        self.receipts: dict[int, str] = {}
        self.destroyed: set[int] = set()
        self.known: set[str] = set()
        self.spoiled: set[bytes] = set()

    @initialize()
    def open(self) -> None:
        self.mine = [peer.make(str(self.path)) for _ in range(2)]
        self.other.ask("open", str(self.path))

    def teardown(self) -> None:
        for emitter in self.mine:
            emitter.close()
        self.other.ask("close")
        shutil.rmtree(self.directory, ignore_errors=True)

    # Writing

    @rule(which=st.integers(0, 1), count=st.integers(1, 4))
    def emit(self, which: int, count: int) -> None:
        for _ in range(count):
            self.told(peer.emit(self.mine[which], self.take()), least=1)

    @rule(count=st.integers(1, 4))
    def emit_elsewhere(self, count: int) -> None:
        for _ in range(count):
            self.told(self.other.ask("emit", self.take()), least=1)

    @rule()
    def fork(self) -> None:
        self.told(self.other.ask("fork", self.take()), least=1)

    @rule()
    def crash(self) -> None:
        self.told(self.other.ask("crash", self.take(100_000)))

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        assert self.mine[which].close()
        self.mine[which] = peer.make(str(self.path))

    @rule()
    def reopen_elsewhere(self) -> None:
        self.other.ask("open", str(self.path))

    # What others do to the files

    @rule()
    def rename(self) -> None:
        with_file(self.path, lambda path: path.rename(self.target()))
        pause()

    @rule()
    def copytruncate(self) -> None:
        def cut(path: Path) -> None:
            shutil.copy(path, self.target())
            path.write_bytes(b"")

        with_file(self.path, cut)

    @rule()
    def delete(self) -> None:
        self.destroying(lambda path: path.unlink())
        pause()

    @rule(count=st.integers(1, 700))
    def cut_tail(self, count: int) -> None:
        def cut(path: Path) -> None:
            path.write_bytes(path.read_bytes()[:-count])

        self.destroying(cut)

    @rule(count=st.integers(3, 60))
    def spoil_tail(self, count: int) -> None:
        """The last bytes before the final newline are not what was written."""

        def spoil(path: Path) -> None:
            data = path.read_bytes()
            if len(data) > count + 1 and data.endswith(b"\n"):
                path.write_bytes(data[: -count - 1] + b"?" * count + b"\n")
                self.spoiled.add(path.read_bytes().splitlines(keepends=True)[-1])

        self.destroying(spoil)

    @rule(line=st.sampled_from([b"hello\n", b"torn", b"\0" * 40, b'{"a":1}\n', b"\n", b'{"ts":"x']))
    def scribble(self, line: bytes) -> None:
        def write(path: Path) -> None:
            with path.open("ab") as file:
                file.write(line)

        with_file(self.path, write)

    @invariant()
    def nothing_is_wrong(self) -> None:
        log = Log(self.directory)
        log.check(known=self.known, spoiled=self.spoiled, torn_end=True)
        self.known |= {record["hash"] for record in log.records}
        missing = set(self.receipts) - set(log.numbers) - self.destroyed
        assert not missing, f"has a receipt and is lost: {sorted(missing)}"

    # Help

    def take(self, count: int = 1) -> int:
        number = self.next
        self.next += count
        return number

    def target(self) -> Path:
        self.moved += 1
        return self.path.with_name(f"audit.jsonl.{self.moved}")

    def told(self, receipts: peer.Reply, least: int = 0) -> None:
        assert len(receipts) >= least, [emitter.health() for emitter in self.mine]
        self.receipts.update(receipts)

    def destroying(self, what: Callable[[Path], object]) -> None:
        """Do something to the file, and note which records it held that are nowhere any more."""
        before = Log(self.directory)
        self.known |= {record["hash"] for record in before.records}
        with_file(self.path, what)
        after = Log(self.directory)
        self.destroyed |= set(before.numbers) - set(after.numbers)
        # What declared these may be gone, too.
        self.spoiled |= {line.raw for f in after.files for line in f.lines if line.record is None}


def with_file(path: Path, what: Callable[[Path], object]) -> None:
    if path.exists():
        what(path)


def pause() -> None:
    """Until the emitters look at the path again."""
    until = time.time_ns() + LOOK_NS
    while time.time_ns() < until:
        pass


@pytest.fixture
def other() -> Iterator[peer.Peer]:
    started = peer.Peer()
    yield started
    started.end()


@pytest.mark.parametrize("part", range(2))
def test_a_shared_log_survives_everything_in_any_order(other: peer.Peer, part: int) -> None:
    machine = type(f"SharedLog{part}", (SharedLog,), {"other": other})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60 // EVERY,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            # A failure that depends on the moment does not get smaller.
            phases=[Phase.generate],
        ),
    )
