"""What an event costs while a slow key service signs its log, beside one that nobody signs.

A witness and an anchor are as slow; another anchor is a file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.chain import check
from bench.figure import Figure
from bench.process import Worker, busy, environment, in_turns

from audit_emit._checkpoints.witnessing.kept import Kept
from audit_emit._signing.cosigners import Cosigner
from audit_emit._signing.trusted_keys import Ed25519Key

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


@contextmanager
def witnessed(place: Path, address: str) -> Iterator[None]:
    """Have the log in a directory ask a witness that is as slow."""
    witness = Cosigner.of_pair("w.example.com", Ed25519Key.from_seed(bytes([1]) * 32))
    kept = Kept(str(place))
    kept.add("w1", witness.to_vkey(), address)
    yield
    assert kept.attempts(), "the witness was asked"


def measure(directory: Path, *, quick: bool) -> list[Figure]:
    """Rounds that alternate; each is compared with the one beside it, and so is one like that."""
    rounds, calls = (9, 20_000) if quick else (21, 20_000)
    places = {name: directory / name for name in ("off", "control", "on")}
    kept = directory / "anchored.jsonl"
    with ExitStack() as stack:
        trusted = stack.enter_context(slow_kms())
        workers = {}
        for name, place in places.items():
            place.mkdir()
            anchors = {"AUDIT_EMIT_ANCHORS": f"{trusted['VAULT_ADDR']}/anchor file:{kept}"}
            options = {**trusted, **anchors} if name == "on" else {}
            out = stack.enter_context(busy())
            workers[name] = stack.enter_context(Worker("audit_emit", place, out, **options))
        stack.enter_context(witnessed(places["on"], trusted["VAULT_ADDR"]))
        taken = in_turns(workers, rounds, calls)
    lines = (places["on"] / "checkpoints.jsonl").read_bytes().count(b"\n")
    sound = (
        lines > 0 and kept.exists() and not any(check(place).damage for place in places.values())
    )
    return [
        Figure(
            name=f"{share} of emit, with a slow key service, witness and anchor / not signed",
            value=ratio(taken["on"], taken["off"], share),
            limit=LIMIT,
            sound=sound,
            note=f"another that is not signed: {ratio(taken['control'], taken['off'], share):.2f}; "
            f"{lines} checkpoints meanwhile, {SLOW_SECONDS:g} s a signature",
            detail={"rounds": taken},
        )
        for share in ("p50", "p99")
    ]


def ratio(one: list[dict[str, float]], other: list[dict[str, float]], share: str) -> float:
    """Round by round, so that what slows the whole machine for a while cancels out."""
    return median(a[share] / b[share] for a, b in zip(one, other, strict=True))
