"""The benchmarks measure what they say."""

from __future__ import annotations

import sys

import pytest
from bench.bench_verify import timed

HELD = 100


@pytest.mark.parametrize(("held", "least", "most"), [(0, 0, HELD), (HELD, HELD, 2 * HELD)])
def test_the_memory_of_a_command_is_its_own_and_not_that_of_who_starts_it(
    held: int, least: float, most: float
) -> None:
    ours = b"1" * (HELD << 20)
    run = timed([sys.executable, "-c", f"b'1' * ({held} << 20)"], cores=1)
    assert least < run.memory < most
    assert len(ours) == HELD << 20
