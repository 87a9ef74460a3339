"""Signing a log of a million records, and what signing costs the events that are logged."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from statistics import median

from bench.bench_latency import p50
from bench.bench_startup import grow
from bench.chain import check
from bench.figure import Figure
from bench.process import Worker, busy, drained, in_turns

from audit_emit._checkpoints.checkpointer import Checkpointer
from audit_emit._signing.trusted_keys import HmacKey, KeyRing

KEY = "5e" * 32
RECORD_BYTES = 606
NEW = 100


def signer(path: Path) -> Checkpointer:
    """One that tells nobody."""
    ring = KeyRing([HmacKey(bytes.fromhex(KEY))])
    return Checkpointer(str(path), ring, origin="bench", record=lambda *_: None)


def hashed(path: Path) -> float:
    """Seconds to read the file and hash it, for comparison."""
    begin = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.perf_counter() - begin


def signed(path: Path) -> tuple[float, float, int]:
    """Seconds for one checkpoint, those of the processor, and the records that it covers."""
    begin, busy = time.perf_counter(), time.process_time()
    made = signer(path).run("manual")
    busy = time.process_time() - busy
    return time.perf_counter() - begin, busy, made.head_seq if made else 0


def appended(directory: Path, path: Path) -> None:
    """A hundred events more, by a process of its own."""
    with drained() as out, Worker("audit_emit", directory, out, BENCH_MAX_BYTES=str(1 << 33)) as w:
        w.do(f"burst {NEW}")
        w.do("settle")
    assert path.exists()


def measure_signing(directory: Path, *, quick: bool) -> list[Figure]:
    """A checkpoint over everything, then some over little."""
    wanted = 100_000 if quick else 1_000_000
    path = directory / "audit.jsonl"
    count = grow(path, wanted * RECORD_BYTES)
    reading = hashed(path)
    whole, busy, size = signed(path)
    per_million = whole * 1e6 / count
    taken = []
    for _ in range(3 if quick else 7):
        appended(directory, path)
        seconds, _, after = signed(path)
        sound_step = after >= size + NEW
        size = after
        taken.append(seconds * 1e3 if sound_step else float("inf"))
    sound = size >= count + NEW * len(taken)
    path.unlink()
    return [
        Figure(
            name="checkpoint over 1,000,000 new records",
            value=per_million,
            limit=3.0,
            unit=" s",
            sound=sound,
            note=f"{count:,} records in {whole:.2f} s, {busy:.2f} s of the processor; "
            f"SHA-256 of the file {reading:.2f} s",
        ),
        Figure(
            name=f"checkpoint over {NEW} new records on a log of {count:,}",
            value=median(taken),
            limit=50.0,
            unit=" ms",
            sound=sound,
            note=f"slowest {max(taken):.1f} ms, synced",
            detail={"runs": taken},
        ),
    ]


def measure_emit(directory: Path, *, quick: bool) -> list[Figure]:
    """The time of a call with and without checkpoints, in rounds that alternate."""
    rounds, calls = (5, 5000) if quick else (21, 20_000)
    places = {name: directory / name for name in ("off", "on")}
    for place in places.values():
        place.mkdir()
    with (
        busy() as out,
        busy() as other,
        Worker("audit_emit", places["off"], out) as off,
        Worker("audit_emit", places["on"], other, BENCH_SIGNING_KEY=KEY) as on,
    ):
        taken = in_turns({"off": off, "on": on}, rounds, calls)
    pairs = list(zip(taken["off"], taken["on"], strict=True))
    lines = (places["on"] / "checkpoints.jsonl").read_bytes().count(b"\n")
    found = [check(place) for place in places.values()]
    sound = not any(each.damage for each in found) and lines > 0
    without, with_them = (p50([pair[i] for pair in pairs]) / 1e3 for i in (0, 1))
    return [
        Figure(
            name="p50 of emit with checkpoints / without",
            value=median(on["p50"] / off["p50"] for off, on in pairs),
            limit=1.05,
            sound=sound,
            note=f"{with_them:.1f} / {without:.1f} µs, {lines} checkpoints meanwhile",
            detail={"rounds": pairs},
        )
    ]


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """All three."""
    return measure_signing(directory, quick=quick) + measure_emit(directory, quick=quick)
