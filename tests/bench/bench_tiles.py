"""Proofs from hash tiles in one process, and what tiles cost: bytes, and time to build them."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.bench_checkpoint import KEY, RECORD_BYTES, signer
from bench.bench_startup import grow
from bench.figure import Figure

from audit_emit._checkpoints.build_tiles import build
from audit_emit._checkpoints.tiles import Store, Tiles
from audit_emit._format.checkpoint import Checkpoint, sign
from audit_emit._readers.opening import open_reader
from audit_emit._signing.trusted_keys import HmacKey, KeyRing
from audit_emit._verify.verify import Options, verify_paths
from audit_emit.log import open_log

RING = KeyRing([HmacKey(bytes.fromhex(KEY))])
SECONDS, SHARE, BUILT, CONSISTENT = 0.1, 8.0, 1.2, 2.0
ROUNDS = 5


def size_of(directory: Path) -> int:
    """Bytes of the files below it."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def busy(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor that a call takes in this process, and how many for the system."""
    begin = os.times()
    work()
    end = os.times()
    system = end.system - begin.system
    return end.user - begin.user + system, system


def wall(work: Callable[[], object]) -> float:
    """Seconds on the clock."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def built(directory: Path) -> None:
    """All tiles of a log that has none."""
    with open_reader(str(directory)) as reader:
        assert not build(reader, RING).wrong


def signed_earlier(directory: Path, size: int) -> None:
    """Put a checkpoint of fewer records before the one that is there."""
    path = directory / "checkpoints.jsonl"
    line = path.read_bytes()
    newest = Checkpoint.from_line(line)
    made = sign(
        RING.keys[0],
        at=newest.at,
        origin=newest.origin,
        chain=newest.chain,
        size=size,
        head_hash=newest.head_hash,
        root=Tiles(Store(str(directory))).root(0, size),
        reason="manual",
    )
    path.write_bytes(made.to_line() + line)


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Each pair side by side, in turns; the best of several."""
    records, rounds = (200_000, 2) if quick else (5_000_000, ROUNDS)
    path = directory / "audit.jsonl"
    count = grow(path, records * RECORD_BYTES)
    signer(path).run("manual")
    pairs = []
    for number in range(max(2, rounds // 2)):
        # Not deleted: ext4 takes long to find an inode where many were given back just now.
        (directory / "tile").rename(directory / f"before-{number}")
        mine = busy(lambda: built(directory))
        pairs.append((mine, busy(lambda: verify_paths([str(path)], Options(ring=RING)))))
    older = count // 2
    signed_earlier(directory, older)
    log = open_log(str(path), keys=[KEY])
    log.prove(1)
    included, consistent = [], []
    for number in range(rounds * 4):
        seq = 1 + number * (count - 1) // (rounds * 4)
        included.append(wall(lambda seq=seq: log.prove(seq)))  # type: ignore[misc]
        consistent.append(wall(lambda: log.prove_consistency(older, count)))
    share = 100 * size_of(directory / "tile") / path.stat().st_size
    (build_time, system_time), (verify_time, _) = (min(side) for side in zip(*pairs, strict=True))
    shutil.rmtree(directory)
    directory.mkdir()
    return [
        Figure(
            f"proof from tiles on {count:,} records, in process",
            max(included),
            SECONDS,
            " s",
            note=f"the slowest of {len(included)}, median {median(included) * 1e3:.1f} ms",
            detail={"seconds": included},
        ),
        Figure("tiles / log, bytes", share, SHARE, " %", note=f"{RECORD_BYTES} bytes a record"),
        Figure(
            "building tiles / verify of the same log, processor time",
            build_time / verify_time,
            BUILT,
            note=f"{build_time:.1f} s / {verify_time:.1f} s, one process each; "
            f"of the first {system_time:.1f} s for the system to make {count // 256:,} files",
            detail={"pairs": pairs},
        ),
        Figure(
            "consistency proof / inclusion proof, time",
            median(consistent) / median(included),
            CONSISTENT,
            note=f"median {median(consistent) * 1e3:.1f} ms",
            detail={"seconds": consistent},
        ),
    ]
