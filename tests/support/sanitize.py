"""``make sanitize``: the compiled part under AddressSanitizer and UBSan, and a search for leaks.

The package is copied and its C compiled with both sanitizers, so that the one in use stays as it
is. Then the tests of the compiled part run on the copy, and what it allocates is counted over many
calls: it must stay the same.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = [
    "tests/fields/test_plain.py",
    "tests/stores/jsonl/test_compiled_append.py",
    "tests/readers/postgres/test_copies.py",
    "tests/verify/test_verifier.py",
    "tests/format/test_block.py",
    "tests/format/test_merkle_ranges.py",
]
UNSUITED = "not memory and not greenlets and not clock_that_stands"
"""Tests that count memory, or load a library of their own before all others, mean nothing here."""

FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-fno-omit-frame-pointer", "-fPIC", "-shared"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
CALLS = 2000
ROUNDS = 5


def compiled(place: Path) -> None:
    """Copy the package, and compile its C with the sanitizers."""
    package = place / "audit_emit"
    shutil.copytree(ROOT / "audit_emit", package, ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    compiler = os.environ.get("CC", "cc")
    sources = sorted(map(str, package.glob("_native/*.c")))
    include = f"-I{sysconfig.get_path('include')}"
    target = package / f"_speedups{sysconfig.get_config_var('EXT_SUFFIX')}"
    made_of = runpy.run_path(str(ROOT / "hatch_build.py"))["sources_flag"](package)
    command = [compiler, *FLAGS, made_of, *SANITIZERS, include, *sources, "-o", str(target)]
    subprocess.run(command, check=True)


def sanitized(place: Path) -> int:
    """Run the tests on the copy; the exit status."""
    compiler = os.environ.get("CC", "cc")
    libraries = [
        subprocess.run(
            [compiler, f"-print-file-name=lib{name}.so"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(place),
        "PYTHONSAFEPATH": "1",  # the directory that this is run in has a copy, too
        "LD_PRELOAD": " ".join(libraries),
        # The interpreter leaves much of its memory to the end of the process.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", UNSUITED]
    where = "import audit_emit._speedups as part; print(part.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], check=True, capture_output=True, text=True, env=environment
    )
    assert found.stdout.startswith(str(place)), found.stdout
    print("the tests of the compiled part, with AddressSanitizer and UBSan", flush=True)
    return subprocess.run([*command, *TESTS], env=environment, check=False, cwd=ROOT).returncode


def leaking() -> list[str]:
    """The cases of the tests in which a call keeps memory."""
    sys.path.insert(0, str(ROOT / "tests"))
    from fields.test_plain import LEFT, SHOWN, made

    from audit_emit import Emitter

    plain = made("compiled")
    cases: list[Any] = [*SHOWN, *LEFT, {"password": "x"}, {"a": {"old": "token", "b": "ü"}}]
    found = [
        f"encode_plain: {case!r:.60}"
        for case in cases
        if grows(partial(plain.encode, case, secret_event=False))
    ]
    with tempfile.TemporaryDirectory() as scratch:
        emitter = Emitter(
            service="leaks", jsonl=f"{scratch}/audit.jsonl", stdout=False, durability="os"
        )
        found += [
            f"emit: {case!r:.60}"
            for case in ({"n": 1}, {"password": "x"}, {"a": [1, {"b": "ü"}]})
            if grows(partial(emitter.emit, None, "a.b", case))
        ]
        emitter.close()
    return found


def grows(call: Callable[[], object]) -> bool:
    """Whether each round of calls leaves more blocks than the one before."""
    counts = []
    for _ in range(ROUNDS):
        for _ in range(CALLS):
            call()
        counts.append(sys.getallocatedblocks())
    # One block for each call would be a leak; a cache may still fill up.
    return all(after - before >= CALLS // 2 for before, after in pairwise(counts))


def main() -> int:
    """Both; 1 when either found something."""
    from audit_emit._runtime import compiled as _compiled

    if _compiled.state != "compiled":
        print(f"there is no compiled part here: {_compiled.state}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="audit-sanitize-") as scratch:
        compiled(Path(scratch))
        status = sanitized(Path(scratch))
    leaks = leaking()
    print("\n".join(leaks) or f"no call keeps memory ({ROUNDS} rounds of {CALLS} calls)")
    return 1 if status or leaks else 0


if __name__ == "__main__":
    sys.exit(main())
