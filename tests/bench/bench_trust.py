"""What an event costs while its log is signed by a slow key service, beside one that is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.chain import check
from bench.figure import Figure
from bench.process import Worker, busy, environment

SLOW_SECONDS = 0.25
LIMIT = 1.05


@contextmanager
def slow_kms() -> Iterator[dict[str, str]]:
    """A key service that takes its time; what a worker needs to sign with it."""
    command = [sys.executable, "-Pm", "bench.slow_kms", str(SLOW_SECONDS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as server:
        assert server.stdout is not None
        parameters, address = server.stdout.readline().decode().split()
        yield {
            "BENCH_SIGNING_KEY": f"vault:audit?{parameters}",
            "VAULT_ADDR": address,
            "VAULT_TOKEN": "of-the-benchmark",
        }
        server.kill()


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Rounds that alternate; each is compared with the one beside it."""
    rounds, calls = (5, 5000) if quick else (21, 20_000)
    places = {name: directory / name for name in ("off", "on")}
    for place in places.values():
        place.mkdir()
    with (
        slow_kms() as trusted,
        busy() as out,
        busy() as other,
        Worker("audit_emit", places["off"], out) as off,
        Worker("audit_emit", places["on"], other, **trusted) as on,
    ):
        pairs = []
        for number in range(rounds + 1):
            pair = []
            for worker in (off, on):
                pair.append(worker.do(f"round {calls}"))
                worker.do("settle")
            if number:  # the first round warms up
                pairs.append(pair)
    lines = (places["on"] / "checkpoints.jsonl").read_bytes().count(b"\n")
    sound = lines > 0 and not any(check(place).damage for place in places.values())
    return [
        Figure(
            name=f"{share} of emit, signed by a slow key service / not signed",
            value=median(on[share] / off[share] for off, on in pairs),
            limit=LIMIT,
            sound=sound,
            note=f"{median(on[share] for _, on in pairs) / 1e3:.1f} / "
            f"{median(off[share] for off, _ in pairs) / 1e3:.1f} µs; {lines} checkpoints "
            f"meanwhile, {SLOW_SECONDS:g} s a signature",
            detail={"rounds": pairs},
        )
        for share in ("p50", "p99")
    ]
