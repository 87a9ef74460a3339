"""What tests need that not every machine has: programs, servers, packages.

A test skips without one. ``AUDIT_EMIT_TEST_REQUIRE`` names those whose absence is a failure:
``postgres,strace``, or ``all``, or ``all,-vector`` for all but one.
"""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any, NoReturn

import pytest

VARIABLE = "AUDIT_EMIT_TEST_REQUIRE"
_GIVEN = os.environ.get(VARIABLE, "")  # read once: within a test there is no variable of ours


def is_required(name: str, given: str | None = None) -> bool:
    """Whether the absence of ``name`` is a failure."""
    words = {word.strip() for word in (_GIVEN if given is None else given).split(",")}
    return f"-{name}" not in words and bool({name, "all"} & words)


def missing(name: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where ``name`` must be there.

    Args:
        name: the program, the server or the package, as in the variable.
        reason: a sentence for people.
    """
    if is_required(name):
        pytest.fail(f"{reason}; {VARIABLE} says that {name} must be there", pytrace=False)
    pytest.skip(reason, allow_module_level=True)  # also where a module of tests is imported


def program(name: str, *others: str) -> str:
    """The path of a program, or of one that does the same."""
    for each in (name, *others):
        # Debian keeps servers where the path of an ordinary user does not lead.
        found = shutil.which(each) or shutil.which(each, path="/usr/sbin:/sbin")
        if found is not None:
            return found
    missing(name, f"no program {' or '.join((name, *others))} on the path")


def package(name: str, module: str | None = None) -> Any:
    """A package that only some tests use, by the name of its distribution."""
    try:
        return importlib.import_module(module or name.replace("-", "_"))
    except ImportError:
        missing(name, f"{name} is not installed")
