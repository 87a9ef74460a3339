"""Looking for anomalies with the rules of the package, beside verifying the same log."""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from bench.bench_verify import CLI, timed, verify
from bench.chain import ZEROS
from bench.event import full_record
from bench.figure import Figure

LIMIT, LEAST, MEMORY = 7.0, 90_000, 64.0
BEGIN = 1_780_272_000
EVENTS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("http.request", 50, {"method": "GET", "path": "/v1/projects/17/members", "status": 200}),
    ("project.viewed", 14, {"project": "17", "section": "members"}),
    ("invoice.created", 8, {"number": "2026-4711", "total": 129.5, "currency": "EUR"}),
    ("secret.read", 8, {}),
    ("secret.set", 4, {"scope": "workspace", "value_hash": "3f8a1b2c"}),
    ("auth.login", 8, {"method": "password", "outcome": "success"}),
    ("auth.login_failed", 3, {"method": "password", "outcome": "failure"}),
    ("report.exported", 3, {"rows": 120}),
    ("draft.deleted", 1, {"draft": "7f2c"}),
    ("role.granted", 1, {"role": "editor", "target": "user_00000001"}),
)
"""Event types, how often of a hundred, and what they have besides an actor and an address."""


def events(count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of five thousand actors, each at one of two addresses, one a second.

    Some of them do much more than others.
    """
    draw = random.Random(18)
    types = draw.choices(EVENTS, [share for _, share, _ in EVENTS], k=4096)
    for number in range(count):
        event_type, _, fields = types[draw.getrandbits(12)]
        user = int(5000 * draw.random() ** 3)
        own: dict[str, Any] = {"client_ip": f"10.{user >> 8}.{user & 255}.{draw.getrandbits(1)}"}
        if event_type.startswith("secret."):
            own["key"] = f"SERVICE_{draw.getrandbits(8)}_API_KEY"
        yield (
            number,
            {
                **full_record({**fields, **own, "request": f"{draw.getrandbits(128):032x}"}),
                "event_type": event_type,
                "user_id": f"user_{user:08d}",
            },
        )


def grow(path: Path, count: int) -> None:
    """Write a valid chain of such records."""
    encode, sha256 = msgspec.json.Encoder().encode, hashlib.sha256
    head, chunk = ZEROS.encode(), bytearray()
    with path.open("wb") as log:
        for number, record in events(count):
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(BEGIN + number))
            record["ts"] = f"{at}.{number % 10**9:09d}Z"
            prefix = encode(record).partition(b'"seq":')[0]
            body = b'%s"seq":%d,"prev_hash":"%s"' % (prefix, number + 1, head)
            head = sha256(b"\0" + body + b"}").hexdigest().encode()
            chunk += b'%s,"hash":"%s"}\n' % (body, head)
            if len(chunk) > 1 << 20:
                log.write(chunk)
                chunk.clear()
        log.write(chunk)


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Best of several runs, taken in turn; the start of the interpreter counts."""
    count, runs = (200_000, 3) if quick else (1_000_000, 5)
    path = directory / "audit.jsonl"
    grow(path, count)
    command = [sys.executable, "-c", CLI, "anomalies", str(path), "--format", "jsonl"]
    bare = timed([sys.executable, "-c", CLI, "anomalies", "--list"], cores=1)
    verified, alone, both = [], [], []
    for _ in range(runs):
        verified.append(timed(verify(path, 1), cores=1))
        alone.append(timed([*command, "--no-verify"], cores=1, status=1))
        both.append(timed(command, cores=1, status=1))
    base, busy, all_of_it = (min(run.busy for run in each) for each in (verified, alone, both))
    size = path.stat().st_size / 1e6
    path.unlink()
    note = f"{busy:.2f} / {base:.2f} s of the processor, {size:.0f} MB; "
    return [
        Figure(
            f"the rules on {count:,} records / verify --jobs 1",
            busy / base,
            LIMIT,
            "x",
            note=f"{note}{all_of_it / base:.1f}x with what verify finds",
            detail={"verify": verified, "rules": alone, "both": both},
        ),
        Figure("… records a second of the processor", count / busy, LEAST, at_least=True),
        Figure(
            "… state: peak memory of the process beyond that of one that reads no log",
            max(run.memory for run in alone) - bare.memory,
            MEMORY,
            " MB",
            note=f"{max(run.memory for run in alone):.0f} MB as a whole",
        ),
    ]
