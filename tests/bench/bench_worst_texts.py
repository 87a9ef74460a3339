"""The text of 8 KiB that takes the rules longest, as many times a harmless one of its length."""

from __future__ import annotations

from pathlib import Path

from bench.figure import Figure
from hypothesis import HealthCheck, Phase, example, given, settings, target
from hypothesis import strategies as st
from support.slow_texts import BETWEEN, SLOW_ONCE, WORDS, ratio, repeated

MOST = 20
FRAGMENTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(BETWEEN), min_size=1, max_size=8)


def measure(_directory: Path, *, quick: bool) -> list[Figure]:
    """Hunt for it: Hypothesis changes what was slow for what is slower. Prints the text."""
    worst = (0.0, "")

    @settings(
        max_examples=100 if quick else 5000,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.target],
        suppress_health_check=list(HealthCheck),
    )
    @given(FRAGMENTS, FRAGMENTS)
    def hunt(head: list[str], rest: list[str]) -> None:
        nonlocal worst
        text = repeated(rest, "".join(head))
        found = ratio(text, max(MOST, worst[0]))
        target(found)
        worst = max(worst, (found, text))

    for fragment in SLOW_ONCE:
        hunt = example([], [fragment])(hunt)
    hunt()
    found, text = worst
    print(f"the worst text begins with {text[:400]!r}")
    return [Figure("slowest text of 8 KiB / a harmless one", found, MOST, note=repr(text[:60]))]
