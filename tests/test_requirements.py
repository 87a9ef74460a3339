"""What the tests of this repository do where a program that they need is not installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import requirements


@pytest.mark.parametrize(
    ("given", "required"),
    [
        ("", False),
        ("nginx", True),
        ("strace, nginx", True),
        ("nginx-light", False),
        ("all", True),
        ("all,-nginx", False),
        ("all,-vector", True),
        ("-nginx,nginx", False),
    ],
)
def test_the_variable_says_what_must_be_there(given: str, required: bool) -> None:
    assert requirements.is_required("nginx", given) is required


@pytest.mark.parametrize(
    ("given", "outcome"), [("", pytest.skip.Exception), ("all", pytest.fail.Exception)]
)
def test_what_is_missing_is_a_failure_where_it_must_be_there(
    given: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "_GIVEN", given)
    with pytest.raises(outcome, match="no program that-is-nowhere"):
        requirements.program("that-is-nowhere")
    with pytest.raises(outcome, match="that-is-nowhere is not installed"):
        requirements.package("that-is-nowhere")


def test_the_readme_of_the_shared_code_names_modules_that_are_there() -> None:
    folder = Path(requirements.__file__).parent
    named = re.findall(r"`(\w+\.py)`", (folder / "README.md").read_text("utf-8"))
    assert len(named) > 20
    assert set(named) <= {path.name for path in folder.glob("*.py")}
