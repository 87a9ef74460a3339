"""Whether this Python can be tested with allocations that fail.

``_testcapi.set_nomemory`` makes them fail. Some releases (3.12.1, 3.13.0) crash where there is no
memory for a generator, in code of nobody's but theirs: there, such a test says nothing.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import cache

import pytest
from support.waiting import PATIENCE

_GENERATORS = """
import _testcapi

def numbers():
    yield 1

def work():
    return any(number < 0 for number in numbers())

work()
for place in range(1, 40):
    for row in (1, 2, 3):
        _testcapi.set_nomemory(place, place + row)
        try:
            work()
        except MemoryError:
            pass
        finally:
            _testcapi.remove_mem_hooks()
"""


@cache
def _crashes() -> bool:
    command = [sys.executable, "-c", _GENERATORS]
    return (
        subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE).returncode != 0
    )


def need_failing_allocations() -> None:
    """Skip the test where allocations cannot be made to fail, or the interpreter crashes."""
    if importlib.util.find_spec("_testcapi") is None:
        pytest.skip("this Python cannot fail allocations")
    if _crashes():
        pytest.skip("this release of Python crashes where it has no memory for a generator")
