from __future__ import annotations

import pytest

from audit_emit._redaction.linear import check


@pytest.mark.parametrize(
    "pattern",
    [
        r"acme_[a-z]{20,}",
        r"acme_[a-z]{20}(?![a-z])",
        r"(?<![a-z])ab[0-9]{1,64}-(?:x|y)[a-z]+={0,2}",
        r"ab(?:[a-z]{1,64}_)?(?:[a-z]{1,64}_)?(?:[a-z]{1,64}_)?[a-z]{9}",
        r"a{1,25}a{1,25}a{1,25}b",
    ],
)
def test_a_pattern_of_single_repetitions_is_taken(pattern: str) -> None:
    check("x", pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+b",
        r"(?:a*b?)*c",
        r"a+b",
        r"[a-z]*x",
        r"a{1,300}b",
        r"(a)\1",
        r"(?=a+b)a",
        r"(?:a{1,64}){1,64}b",
        r"(?:ab|a+)c",
        r"(?:a|aa){1,60}b",
        r"(?:(?:a|ab)b){1,60}c",
        r"(?:a|aa)?(?:a|aa)?(?:a|aa)?(?:a|aa)?(?:a|aa)?(?:a|aa)?b",
        r"a{1,60}a{1,60}a{1,60}b",
        r"(?i)a{1,60}A{1,60}a{1,60}b",
        "\u00f6{1,60}\u00f6\u00f6{1,60}\u00f6\u00f6{1,60}b",
        r"a{1,99}(?=a{1,50}a{1,50}b)",
        r"(?:a{1,30}b?){1}(?:a{1,30}b?){1}a{1,9}c",
    ],
)
def test_a_pattern_that_can_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="can take too long"):
        check("x", pattern)
