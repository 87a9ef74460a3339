from __future__ import annotations

import pytest

from audit_emit._redaction.linear import check


@pytest.mark.parametrize(
    "pattern",
    [
        r"acme_[a-z]{20,}",
        r"acme_[a-z]{20}(?![a-z])",
        r"(?<![a-z])ab[0-9]{1,64}-(?:x|y)[a-z]+={0,2}",
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
    ],
)
def test_a_pattern_that_can_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="can take too long"):
        check("x", pattern)
