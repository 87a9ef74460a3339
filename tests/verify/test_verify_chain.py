"""docs/verify_chain.py: what is special to the small verifier."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.chain_builder import BEGIN, MadeChain
from support.processor_time import takes_less
from support.prunable_log import PrunableLog
from support.verifier_comparison import ORIGIN, SCRIPT, SECRET, both, kinds, others, ours
from support.waiting import PATIENCE

from audit_emit._checkpoints.checkpointer import checkpoint_fields
from audit_emit._format.chain import Frontier
from audit_emit._format.checkpoint import sign
from audit_emit._signing.trusted_keys import HmacKey

verify = others[SCRIPT.name]


def verifying(make: Callable[[Path, int], None], directory: Path, count: int) -> Callable[[], None]:
    """Verifies a log that is made of so many parts."""
    directory.mkdir()
    make(directory, count)

    def work() -> None:
        verify(directory, [SECRET], BEGIN)

    return work


def newlines(directory: Path, count: int) -> None:
    (directory / "audit.jsonl").write_bytes(b"\n" * 20 * count)
    (directory / "checkpoints.jsonl").write_bytes(b"\n" * 20 * count)


def declarations(directory: Path, count: int) -> None:
    """One long run of lines, and many records that say they are about it."""
    chain = MadeChain().add()
    for number in range(count):
        fields = {"bytes": 2 * number, "sha256": sha256(b"x\n" * number).hexdigest()}
        chain.add(event_type="audit.recovered", fields=fields)
    lines = [chain.lines[0], *[b"x"] * count, *chain.lines[1:]]
    (directory / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (directory / "quarantine").mkdir()
    (directory / "quarantine" / "a.bytes").write_bytes(bytes(256 * count))


def checkpoints_of_one_size(directory: Path, count: int) -> None:
    chain, tree = MadeChain().add(), Frontier()
    tree.append(sha256(b"\0" + chain.lines[0][:-75] + b"}").digest())
    made = sign(
        HmacKey(SECRET),
        at=chain.lines[0][7:37].decode(),
        origin=f"{ORIGIN}/{chain.chain}",
        chain=chain.chain,
        size=1,
        head_hash=chain.lines[0][-66:-2].decode(),
        root=tree.root(),
        reason="manual",
    )
    for _ in range(count):
        chain.add(event_type="audit.checkpoint", fields=checkpoint_fields(made))
    chain.write(directory / "audit.jsonl")
    (directory / "checkpoints.jsonl").write_bytes(made.to_line() * count)


def starts(directory: Path, count: int) -> None:
    """A service that starts again and again, and signs nothing any more."""
    checkpoints_of_one_size(directory, 1)
    fields = {"checkpoint_every": 5, "checkpoint_interval": 5}
    chain = MadeChain().add().add(count, event_type="audit.started", fields=fields)
    chain.write(directory / "audit.jsonl")


@pytest.mark.parametrize(
    "make",
    [newlines, declarations, checkpoints_of_one_size, starts],
    ids=lambda make: make.__name__,
)
def test_takes_time_that_is_linear_in_its_input(
    make: Callable[[Path, int], None], tmp_path: Path
) -> None:
    few, many = (verifying(make, tmp_path / str(count), count) for count in (250, 4000))
    assert takes_less(many, 0, times=48, than=few), "sixteen times as much; quadratic would be 256"


def test_the_same_lines_may_be_declared_twice(tmp_path: Path) -> None:
    chain = MadeChain().add()
    for text in (b"foreign", b"foreign\n", b"foreign\nlines"):
        fields = {"bytes": len(text), "sha256": sha256(text).hexdigest()}
        chain.add(event_type="audit.recovered", fields=fields)
    lines = [chain.lines[0], b"foreign", b"lines", *chain.lines[1:]]
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    assert kinds(both(tmp_path, key=None)) == {"recovered-tear": [2, 4], "missing-segment": [3]}


@pytest.mark.parametrize(("text", "undeclared"), [(b"foreign\n", 1), (b"foreign", 2)])
def test_of_empty_lines_behind_a_declared_newline_the_first_is_declared(
    tmp_path: Path, text: bytes, undeclared: int
) -> None:
    fields = {"bytes": len(text), "sha256": sha256(text).hexdigest()}
    chain = MadeChain().add().add(event_type="audit.recovered", fields=fields)
    lines = [chain.lines[0], b"foreign", b"", b"", chain.lines[1]]
    (tmp_path / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    found = kinds(both(tmp_path, key=None))
    assert found == {"recovered-tear": [2], "malformed-line": [2] * undeclared}


NO_CHECKPOINT = {"head_seq": True, "root_hash": []}
NO_KEY: list[dict[str, Any]] = [
    {"old_key_id": []},
    {"old_alg": "hmac-sha256", "old_key_id": 5},
    {"old_alg": "hmac-sha256", "old_key_id": "00000000"},
]


@pytest.mark.parametrize(
    ("event_type", "fields", "found"),
    [
        ("audit.checkpoint", NO_CHECKPOINT, {}),
        ("audit.checkpoint", {"head_seq": 1, "root_hash": []}, {"sequence-gap": [1]}),
        ("audit.gap", {"lost": "many"}, {}),
        ("audit.recovered", {"bytes": "4", "sha256": 4}, {}),
        ("audit.started", {"checkpoint_every": 5, "checkpoint_interval": 1e999}, {}),
        *(("audit.key_rotated", fields, {}) for fields in NO_KEY),
    ],
)
def test_members_of_another_type_say_nothing(
    tmp_path: Path, event_type: str, fields: dict[str, Any], found: dict[str, list[int]]
) -> None:
    MadeChain().add().add(event_type=event_type, fields=fields).write(tmp_path / "audit.jsonl")
    (tmp_path / "checkpoints.jsonl").write_bytes(b"")
    assert kinds(both(tmp_path, key=None)) == found
    verify(tmp_path, [SECRET], BEGIN)


def test_a_checkpoint_by_no_algorithm_is_malformed(tmp_path: Path) -> None:
    MadeChain().add().write(tmp_path / "audit.jsonl")
    (tmp_path / "checkpoints.jsonl").write_bytes(b'{"v":1,"sig_alg":[]}\n')
    assert kinds(both(tmp_path, key=None)) == {"malformed-line": [None]}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_a_log_may_have_more_segments_than_a_process_may_have_files(tmp_path: Path) -> None:
    chain = MadeChain().add(300)
    for seq in range(1, 300):
        chain.write(tmp_path / f"audit-{seq:020}.jsonl", seq, seq)
    chain.write(tmp_path / "audit.jsonl", 300)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        command = [sys.executable, str(SCRIPT), str(tmp_path)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=PATIENCE
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def _nothing(_: PrunableLog) -> None:
    """Leave it as it is."""


def _one_more(log: PrunableLog) -> None:
    log.segments()[0].unlink()


def _no_tiles(log: PrunableLog) -> None:
    shutil.rmtree(log.path / "tile")


def _other_tiles(log: PrunableLog) -> None:
    tile = log.path / "tile" / "0" / "000"
    tile.write_bytes(tile.read_bytes()[::-1])


def _without_the_record(log: PrunableLog) -> None:
    lines = log.active.read_bytes().splitlines(keepends=True)
    log.active.write_bytes(b"".join(line for line in lines if b'"audit.pruned"' not in line))


def _another_signature(log: PrunableLog) -> None:
    data = log.active.read_bytes()
    log.active.write_bytes(data.replace(b"older than 30d", b"older than 31d"))


@pytest.mark.parametrize(
    ("change", "status"),
    [(_nothing, 0), *((each, 1) for each in (_one_more, _no_tiles, _other_tiles)),
     *((each, 1) for each in (_without_the_record, _another_signature))],
)  # fmt: skip
def test_of_a_log_whose_oldest_records_are_gone_it_says_the_same(
    tmp_path: Path, change: Callable[[PrunableLog], None], status: int
) -> None:
    log = PrunableLog(tmp_path / "log", records=1400)
    log.prune(30)
    change(log)
    found = verify(log.path, [b"k" * 32], None)
    assert log.verify().exit_status == status
    assert bool({kind for kind, *_ in found} - {"pruned"}) is bool(status), found
    assert status or [one[:2] for one in found] == [("pruned", 601)]


def test_a_removal_of_a_newer_version_cannot_be_checked(tmp_path: Path) -> None:
    chain = MadeChain().add().add(event_type="audit.pruned", fields={"v": 2})
    chain.write(tmp_path / "audit.jsonl")
    assert kinds(ours(tmp_path)) == {"key-unavailable": [2]}
    assert [one[:2] for one in verify(tmp_path, [], None)] == [("key-unavailable", 2)]
