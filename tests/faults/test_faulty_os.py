"""Every system call of the sinks, made to fail in turn, in every way that it can fail."""

from __future__ import annotations

import errno
import gc
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.faulty_os import ERRORS, SHORT, Fault, FaultyOS
from faults.log import Log, check_whole
from support.interpreted_emitter import interpreted
from support.jsonl_store import store_of
from support.sampling import sampled
from support.waiting import PATIENCE

from audit_emit import AuditError, Emitter
from audit_emit._settings.checks import Durability
from audit_emit._stores.stdout.mirror import PREFIX, StdoutMirror

STEP_NS = 20_000
"""What the clock goes forward per look: the path is looked up at every third record."""

Scene = Callable[[Emitter, Path, Iterator[int]], None]


@pytest.fixture(autouse=True, scope="module")
def _little_to_collect() -> Iterator[None]:
    """What was there before is not looked through at every run."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_else_dies() -> Iterator[None]:
    """Emitters of before would close their descriptors in the middle of a scene."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def steady(emitter: Emitter, path: Path, numbers: Iterator[int]) -> None:
    """Enough records to close two segments by size."""
    for _ in range(22):
        emit(emitter, numbers)


def moved(emitter: Emitter, path: Path, numbers: Iterator[int]) -> None:
    """What others do to the file: rename it, append to it, take it away, cut it."""
    other = make(path)
    for turn in range(4):
        emit(emitter, numbers)
        emit(emitter, numbers)
        if turn == 0:
            emit(other, numbers)
        elif turn == 1:
            move(path, path.with_name("audit.jsonl.1"))
        elif turn == 2:
            shutil.rmtree(path.parent / "deep", ignore_errors=True)
            if path.exists():
                shutil.copy(path, path.with_name("audit.jsonl.2"))
                os.truncate(path, 0)
    emit(emitter, numbers)
    emit(other, numbers)
    emit(emitter, numbers)
    other.flush()
    other.close()


def torn(emitter: Emitter, path: Path, numbers: Iterator[int]) -> None:
    """A file that was left torn, and is torn again behind our back."""
    emit(emitter, numbers)
    tear(path)
    emit(emitter, numbers)
    emit(emitter, numbers)
    emitter.close()
    tear(path)
    emit(emitter, numbers)
    emit(emitter, numbers)


def move(path: Path, target: Path) -> None:
    if path.exists():
        path.rename(target)


def tear(path: Path) -> None:
    if path.exists():
        with path.open("ab") as file:
            file.write(b'{"ts":"torn')


def emit(emitter: Emitter, numbers: Iterator[int]) -> None:
    emitter.emit(None, "fault.event", {"n": next(numbers)})


def make(path: Path, durability: Durability = "os") -> Emitter:
    """An emitter whose clock and threads are no matter of chance."""
    emitter = Emitter(
        service="faults", jsonl=path, stdout=False, durability=durability, max_bytes=4096
    )
    ticks = itertools.count(1_700_000_000_000_000_000, STEP_NS)
    interpreted(emitter).clock.now_ns = ticks.__next__
    emitter.outbox.go_on = lambda: None  # type: ignore[method-assign]
    assert emitter.store is not None
    group = store_of(emitter).durability.group
    if group is not None:
        group._has_thread = lambda: False  # type: ignore[method-assign]
    return emitter


def play(scene: Scene, path: Path, durability: Durability, *faults: Fault) -> FaultyOS:
    """Run a scene with faults, let the system recover, and check what is left of it.

    Returns:
        The shim, with the calls of the scene alone.
    """
    shim = FaultyOS(*faults)
    numbers = itertools.count()
    with shim.installed():
        emitter = make(path, durability)
        scene(emitter, path, numbers)
        met = dict(shim.calls)
        shim.heal()
        assert emitter.store is not None
        store_of(emitter).durability._unsynced._after = 0.0
        assert emitter.flush(PATIENCE), troubles(emitter)
        last = emitter.emit(None, "fault.over", {"n": next(numbers)})
        assert last is not None, troubles(emitter)
        # Where locks failed once, health says so for good.
        unlocked = any(fault.error == errno.ENOLCK for fault in faults)
        assert unlocked or emitter.health()["status"] == "ok", troubles(emitter)
        assert emitter.counters.internal_errors == 0
        emitter.close()
    log = Log(path.parent).check()
    events = set(range(next(numbers)))
    assert set(log.numbers) <= events
    check_whole(log, events)
    assert last.hash in {record["hash"] for record in log.records}
    shim.calls = met
    return shim


def troubles(emitter: Emitter) -> str:
    health = emitter.health()
    return f"{health['sinks']['jsonl']['last_error']} {health['counters']} {health['notes']}"


def faults_of(kind: str, calls: int) -> Iterator[Fault]:
    kinds: tuple[int | str, ...] = ERRORS[kind]
    if kind == "write":
        kinds += SHORT
    for first in range(calls):
        for error in kinds:
            yield Fault(kind, first, error)
        yield Fault(kind, first, ERRORS[kind][0], 3)


