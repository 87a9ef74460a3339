"""What ``audit-emit verify`` takes of memory and processor, as Linux tells it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def peak(tmp_path: Path, *arguments: str, status: int = 1) -> tuple[float, float]:
    """Megabytes and seconds of the processor that ``verify`` takes."""
    code = (
        "import re, resource, sys; from audit_emit.cli import main; status = main();"
        "mine, theirs = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN));"
        # The peak of this process alone: what getrusage says begins with its parent's.
        "own = int(re.search(r'VmHWM:\\s*([0-9]+)', open('/proc/self/status').read())[1]);"
        "print(max(own, theirs.ru_maxrss), mine.ru_utime + theirs.ru_utime);"
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "verify", *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == status, found.stdout + found.stderr
    memory, busy = found.stdout.splitlines()[-1].split()
    return float(memory) / 1024, float(busy)
