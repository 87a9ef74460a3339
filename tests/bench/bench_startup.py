"""The first emit of a process whose log already holds a gigabyte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from bench.chain import TAIL, ZEROS, body_hash
from bench.event import full_record, variants
from bench.figure import Figure
from bench.process import Worker, drained

CHUNK = 1 << 20
END = 64 * 1024


def grow(path: Path, size: int, events: Sequence[dict[str, Any]] = ()) -> int:
    """Write a valid chain of at least ``size`` bytes; the number of its records."""
    encode = msgspec.json.Encoder().encode
    heads = [encode(full_record(each)).partition(b'"seq":')[0] for each in events or variants()]
    sha256 = hashlib.sha256
    seq, head, written, chunk = 0, ZEROS.encode(), 0, bytearray()
    with path.open("wb") as log:
        for prefix in cycle(heads):
            seq += 1
            open_body = b'%s"seq":%d,"prev_hash":"%s"' % (prefix, seq, head)
            head = sha256(b"\0" + open_body + b"}").hexdigest().encode()
            chunk += b'%s,"hash":"%s"}\n' % (open_body, head)
            if len(chunk) >= CHUNK:
                written += log.write(chunk)
                chunk.clear()
                if written >= size:
                    break
        log.flush()
        os.fsync(log.fileno())
    return seq


def forget(path: Path) -> None:
    """Drop the file from the page cache where the system lets us."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as log:
            os.posix_fadvise(log.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def last_lines(path: Path) -> Iterator[bytes]:
    """The whole lines in the last 64 KiB."""
    with path.open("rb") as log:
        log.seek(-END, os.SEEK_END)
        log.readline()
        yield from log


def end_is_linked(path: Path) -> bool:
    """Whether the records at the end of the file are a chain."""
    head = None
    for line in last_lines(path):
        record = msgspec.json.decode(line)
        if head not in (None, record["prev_hash"]) or body_hash(line[:-1]) != record["hash"]:
            return False
        head = record["hash"]
    return head is not None and len(head) + len(',"hash":""}') == TAIL


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Opening plus the first call, on a file that is not in memory."""
    size, runs = (1 << 26, 5) if quick else (1 << 30, 21)
    path = directory / "audit.jsonl"
    before = grow(path, size)
    size = path.stat().st_size
    taken = []
    for _ in range(runs):
        forget(path)
        # Beyond the file's size, so that the first call does not begin with a rotation.
        options = {"BENCH_MAX_BYTES": str(1 << 32)}
        with drained() as out, Worker("audit_emit", directory, out, **options) as worker:
            taken.append((worker.open_ns + worker.do("round 1")["max"]) / 1e6)
    grown = sum(b'"event_type":"audit.' not in line for line in last_lines(path))
    sound = end_is_linked(path) and path.stat().st_size > size and grown > runs
    path.unlink()
    return [
        Figure(
            name=f"first emit on a log of {size / 1e9:.2g} GB",
            value=median(taken),
            limit=20.0,
            unit=" ms",
            sound=sound,
            note=f"{before:,} records, opening included, slowest {max(taken):.1f} ms",
            detail={"runs": taken},
        )
    ]