def audit_all(scene: Scene, directory: Path, durability: Durability, kind: str) -> None:
    calls = play(scene, directory / "sound" / "audit.jsonl", durability).calls[kind]
    failures = []
    runs = 0
    for fault in sampled(faults_of(kind, calls)):
        runs += 1
        place = directory / str(runs)
        try:
            shim = play(scene, place / "audit.jsonl", durability, fault)
            assert shim.hits or fault.first + fault.times > calls, "the fault was never met"
        except AssertionError as error:
            failures.append(f"{fault}: {str(error).splitlines()[0]}")
        shutil.rmtree(place, ignore_errors=True)
    assert not failures, f"{len(failures)} of {runs} runs:\n" + "\n".join(failures[:20])


FILE_KINDS = [kind for kind in ERRORS if kind not in {"pwritev", "fdatasync", "dup"}]


@pytest.mark.parametrize("kind", FILE_KINDS)
@pytest.mark.parametrize("scene", [steady, moved, torn])
def test_no_call_that_fails_costs_a_record(scene: Scene, kind: str, tmp_path: Path) -> None:
    audit_all(scene, tmp_path, "os", kind)


@pytest.mark.parametrize("durability", ["always", "group"])
def test_a_sync_that_fails_makes_the_records_be_written_again(
    durability: Durability, tmp_path: Path
) -> None:
    def synced(emitter: Emitter, path: Path, numbers: Iterator[int]) -> None:
        for _ in range(6):
            emit(emitter, numbers)
            emitter.flush()

    for kind in ("fdatasync", "write", "open", "rename", "close", "dup"):
        place = tmp_path / kind
        place.mkdir()
        audit_all(synced, place, durability, kind)


SECOND = [
    (Fault("write", k, "half"), Fault("write", k + 1, error), Fault("ftruncate", 0, cut))
    for k in range(8)
    for error in (28, 5)
    for cut in (5, 30)
]


@pytest.mark.parametrize("faults", SECOND, ids=str)
def test_a_line_that_cannot_be_taken_back_is_declared(
    faults: tuple[Fault, ...], tmp_path: Path
) -> None:
    shim = play(steady, tmp_path / "audit.jsonl", "os", *faults)
    assert shim.hits == 3
    log = Log(tmp_path)
    assert len(log.of("audit.recovered")) == 1


def test_a_disk_that_fails_for_long_costs_no_record(tmp_path: Path) -> None:
    for index, kind in enumerate(FILE_KINDS):
        path = tmp_path / str(index) / "audit.jsonl"
        play(steady, path, "os", Fault(kind, 2, ERRORS[kind][0], 10_000))


def test_strict_raises_or_the_record_is_in_the_file(tmp_path: Path) -> None:
    def strictly(emitter: Emitter, path: Path, numbers: Iterator[int]) -> None:
        for _ in range(6):
            number = next(numbers)
            try:
                receipt = emitter.emit_strict(None, "fault.strict", {"n": number})
            except AuditError:
                # Refused, so the caller acts as if it had not happened.
                emitter.emit(None, "fault.refused", {"n": number})
                continue
            assert f'"hash":"{receipt.hash}"' in "".join(p.read_text() for p in files(path))

    def files(path: Path) -> list[Path]:
        return list(path.parent.glob("audit*.jsonl"))

    for kind in ("write", "open", "flock", "fstat", "lseek"):
        place = tmp_path / kind
        place.mkdir()
        audit_all(strictly, place, "os", kind)


@pytest.mark.parametrize("kind", ["pwritev", "write", "fstat"])
def test_no_line_of_stdout_is_glued_or_lost_without_a_word(kind: str, tmp_path: Path) -> None:
    events = 8
    sound = read_stdout(tmp_path / "sound", events).calls[kind]
    for index, fault in enumerate(faults_of(kind, max(sound, events))):
        if kind != "write":
            read_stdout(tmp_path / str(index), events, fault)


def read_stdout(directory: Path, events: int, *faults: Fault) -> FaultyOS:
    """Emit to a pipe in the place of stdout; every line of it is one whole record."""
    shim = FaultyOS(*faults)
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    try:
        emitter = make(directory / "audit.jsonl")
        emitter.outbox.mirrored.mirror = mirror = StdoutMirror(4096, write_end)
        with shim.installed():
            for number in range(events):
                emitter.emit(None, "fault.event", {"n": number})
            shim.heal()
            emitter.emit(None, "fault.over", {"n": events})
            assert emitter.flush(PATIENCE)
            emitter.close()
            shown = os.read(read_end, 1 << 16)
            mirror.close()
    finally:
        os.close(read_end)
        os.close(write_end)
    log = Log(directory).check()
    assert sorted(log.numbers) == list(range(events + 1))
    lines = shown.splitlines(keepends=True)
    assert all(line.startswith(PREFIX) and line.endswith(b"}\n") for line in lines), shown
    kept = {PREFIX + line.raw for file in log.files for line in file.lines}
    chained = {line for line in lines if b',"hash":"' in line}
    assert chained <= kept
    ids = {record["id"] for record in log.records}
    assert all(json.loads(line[len(PREFIX) :])["id"] in ids for line in lines)
    assert len(kept - chained) <= log.declared_lost("stdout")
    return shim
