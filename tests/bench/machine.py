"""What a measurement was made on, in one line."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("msgspec", "structlog", "orjson", "python-json-logger", "loguru")


def cpu_model() -> str:
    """The name that the processor gives itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def file_system(path: Path) -> str:
    """The type of the file system that holds ``path``."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown file system"
    holding = [(point, kind) for point, kind in mounts if path.is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]))[1]


def installed(package: str) -> str:
    """``name version`` of a package."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} missing"


def describe(directory: Path) -> str:
    """The machine line of a run that writes into ``directory``."""
    parts = [
        cpu_model(),
        f"{os.cpu_count()} cores",
        f"{platform.system()} {platform.release()}",
        f"{platform.python_implementation()} {platform.python_version()}",
        file_system(directory.resolve()),
        *(installed(package) for package in PACKAGES),
        f"load {os.getloadavg()[0]:.1f} at the start",
    ]
    return ", ".join(parts)
