"""What archiving costs beyond packing, hashing and one upload; and verifying through a store.

A million records go out and come back, and their bytes are compared.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

from bench.bench_checkpoint import KEY, RECORD_BYTES, signer
from bench.bench_startup import grow
from bench.bench_verify import CLI, Run, timed
from bench.figure import Figure
from support.object_store import Store, running_store

from audit_emit._archive.journal import Journal
from audit_emit._archive.packing import Packer
from audit_emit._archive.puts import Puts
from audit_emit._archive.run import Archiver
from audit_emit._archive.sources import Segments, data_of
from audit_emit._readers.files.opening import readers_of
from audit_emit._signing.trusted_keys import HmacKey, KeyRing

RATIO = 1.5
MEMORY_MB = 128.0
SEGMENT = 64 * 1024 * 1024
PROGRAM = (sys.executable, "-c", CLI)
_NUMBERS = itertools.count(1)


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Archive, verify from the store and from the disk, restore."""
    segments = 2 if quick else 10
    log = directory / "log"
    log.mkdir()
    records = _log(log, segments)
    signer(log / "audit.jsonl").run("manual")
    with running_store() as server:
        store = server.bucket()
        given = {**store.environment(), "AUDIT_EMIT_SIGNING_KEY": KEY}
        os.environ.update(given)
        command = ["env", *(f"{name}={value}" for name, value in given.items()), *PROGRAM]
        ran = _timed(command, "archive", "run", str(log))
        where = f"s3://{store.name}/audit"
        disk = _packed(log, directory / "disk")
        pairs = [
            (_timed(command, "verify", where), _timed(command, "verify", str(disk)))
            for _ in range(2 if quick else 3)
        ]
        half = _timed(command, "verify", str(_half(log, directory / "half")), where)
        restored = directory / "restored"
        back = _timed(command, "archive", "restore", str(restored))
        checked = _timed(command, "archive", "verify", status=4)
        same = _digests(restored) == _digests(log)
        cost = _cost(log, store, times=3 if quick else 9)
    ratio = median(far.wall / near.wall for far, near in pairs)
    far, near = (median(run.wall for run in runs) for runs in zip(*pairs, strict=True))
    whole = {"run": ran, "restore": back, "archive verify": checked, "verify": pairs[0][0]}
    whole["verify of both"] = half
    most = max(whole, key=lambda name: whole[name].memory)
    shutil.rmtree(directory / "restored")
    shutil.rmtree(disk)
    shutil.rmtree(directory / "half")
    shutil.rmtree(log)
    return [
        cost,
        Figure(
            "verify through S3 / of the same .zst on disk",
            ratio,
            RATIO,
            note=f"{far:.2f} s and {near:.2f} s for {records:,} records; "
            f"one half on the disk, one in the store: {half.wall:.2f} s",
        ),
        Figure(
            "memory of run, verify, restore",
            whole[most].memory,
            MEMORY_MB,
            " MB",
            note=f"the most has {most}",
        ),
        Figure(
            f"{records:,} records out and back",
            back.wall,
            600.0,
            " s",
            sound=same,
            note=f"restored, every byte compared; archived in {ran.wall:.1f} s",
        ),
    ]


