"""What is played under ``strace``: emit, rotate, checkpoint, repair; and what must hold after it.

A scene is prepared, played in a process of its own, and checked by one that goes on with the log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import NamedTuple

from faults.log import Log
from faults.strace import Fault, Outcome, Tell
from support.verifier_comparison import KEY, ORIGIN, SECRET, MadeLog, both, kinds, ours
from support.waiting import PATIENCE

from audit_emit import Emitter
from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._repair.apply import DIRECTORY, apply
from audit_emit._repair.plan import plan_repair
from audit_emit._runtime import atomic
from audit_emit._settings.checks import Durability
from audit_emit._signing.trusted_keys import KeyRing
from audit_emit._stores.jsonl import critical
from audit_emit._stores.jsonl.directory import Layout
from audit_emit._verify.findings import Kind, Report
from audit_emit.cli import main
from audit_emit.cli._exit import Exit

for _command in ("checkpoint", "repair"):
    import_module(f"audit_emit.cli.{_command}")  # not in the middle of a scene

PAUSE = 0.001
"""Between two events: longer than an emitter trusts what it knows of the path."""

SYNCED = 0.35
"""The thread of a group commit has synced after so many seconds."""

TORN = b'{"ts":"2026-05-19T'

PASSING = frozenset({Kind.TORN_TAIL, Kind.RECOVERED_TEAR})
"""What may be found when nobody has opened the log since the fault."""

DECLARED = frozenset({Kind.RECOVERED_TEAR})


class Scene(NamedTuple):
    """One scene; ``directory`` is that of the log, which its parent has for itself."""

    prepare: Callable[[Path], None]
    play: Callable[[Path, Tell], None]
    check: Callable[[Path, list[str], Outcome, Fault | None], None]


def look_always() -> None:
    """In the process of a scene: neither time nor chance decides which calls it makes, on what."""
    critical.LOCK_CHECK_NS = 0
    numbers = count()
    atomic.unique = lambda: str(next(numbers))


def make(directory: Path, durability: Durability = "os", max_bytes: int = 1 << 24) -> Emitter:
    return Emitter(
        service="faults",
        jsonl=directory / "audit.jsonl",
        stdout=False,
        durability=durability,
        max_bytes=max_bytes,
        checkpoint=False,
    )


def emit(emitter: Emitter, tell: Tell, first: int, last: int) -> None:
    """Events by their number; each says whether it has a receipt."""
    for number in range(first, last):
        receipt = emitter.emit(None, "fault.event", {"n": number})
        tell(json.dumps([number, receipt.hash if receipt is not None else None]))
        time.sleep(PAUSE)


def close(emitter: Emitter, tell: Tell) -> None:
    """It may say that not everything is synced."""
    tell(json.dumps(["closed", emitter.close()]))


def nothing(_: Path) -> None:
    """A log is begun."""


def some(directory: Path) -> None:
    """A log of one file."""
    emitter = make(directory)
    for number in range(100, 103):
        assert emitter.emit(None, "fault.before", {"n": number})
    assert emitter.close(PATIENCE)


def torn(directory: Path) -> None:
    some(directory)
    with (directory / "audit.jsonl").open("ab") as file:
        file.write(TORN)


def rotated(directory: Path) -> None:
    """A log of one closed file and an active one that has not much room left."""
    emitter = make(directory, max_bytes=4096)
    for number in range(100, 113):
        assert emitter.emit(None, "fault.before", {"n": number})
    assert emitter.close(PATIENCE)


def between_renames(directory: Path) -> None:
    """A rotation was killed, and the lock file is that of a backup: it tells nothing."""
    some(directory)
    (directory / "audit.jsonl").rename(directory / f"audit-{1:020d}.jsonl")
    (directory / "audit.jsonl.new").touch(0o640)
    (directory / "audit.jsonl.lock").write_bytes(b"")


def play_emit(directory: Path, tell: Tell) -> None:
    emitter = make(directory, "always")
    emit(emitter, tell, 0, 4)
    close(emitter, tell)


def play_group(directory: Path, tell: Tell) -> None:
    """The thread syncs what came first, and closing syncs the rest."""
    emitter = make(directory, "group")
    emit(emitter, tell, 0, 2)
    time.sleep(SYNCED)
    emit(emitter, tell, 2, 4)
    close(emitter, tell)


def play_rotate(directory: Path, tell: Tell, durability: Durability = "always") -> None:
    emitter = make(directory, durability, 4096)
    emit(emitter, tell, 0, 12)
    close(emitter, tell)


def play_rotate_group(directory: Path, tell: Tell) -> None:
    play_rotate(directory, tell, "group")


def check_emit(directory: Path, before: list[str], outcome: Outcome, fault: Fault | None) -> None:
    """Everything with a receipt is there; and everything else, too, unless the process died."""
    told = [json.loads(line) for line in outcome.told]
    closed = [done for what, done in told if what == "closed"]
    assert fault is not None or closed == [True]
    told = [pair for pair in told if pair[0] != "closed"]
    hashes = {digest for _, digest in told} - {None}
    killed = fault is not None and fault.kills
    if hashes or before:
        found(directory, hashes, before, PASSING, key=None)
    emitter = make(directory)
    receipt = emitter.emit(None, "fault.over", {})
    assert receipt is not None, emitter.health()
    assert emitter.close(PATIENCE), emitter.health()
    found(directory, hashes | {receipt.hash}, before, DECLARED, key=None)
    log = Log(directory).check()
    lost = {number for number, _ in told} - set(log.numbers)
    assert killed or not lost, f"emitted and neither there nor declared: {sorted(lost)}"
    assert fault is not None or None not in {digest for _, digest in told}


def found(
    directory: Path,
    hashes: set[str],
    before: list[str],
    allowed: frozenset[Kind],
    key: bytes | None = SECRET,
) -> Report:
    """The verdict of both verifiers, on a log that must hold these records."""
    signed = directory / "checkpoints.jsonl"
    # A key that there is no checkpoint for is a finding.
    report = both(directory, key=key if signed.exists() and signed.stat().st_size else None)
    assert set(kinds(report)) <= allowed, report.findings
    there = {record["hash"] for record in Log(directory).records}
    assert hashes <= there, f"acknowledged and lost: {len(hashes - there)}"
    gone = set(before) - set(lines_of(directory))
    assert not gone, f"{len(gone)} records of before are gone"
    return report


def lines_of(directory: Path) -> list[str]:
    """The records of all segments, oldest first."""
    if not directory.exists():
        return []
    return [line.raw.decode() for f in Log(directory).files for line in f.lines if line.record]


# Checkpoints


def long_log(directory: Path) -> None:
    """Two files and no checkpoint, and the key beside them."""
    emitter = make(directory, max_bytes=8192)
    for number in range(100, 120):
        assert emitter.emit(None, "fault.before", {"n": number})
    assert emitter.close(PATIENCE)
    key_of(directory).write_text(SECRET.hex())
    key_of(directory).chmod(0o600)


def key_of(directory: Path) -> Path:
    return directory.parent / "key"


def play_checkpoint(directory: Path, tell: Tell) -> None:
    """The first checkpoint, and another one after some events."""
    for first in (0, 4):
        command = ["checkpoint", str(directory), "--key", str(key_of(directory))]
        tell(json.dumps(["status", main([*command, "--origin", ORIGIN])]))
        emitter = make(directory)
        emit(emitter, tell, first, first + 4)
        close(emitter, tell)


def check_checkpoint(
    directory: Path, before: list[str], outcome: Outcome, fault: Fault | None
) -> None:
    """What was signed is there, nothing that went wrong is taken for tampering, and it goes on."""
    told = [json.loads(line) for line in outcome.told]
    hashes = {digest for what, digest in told if what not in {"status", "closed"}} - {None}
    answers = [status for what, status in told if what == "status"]
    sound = {Exit.OK, Exit.NOTHING, Exit.INCOMPLETE} if fault else {Exit.OK}
    assert set(answers) <= sound, answers
    signed = [len(before) + 5 * turn for turn, status in enumerate(answers) if status == Exit.OK]
    report = found(directory, hashes, before, PASSING)
    assert report.anchored_seq >= max(signed, default=0), report
    emitter = make(directory)
    receipt = emitter.emit(None, "fault.over", {})
    assert receipt is not None
    assert emitter.store is not None
    signer = Checkpointer(
        str(directory / "audit.jsonl"),
        KeyRing([KEY]),
        origin=ORIGIN,
        record=emitter.record_own,
    )
    made = signer.run("manual")
    assert made is not None
    assert emitter.close(PATIENCE)
    report = found(directory, hashes | {receipt.hash}, before, DECLARED)
    assert report.anchored_seq == made.head_seq >= receipt.seq


# Repair


def spoilt(directory: Path) -> None:
    """Foreign lines in a closed file and in the active one, which ends torn.

    Not in the first file: it holds the number of a process, and what comes after that is not at the
    same offset, nor under the same name in quarantine, every time.
    """
    log = MadeLog(directory)
    log.write(2, 9, max_bytes=4096)
    key_of(directory).write_text(SECRET.hex())
    key_of(directory).chmod(0o600)
    _, closed, active = log.segments
    for path, foreign in ((closed, b"foreign\n"), (active, b"two\nlines\n")):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([lines[0], foreign, *lines[1:]]))
    with log.active.open("ab") as file:
        file.write(TORN)


def play_repair(directory: Path, tell: Tell) -> None:
    command = ["repair", "--apply", "--key", str(key_of(directory)), str(directory)]
    tell(json.dumps(["status", main(command)]))


def check_repair(directory: Path, before: list[str], outcome: Outcome, fault: Fault | None) -> None:
    """Every byte is still somewhere, every record in its place, and a repair ends well."""
    answers = [json.loads(line)[1] for line in outcome.told]
    assert set(answers) <= ({Exit.OK, Exit.NOTHING} if fault else {Exit.OK}), outcome.output
    kept = [path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()]
    for name, data in originals(directory.parent / "before").items():
        assert any(file.startswith(data) for file in kept), f"{name} as it was is gone"
    assert lines_of(directory)[: len(before)] == before
    for _ in range(2):
        plan = plan_repair(ours(directory, KEY))
        apply(Layout.of(str(directory / "audit.jsonl")), plan.actions)
    report = found(directory, set(), before, DECLARED)
    assert report.exit_status == 0
    assert lines_of(directory)[: len(before)] == before
    assert plan.actions == (), "there was something left for a second repair"
    for name, data in originals(directory.parent / "before").items():
        there = [directory / name, *(directory / DIRECTORY).glob(f"{name}*.bak")]
        assert any(path.read_bytes().startswith(data) for path in there), name


def originals(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("audit*.jsonl")}


SCENES = {
    "emit": Scene(nothing, play_emit, check_emit),
    "emit-group": Scene(some, play_group, check_emit),
    "emit-torn": Scene(torn, play_emit, check_emit),
    "rotate": Scene(rotated, play_rotate, check_emit),
    "rotate-group": Scene(rotated, play_rotate_group, check_emit),
    "rotate-resumed": Scene(between_renames, play_emit, check_emit),
    "checkpoint": Scene(long_log, play_checkpoint, check_checkpoint),
    "repair": Scene(spoilt, play_repair, check_repair),
}
"""The four that matter, some of them in more than one state of the log."""
