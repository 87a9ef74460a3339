"""One test for many cases, where each is a line of data: a failure tells all that do not hold.

``pytest.mark.parametrize`` makes a test of each case. That is worth it where a case is to be run by
itself; for thousands of short ones it takes ten times as long as what they ask.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["for_each"]

Test = Callable[..., Any]

_MOST_TOLD = 20


def for_each(
    names: str, cases: Iterable[Any]
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Decorate a test that takes a case as its argument, or as its arguments.

    Args:
        names: of the arguments, with commas between them.
        cases: a value for each, or tuples of values. What is a ``pytest.param`` counts, too.
    """
    arguments = [name.strip() for name in names.split(",")]
    made = [_values(case, len(arguments)) for case in cases]

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def of_all(**fixtures: Any) -> None:
            failed: list[Exception] = []
            for values in made:
                try:
                    test(**fixtures, **dict(zip(arguments, values, strict=True)))
                except Exception as error:
                    error.add_note(f"for {', '.join(map(repr, values))[:2000]}")
                    failed.append(error)
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(made)} cases", failed[:_MOST_TOLD])
            assert made, "there are no cases"

        signature = inspect.signature(test)
        left = [one for name, one in signature.parameters.items() if name not in arguments]
        of_all.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return of_all

    return decorate


def _values(case: Any, count: int) -> tuple[Any, ...]:
    if type(case).__name__ == "ParameterSet":
        return tuple(case.values)
    return (case,) if count == 1 else tuple(case)