def _log(directory: Path, segments: int) -> int:
    """Closed segments of 64 MiB, and an active one; the number of records."""
    whole = directory / "whole"
    count = grow(whole, segments * SEGMENT + SEGMENT // 8)
    seq = 0
    with whole.open("rb") as file:
        for _ in range(segments):
            with (directory / f"audit-{seq + 1:020d}.jsonl").open("wb") as segment:
                while segment.tell() < SEGMENT - RECORD_BYTES:
                    segment.write(file.readline())
                    seq += 1
        with (directory / "audit.jsonl").open("wb") as segment:
            shutil.copyfileobj(file, segment)
    whole.unlink()
    return count


def _cost(log: Path, store: Store, times: int) -> Figure:
    """Processor time to archive one segment, and to pack, hash and upload it, the best of rounds.

    What the store is asked afterwards, whether it has everything, is not counted.
    """
    one = log.parent / "one"
    one.mkdir()
    first, following, *_ = sorted(log.glob("audit-*.jsonl"))
    os.link(first, one / first.name)
    with following.open("rb") as file:
        (one / "audit.jsonl").write_bytes(b"".join(itertools.islice(file, 100)))
    signer(one / "audit.jsonl").run("manual")
    rounds = [(_bare(one / first.name, store), _archived(one, store)) for _ in range(times)]
    shutil.rmtree(one)
    least, whole = (min(took.processor for took in each) for each in zip(*rounds, strict=True))
    near, far = (min(took.wall for took in each) for each in zip(*rounds, strict=True))
    note = f"{whole:.2f} and {least:.2f} s for {SEGMENT >> 20} MiB; by the clock {far / near:.2f}"
    return Figure("archive of a segment / zstd, SHA-256, one PUT", whole / least, RATIO, note=note)


class Took(NamedTuple):
    """Seconds."""

    processor: float
    wall: float

    @classmethod
    def now(cls) -> Took:
        return cls(time.process_time(), time.perf_counter())

    def since(self, begin: Took) -> Took:
        return Took(self.processor - begin.processor, self.wall - begin.wall)


def _bare(path: Path, store: Store) -> Took:
    (reader,) = readers_of([str(path), str(path.parent / "checkpoints.jsonl")])
    with reader, store.opened(prefix=f"bare-{next(_NUMBERS)}") as bucket:
        list(bucket.names())  # boto3 loads what it needs with the first request
        begin = Took.now()
        with Packer("zst") as packer:
            for data in data_of(reader.files[0]):
                packer.add(data)
            sizes = packer.end()
            bucket.put("object", packer.file, sizes.packed_sha256)
        return Took.now().since(begin)


def _archived(directory: Path, store: Store) -> Took:
    journal = directory / "archive.jsonl"
    journal.unlink(missing_ok=True)
    ring = KeyRing([HmacKey(bytes.fromhex(KEY))])
    with (
        store.opened(prefix=f"whole-{next(_NUMBERS)}") as bucket,
        readers_of([str(directory)])[0] as reader,
        Journal(str(journal), bucket.settings.shown) as kept,
    ):
        source = Segments(reader, str(directory / "audit.jsonl"))
        archiver = Archiver(bucket, source, ring, kept, lambda *_: None)
        list(bucket.names())
        with _confirmations() as asked:
            begin = Took.now()
            done = archiver.run()
            took = Took.now().since(begin)
    if len(done.made) != 1:
        raise RuntimeError(f"{len(done.made)} segments were archived: {done.waiting}")
    for each in asked:
        took = took.since(each)
    return took


@contextmanager
def _confirmations() -> Iterator[list[Took]]:
    """What each confirmation takes."""
    found: list[Took] = []
    confirm = Puts.confirm

    def counted(*arguments: Any) -> None:
        begin = Took.now()
        confirm(*arguments)
        found.append(Took.now().since(begin))

    with patch.object(Puts, "confirm", counted):
        yield found


def _half(log: Path, target: Path) -> Path:
    """The same log without the older half of its segments."""
    target.mkdir()
    segments = sorted(log.glob("audit-*.jsonl"))
    for path in segments[len(segments) // 2 :]:
        os.link(path, target / path.name)
    for name in ("audit.jsonl", "checkpoints.jsonl"):
        shutil.copy(log / name, target)
    return target


def _packed(log: Path, target: Path) -> Path:
    """The same log with packed segments, as far as it is archived."""
    target.mkdir()
    for path in sorted(log.glob("audit-*.jsonl")):
        (reader,) = readers_of([str(path), str(log / "checkpoints.jsonl")])
        with reader, Packer("zst") as packer:
            for data in data_of(reader.files[0]):
                packer.add(data)
            packer.end()
            with (target / f"{path.name}.zst").open("wb") as file:
                shutil.copyfileobj(packer.file, file)
    for name in ("audit.jsonl", "checkpoints.jsonl"):
        shutil.copy(log / name, target)
    return target


def _digests(directory: Path) -> dict[str, str]:
    found = {}
    for path in sorted(directory.glob("audit-*.jsonl")):
        with path.open("rb") as file:
            found[path.name] = file_digest(file, "sha256").hexdigest()
    return found


def _timed(command: list[str], *words: str, status: int = 0) -> Run:
    return timed([*command, *words], cores=2, status=status)
